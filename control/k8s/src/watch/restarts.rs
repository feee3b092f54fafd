use super::source::kinds;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use switchyard_core::object::Kind;

/// Counters of broken watches by kind, since the start. Failed retries of a broken watch do not count.
#[derive(Debug)]
pub struct Restarts(BTreeMap<Kind, AtomicU64>);

// === impl Restarts ===

impl Default for Restarts {
    fn default() -> Self {
        Self(kinds().map(|kind| (kind, AtomicU64::default())).collect())
    }
}

impl Restarts {
    pub(crate) fn add(&self, kind: Kind) {
        if let Some(count) = self.0.get(&kind) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// The count of each watched kind.
    pub fn counts(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.0.iter().map(|(kind, count)| (*kind, count.load(Relaxed)))
    }
}
