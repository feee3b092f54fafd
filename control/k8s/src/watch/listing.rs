//! The objects known from one watch.

use std::{collections::BTreeSet, mem};
use switchyard_core::Name;

/// The names of a watch's objects, kept across restarts of the watch.
///
/// A restarted watch lists everything again, piece by piece, and may break off. So an object that is missing from a
/// list is deleted only when that list is complete.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    known: BTreeSet<Name>,
    /// The names so far in the list in progress, if any.
    relisted: Option<BTreeSet<Name>>,
    complete: bool,
}

// === impl Listing ===

impl Listing {
    /// Returns true once a list has completed.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Begins a list, and discards one in progress.
    pub(crate) fn begin(&mut self) {
        self.relisted = Some(BTreeSet::new());
    }

    pub(crate) fn there(&mut self, name: &Name) {
        if let Some(relisted) = &mut self.relisted {
            relisted.insert(name.clone());
        }
        self.known.insert(name.clone());
    }

    pub(crate) fn gone(&mut self, name: &Name) {
        self.known.remove(name);
    }

    /// Completes the list, and returns the names that it no longer has.
    pub(crate) fn end(&mut self) -> BTreeSet<Name> {
        self.complete = true;
        let Some(relisted) = self.relisted.take() else {
            return BTreeSet::new();
        };
        let before = mem::replace(&mut self.known, relisted);
        before.difference(&self.known).cloned().collect()
    }
}
