//! A cache with a bound.

use std::{collections::BTreeMap, time::Duration};

/// A cache of results by digest or tag, in two generations. When the young one is full, it becomes the old one, and
/// entries of the old one that were not used since are evicted.
pub(super) struct GenerationalCache<K, V> {
    young: BTreeMap<K, CacheEntry<V>>,
    old: BTreeMap<K, CacheEntry<V>>,
    /// The weight of the young generation.
    weight: usize,
    /// The most weight of each generation.
    max_weight: usize,
}

struct CacheEntry<V> {
    value: V,
    weight: usize,
    /// The time since 1970 at which the entry expires.
    until: Duration,
}

// === impl GenerationalCache ===

impl<K: Ord + Copy, V: Clone> GenerationalCache<K, V> {
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
        let entry = CacheEntry { value, weight, until };
        self.keep(key, entry);
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.old.remove(key);
        if let Some(removed) = self.young.remove(key) {
            self.weight -= removed.weight;
        }
    }

    fn keep(&mut self, key: K, entry: CacheEntry<V>) {
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

    fn key(n: u8) -> [u8; 32] {
        [n; 32]
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn entries_expire() {
        let mut cache = GenerationalCache::new(8);
        cache.insert(key(1), "one", 1, HOUR);
        assert_eq!(cache.get(&key(1), HOUR - Duration::from_nanos(1)), Some("one"));
        assert_eq!(cache.get(&key(1), HOUR), None);
        assert_eq!(cache.get(&key(2), Duration::ZERO), None);
        cache.insert(key(1), "uno", 1, HOUR * 2);
        assert_eq!(cache.get(&key(1), HOUR), Some("uno"));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn cache_is_bounded_and_keeps_used_entries() {
        let mut cache = GenerationalCache::new(8);
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
    fn replacing_an_entry_adds_no_weight() {
        let mut cache = GenerationalCache::new(4);
        cache.insert(key(1), (), 1, HOUR);
        for _ in 0..100 {
            cache.insert(key(2), (), 1, HOUR);
        }
        assert_eq!((cache.weight, cache.young.len(), cache.old.len()), (2, 2, 0));
    }
}
