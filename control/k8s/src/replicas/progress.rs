//! The progress of proxies.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The annotation with the progress, in JSON.
pub(super) const PROGRESS: &str = "switchyard/progress";
/// The time without renewal after which a replica counts as gone.
pub(super) const DURATION: Duration = Duration::from_secs(15);

/// The versions that proxies have reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The number of proxies that have acknowledged or rejected everything up to a `resourceVersion`.
    pub proxies: BTreeMap<u64, usize>,
    /// Rejections by some of these proxies. A proxy is counted at most once for each version.
    pub refused: Vec<Refused>,
}

/// Proxies that rejected resources of a range of versions, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub since: u64,
    pub until: u64,
    pub proxies: usize,
    /// One of these proxies, with the rejected resource and the reason.
    pub example: String,
}

// === impl Progress ===

impl Progress {
    /// The number of proxies.
    #[must_use]
    pub fn len(&self) -> usize {
        sum(self.proxies.values())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.proxies.is_empty()
    }

    /// The number of proxies that have acknowledged or rejected the resources of a version.
    #[must_use]
    pub fn answered(&self, version: u64) -> usize {
        sum(self.proxies.range(version..).map(|(_, count)| count))
    }

    /// The proxies that rejected a resource of a version.
    pub fn refusing(&self, version: u64) -> impl Iterator<Item = &Refused> {
        let covers = move |refused: &&Refused| (refused.since..=refused.until).contains(&version);
        self.refused.iter().filter(covers)
    }

    /// The number of proxies that have accepted all resources of a version.
    #[must_use]
    pub fn with(&self, version: u64) -> usize {
        let refusing = sum(self.refusing(version).map(|refused| &refused.proxies));
        self.answered(version).saturating_sub(refusing)
    }

    pub(super) fn add(&mut self, Self { proxies, refused }: &Self) {
        for (version, count) in proxies {
            let sum = self.proxies.entry(*version).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.refused.extend(refused.iter().cloned());
    }
}

/// Adds counts without overflow, since other replicas may report any number.
fn sum<'a>(counts: impl Iterator<Item = &'a usize>) -> usize {
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}
