//! Maps that remember: who depends on what, and what was there before.

use std::collections::{BTreeMap, BTreeSet};

/// What depends on a key. A key may name what does not exist (yet).
#[derive(Debug)]
pub(crate) struct Index<K, V> {
    users: BTreeMap<K, BTreeSet<V>>,
}

/// What a map held before the edits that are being made to it.
#[derive(Debug)]
pub(crate) struct Before<K, V> {
    values: BTreeMap<K, Option<V>>,
}

// === impl Index ===

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self {
            users: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Index<K, V> {
    pub(crate) fn get(&self, key: &K) -> impl Iterator<Item = &V> {
        self.users.get(key).into_iter().flatten()
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.users.contains_key(key)
    }

    pub(crate) fn insert(&mut self, key: K, user: V) {
        self.users.entry(key).or_default().insert(user);
    }

    pub(crate) fn remove(&mut self, key: &K, user: &V) {
        if let Some(users) = self.users.get_mut(key) {
            users.remove(user);
            if users.is_empty() {
                self.users.remove(key);
            }
        }
    }

    /// Makes `user` depend on `new` instead of `old`.
    pub(crate) fn replace(&mut self, user: &V, old: &BTreeSet<K>, new: &BTreeSet<K>) {
        for key in old.difference(new) {
            self.remove(key, user);
        }
        for key in new.difference(old) {
            self.insert(key.clone(), user.clone());
        }
    }
}

// === impl Before ===

impl<K, V> Default for Before<K, V> {
    fn default() -> Self {
        Self {
            values: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone, V: PartialEq> Before<K, V> {
    /// Sets or (with none) removes a value in `map`.
    pub(crate) fn set(&mut self, map: &mut BTreeMap<K, V>, key: &K, value: Option<V>) {
        let old = match value {
            Some(value) => map.insert(key.clone(), value),
            None => map.remove(key),
        };
        self.values.entry(key.clone()).or_insert(old);
    }

    /// The keys whose values in `map` really differ from before. A value that is merely equal is put back: what did
    /// not change stays the same value, at the same place.
    pub(crate) fn finish(self, map: &mut BTreeMap<K, V>) -> BTreeSet<K> {
        let mut changed = BTreeSet::new();
        for (key, old) in self.values {
            match (map.get_mut(&key), old) {
                (Some(new), Some(old)) if *new == old => *new = old,
                (None, None) => {}
                _ => {
                    changed.insert(key);
                }
            }
        }
        changed
    }
}
