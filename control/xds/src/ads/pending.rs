//! Names that wait to be sent, with the generation since which they wait.

use std::{collections::BTreeSet, mem, sync::Arc};

/// Names that wait for the same event.
#[derive(Debug, Default)]
pub(super) struct Pending {
    names: BTreeSet<Arc<str>>,
    /// The generation of the oldest change among the names; meaningless if there are none.
    ///
    /// Kept for all names together, which is cheap to read: names leave all at once.
    since: u64,
}

// === impl Pending ===

impl Pending {
    pub(super) fn add(&mut self, name: Arc<str>, since: u64) {
        self.since = if self.names.is_empty() {
            since
        } else {
            self.since.min(since)
        };
        self.names.insert(name);
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.names.remove(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The generation of the oldest waiting change.
    pub(super) fn since(&self) -> Option<u64> {
        (!self.names.is_empty()).then_some(self.since)
    }

    pub(super) fn take(&mut self) -> Self {
        mem::take(self)
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&Arc<str>) -> bool) {
        self.names.retain(keep);
    }

    pub(super) fn append(&mut self, other: Self) {
        for name in other.names {
            self.add(name, other.since);
        }
    }
}

impl IntoIterator for Pending {
    type Item = Arc<str>;
    type IntoIter = std::collections::btree_set::IntoIter<Arc<str>>;

    fn into_iter(self) -> Self::IntoIter {
        self.names.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_age_is_that_of_the_oldest_name() {
        let mut pending = Pending::default();
        assert_eq!(pending.since(), None);
        pending.add("b".into(), 7);
        pending.add("a".into(), 3);
        pending.add("c".into(), 9);
        assert_eq!(pending.since(), Some(3));
        let taken = pending.take();
        assert_eq!(
            taken.into_iter().collect::<Vec<_>>(),
            ["a".into(), "b".into(), "c".into()]
        );
        pending.add("d".into(), 11);
        assert_eq!(pending.since(), Some(11));
    }
}
