//! A worker's memory of verified credentials.

use super::{
    Pass,
    digest::{Digest, Tag, TagKey},
    passwords::Passwords,
};
use sha2::{Digest as _, Sha256};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

/// The most bytes of remembered tokens, in each of the two generations of the cache.
const MAX_TOKENS: usize = 1024 * 1024;

/// Results about credentials, so that the same ones need not be verified again. It is bounded, and holds only digests
/// of them. One for each worker.
pub struct Memory {
    pub(super) passwords: Rc<Passwords>,
    /// Verified tokens, with the results of their checks.
    pub(super) tokens: RefCell<Cache<Tag, Rc<Pass>>>,
    /// The key for the tags of tokens.
    pub(super) tag_key: TagKey,
}

/// A cache of results by digest or tag, in two generations. When the young one is full, it becomes the old one, and
/// entries of the old one that were not used since are evicted.
pub(super) struct Cache<K, V> {
    young: BTreeMap<K, Entry<V>>,
    old: BTreeMap<K, Entry<V>>,
    /// The weight of the young generation.
    weight: usize,
    /// The most weight of each generation.
    max_weight: usize,
}

struct Entry<V> {
    value: V,
    weight: usize,
    /// The time since 1970 at which the entry expires.
    until: Duration,
}

// === impl Memory ===

impl Memory {
    /// Creates a memory. `entropy` must be hard to guess from outside: digests are keyed with it.
    #[must_use]
    pub fn new(entropy: &[u8]) -> Self {
        let key: Digest = Sha256::digest(entropy).into();
        Self {
            passwords: Rc::new(Passwords::new(key)),
            tokens: RefCell::new(Cache::new(MAX_TOKENS)),
            tag_key: TagKey::new(&key),
        }
    }

    /// Verifies the passwords that requests wait for, in the order of the queue, until `until` returns true, which is
    /// called several times in each millisecond. Returns true if any [`Work`] has finished since the last call.
    #[must_use]
    pub fn verify(&self, until: impl FnMut() -> bool) -> bool {
        self.passwords.verify(until)
    }
}

// === impl Cache ===

impl<K: Ord + Copy, V: Clone> Cache<K, V> {
    pub(super) fn new(max_weight: usize) -> Self {
        Self {
            young: BTreeMap::new(),
            old: BTreeMap::new(),
            weight: 0,
            max_weight,
        }
    }

    pub(super) fn get(&mut self, key: &K, now: Duration) -> Option<V> {
        if let Some(entry) = self.old.remove(key) {
            self.keep(*key, entry);
        }
        let entry = self.young.get(key).filter(|entry| now < entry.until)?;
        Some(entry.value.clone())
    }

    pub(super) fn insert(&mut self, key: K, value: V, weight: usize, until: Duration) {
        self.old.remove(&key);
        let entry = Entry { value, weight, until };
        self.keep(key, entry);
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.old.remove(key);
        if let Some(removed) = self.young.remove(key) {
            self.weight -= removed.weight;
        }
    }

    fn keep(&mut self, key: K, entry: Entry<V>) {
        if self.weight + entry.weight > self.max_weight {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += entry.weight;
        if let Some(replaced) = self.young.insert(key, entry) {
            self.weight -= replaced.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key(n: u8) -> Digest {
        [n; 32]
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_known_is_known_until_then() {
        let mut cache = Cache::new(8);
        cache.insert(key(1), "one", 1, HOUR);
        assert_eq!(cache.get(&key(1), HOUR - Duration::from_nanos(1)), Some("one"));
        assert_eq!(cache.get(&key(1), HOUR), None);
        assert_eq!(cache.get(&key(2), Duration::ZERO), None);
        cache.insert(key(1), "uno", 1, HOUR * 2);
        assert_eq!(cache.get(&key(1), HOUR), Some("uno"));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn it_does_not_grow_and_keeps_what_is_asked_for() {
        let mut cache = Cache::new(8);
        for n in 0..=255 {
            cache.insert(key(n), n, 1 + usize::from(n % 3), HOUR);
            assert_eq!(cache.get(&key(0), Duration::ZERO), Some(0), "{n}");
            let held: usize = cache.young.values().map(|entry| entry.weight).sum();
            assert_eq!(held, cache.weight);
            assert!(held <= 8 && cache.old.len() <= 8, "{n}: {held}");
        }
        assert_eq!(cache.get(&key(1), Duration::ZERO), None);
        assert_eq!(cache.get(&key(255), Duration::ZERO), Some(255));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn the_same_again_weighs_nothing() {
        let mut cache = Cache::new(4);
        cache.insert(key(1), (), 1, HOUR);
        for _ in 0..100 {
            cache.insert(key(2), (), 1, HOUR);
        }
        assert_eq!((cache.weight, cache.young.len(), cache.old.len()), (2, 2, 0));
    }
}
