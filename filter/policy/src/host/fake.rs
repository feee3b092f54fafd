//! A proxy for tests, whose workers may be threads.

use super::{Host, SharedValue};
use crate::{
    config::policy::Algorithm,
    rng::{Chance, Rng},
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// A fake host. Its shared data behaves as Envoy's: an absent value is set with any version.
#[derive(Debug)]
pub(crate) struct Fake(Mutex<State>);

#[derive(Debug)]
struct State {
    now: Duration,
    values: BTreeMap<String, SharedValue>,
    gets: BTreeMap<String, usize>,
    version: u32,
    /// The number of sets that still fail, as if other workers were faster.
    refused_sets: usize,
    rng: Rng,
}

// === impl Fake ===

impl Default for Fake {
    fn default() -> Self {
        Self::seeded(1)
    }
}

impl Fake {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Mutex::new(State {
            now: Duration::from_secs(1_800_000_000),
            values: BTreeMap::new(),
            gets: BTreeMap::new(),
            version: 0,
            refused_sets: 0,
            rng: Rng::new(seed),
        }))
    }

    pub(crate) fn set_now(&self, now: Duration) {
        self.state().now = now;
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.state().now += time;
    }

    /// Replaces a value, as another worker does.
    pub(crate) fn put(&self, key: &str, value: &[u8]) {
        self.state().put(key, value);
    }

    pub(crate) fn value(&self, key: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.values.get(key).map(|shared| shared.value.clone())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state().values.keys().cloned().collect()
    }

    /// The number of reads of a value.
    pub(crate) fn gets(&self, key: &str) -> usize {
        self.state().gets.get(key).copied().unwrap_or_default()
    }

    pub(crate) fn refuse_sets(&self, times: usize) {
        self.state().refused_sets = times;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Host for Fake {
    fn now(&self) -> Duration {
        self.state().now
    }

    fn client_ip(&self) -> Option<IpAddr> {
        None
    }

    fn shared(&self, key: &str) -> Option<SharedValue> {
        let mut state = self.state();
        *state.gets.entry(key.to_owned()).or_default() += 1;
        state.values.get(key).cloned()
    }

    fn random(&self) -> u64 {
        self.state().rng.below(u64::MAX)
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        let mut state = self.state();
        if state.refused_sets > 0 {
            state.refused_sets -= 1;
            return false;
        }
        let there = state.values.get(key).map(|shared| shared.version);
        let is_late = version.is_some() && there.is_some() && version != there;
        if !is_late {
            state.put(key, value);
        }
        !is_late
    }

    fn verifies(&self, _: Algorithm, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        false
    }
}

// === impl State ===

impl State {
    fn put(&mut self, key: &str, value: &[u8]) {
        self.version += 1;
        let shared = SharedValue {
            value: value.to_vec(),
            version: self.version,
        };
        self.values.insert(key.to_owned(), shared);
    }
}
