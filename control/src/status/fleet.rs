//! How far the proxies are: those of this replica, and those of the others.

use std::collections::{BTreeMap, BTreeSet};
use switchyard_k8s::replicas::Progress;
use switchyard_xds::ads::Proxy;

/// What proxies are to have taken for something to be live on them. Both count up together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// That of this replica's configuration.
    pub generation: u64,
    /// The newest `resourceVersion` of an IngressRoute in it: what other replicas know it by.
    pub version: u64,
}

/// All proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// The generation that each of this replica's has, in order.
    acked: Vec<u64>,
    /// The generations at which one of them refused something.
    refused: BTreeSet<u64>,
    /// Those of other replicas.
    elsewhere: Progress,
}

/// Which version each generation came to.
#[derive(Debug, Default)]
pub(super) struct Versions {
    reached: BTreeMap<u64, u64>,
}

// === impl Fleet ===

impl Fleet {
    /// What is new of this replica's.
    pub(super) fn see(&mut self, proxies: &[Proxy]) {
        let nacks = proxies.iter().flat_map(|proxy| &proxy.nacks);
        self.acked = proxies.iter().map(|proxy| proxy.acked).collect();
        self.acked.sort_unstable();
        self.refused = nacks.map(|nack| nack.generation).collect();
    }

    /// What is new of the others'.
    pub(super) fn hear(&mut self, elsewhere: Progress) {
        self.elsewhere = elsewhere;
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.acked.len().saturating_add(self.elsewhere.len())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many have it.
    #[must_use]
    pub fn with(&self, Mark { generation, version }: Mark) -> usize {
        let here = self.acked.len() - self.acked.partition_point(|acked| *acked < generation);
        here.saturating_add(self.elsewhere.with(version))
    }

    /// Whether all have it.
    pub(super) fn has_settled(&self, mark: Mark) -> bool {
        self.with(mark) == self.len()
    }

    /// Whether one refused it, or something since.
    pub(super) fn has_refused(&self, Mark { generation, version }: Mark) -> bool {
        self.refused.range(generation..).next().is_some()
            || self.elsewhere.refused.range(version..).next().is_some()
    }
}

#[cfg(test)]
impl Fleet {
    /// One of this replica's proxies alone.
    pub(super) fn of(acked: &[u64], refused: &[u64]) -> Self {
        let mut acked = acked.to_vec();
        acked.sort_unstable();
        Self {
            acked,
            refused: refused.iter().copied().collect(),
            elsewhere: Progress::default(),
        }
    }
}

// === impl Versions ===

impl Versions {
    /// A version that changed nothing belongs to the newest generation, too.
    pub(super) fn reached(&mut self, Mark { generation, version }: Mark) {
        self.reached.insert(generation, version);
    }

    /// As other replicas are told. What no proxy needs any longer is forgotten.
    pub(super) fn progress(&mut self, fleet: &Fleet) -> Progress {
        let mut proxies = BTreeMap::new();
        for acked in &fleet.acked {
            *proxies.entry(self.version(*acked)).or_default() += 1;
        }
        let refused = fleet.refused.iter().map(|generation| self.version(*generation));
        let progress = Progress {
            refused: refused.collect(),
            proxies,
        };
        self.forget(fleet.acked.first().copied().unwrap_or(u64::MAX));
        progress
    }

    fn version(&self, generation: u64) -> u64 {
        let reached = self.reached.range(..=generation).next_back();
        reached.map(|(_, version)| *version).unwrap_or_default()
    }

    /// What was before the one that `least` has.
    fn forget(&mut self, least: u64) {
        if let Some(held) = self.reached.range(..=least).next_back().map(|(held, _)| *held) {
            self.reached = self.reached.split_off(&held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(generation: u64, version: u64) -> Mark {
        Mark { generation, version }
    }

    fn elsewhere(proxies: &[(u64, usize)], refused: &[u64]) -> Progress {
        Progress {
            proxies: proxies.iter().copied().collect(),
            refused: refused.iter().copied().collect(),
        }
    }

    #[test]
    fn proxies_here_are_counted_by_generation_and_elsewhere_by_version() {
        let mut fleet = Fleet::of(&[3, 5], &[]);
        fleet.hear(elsewhere(&[(70, 1), (90, 2)], &[]));
        for (want, of) in [
            (5, mark(0, 0)),
            (4, mark(4, 70)),
            (3, mark(4, 80)),
            (0, mark(6, 91)),
        ] {
            assert_eq!(fleet.with(of), want, "{of:?}");
        }
        assert_eq!(fleet.len(), 5);
    }

    #[test]
    fn a_refusal_elsewhere_counts_too() {
        let mut fleet = Fleet::of(&[3], &[]);
        fleet.hear(elsewhere(&[(70, 1)], &[80]));
        assert!(fleet.has_refused(mark(1, 70)));
        assert!(!fleet.has_refused(mark(4, 81)));
    }

    #[test]
    fn a_proxy_has_the_version_that_its_generation_came_to() {
        let mut versions = Versions::default();
        for (generation, version) in [(1, 10), (4, 20), (4, 25), (6, 30)] {
            versions.reached(mark(generation, version));
        }
        let told = versions.progress(&Fleet::of(&[3, 4, 5, 6, 0], &[5]));
        assert_eq!(told, elsewhere(&[(0, 1), (10, 1), (25, 2), (30, 1)], &[25]));
    }

    #[test]
    fn what_no_proxy_needs_is_forgotten() {
        let mut versions = Versions::default();
        for generation in 1..=100 {
            versions.reached(mark(generation, generation * 10));
        }
        versions.progress(&Fleet::of(&[98, 100], &[]));
        assert_eq!(versions.reached.len(), 3);
        assert_eq!(versions.progress(&Fleet::default()), Progress::default());
        assert_eq!(versions.reached.len(), 1);
    }
}
