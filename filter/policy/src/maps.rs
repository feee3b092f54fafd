//! A map and a set of little code.
//!
//! The standard library's bring the filter some kilobytes for each type of key and value, 84 together. Here entries lie in
//! sorted runs.

use serde::{Serialize, Serializer};
use std::{borrow::Borrow, fmt};

/// The most entries in a run: as many are moved at most where one comes in or goes. Where a run comes in or goes, which one
/// entry in 16 makes it do, the places of the runs behind it are moved: 7.5 KB at most in a map of 10,000 entries.
const RUN: usize = 32;

/// Values by key, in the order of keys.
#[derive(Clone)]
pub struct Map<K, V> {
    /// In order, none of them empty.
    runs: Vec<Run<K, V>>,
}

type Run<K, V> = Vec<(K, V)>;

/// Where a key is, or would be: the run, and the place in it.
struct Place {
    run: usize,
    at: Result<usize, usize>,
}

/// Some few things, in order, each once: one that comes in moves all that come after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<T>(Vec<T>);

// === impl Map ===

impl<K, V> Map<K, V> {
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.runs.iter().flatten().map(|entry| (&entry.0, &entry.1))
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> Map<K, V> {
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entry(key).map(|(_, value)| value)
    }

    /// With the key as it is there.
    #[must_use]
    pub fn entry<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let Place { run, at } = self.find(key);
        let (key, value) = self.runs.get(run)?.get(at.ok()?)?;
        Some((key, value))
    }

    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).at.is_ok()
    }

    #[must_use]
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let Place { run, at } = self.find(key);
        let entry = self.runs.get_mut(run)?.get_mut(at.ok()?)?;
        Some(&mut entry.1)
    }

    /// Changes what is there by that key, or what is there by default.
    pub fn update(&mut self, key: K, change: impl FnOnce(&mut V))
    where
        V: Default,
    {
        let Place { run, at } = self.find(&key);
        match at {
            Ok(at) => {
                let there = self.runs.get_mut(run).and_then(|run| run.get_mut(at));
                if let Some((_, value)) = there {
                    change(value);
                }
            }
            Err(at) => {
                let mut value = V::default();
                change(&mut value);
                self.add(run, at, (key, value));
            }
        }
    }

    /// The first entry whose key comes after that one.
    #[must_use]
    pub fn after<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let Place { run, at } = self.find(key);
        let at = at.map_or_else(|at| at, |at| at + 1);
        let in_run = self.runs.get(run)?.get(at);
        let (key, value) = in_run.or_else(|| self.runs.get(run + 1)?.first())?;
        Some((key, value))
    }

    /// Gives what was there by that key.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Place { run, at } = self.find(&key);
        match at {
            Ok(at) => {
                let there = self.runs.get_mut(run)?.get_mut(at)?;
                Some(std::mem::replace(&mut there.1, value))
            }
            Err(at) => {
                self.add(run, at, (key, value));
                None
            }
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let Place { run, at } = self.find(key);
        let at = at.ok()?;
        let entries = self.runs.get_mut(run)?;
        let (_, value) = entries.remove(at);
        if entries.is_empty() {
            self.runs.remove(run);
        }
        Some(value)
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Place
    where
        K: Borrow<Q>,
    {
        let starts_before = |run: &Run<K, V>| run.first().is_some_and(|entry| entry.0.borrow() <= key);
        let run = self.runs.partition_point(starts_before).saturating_sub(1);
        let entries = self.runs.get(run).map_or(&[][..], Vec::as_slice);
        Place {
            run,
            at: entries.binary_search_by(|entry| entry.0.borrow().cmp(key)),
        }
    }

    /// Puts an entry into a run, and makes two of one that is then too long.
    fn add(&mut self, run: usize, at: usize, entry: (K, V)) {
        if self.runs.is_empty() {
            self.runs.push(Vec::new());
        }
        let Some(entries) = self.runs.get_mut(run) else {
            return;
        };
        entries.insert(at, entry);
        if entries.len() > RUN {
            let upper = entries.split_off(RUN / 2);
            self.runs.insert(run + 1, upper);
        }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where runs start and end is nobody's business.
impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Of two entries of one key the later counts.
impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Run<K, V>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.runs.into_iter().flatten()
    }
}

impl<K: Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

// === impl Set ===

impl<T> Set<T> {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T: Ord> Set<T> {
    #[must_use]
    pub fn contains<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.iter().any(|there| there.borrow() == item)
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            if let Err(at) = self.0.binary_search(&item) {
                self.0.insert(at, item);
            }
        }
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for Set<T> {
    fn from(items: [T; N]) -> Self {
        items.into_iter().collect()
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut set = Self::default();
        set.extend(items);
        set
    }
}

#[cfg(test)]
mod tests;
