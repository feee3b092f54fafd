//! What one watch has said is there.

use std::{collections::BTreeSet, mem};
use switchyard_core::Name;

/// The names that a watch told of, through any number of new starts.
///
/// A watch that starts anew lists everything again, piece by piece, and may break off in between. So what is missing
/// from a list is gone only when that list is complete.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    known: BTreeSet<Name>,
    /// What the list under way has said so far.
    relisted: Option<BTreeSet<Name>>,
    complete: bool,
}

// === impl Listing ===

impl Listing {
    /// Whether a list was ever complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// A list begins; one that was under way is void.
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

    /// The list is complete. Answers what it no longer had.
    pub(crate) fn end(&mut self) -> BTreeSet<Name> {
        self.complete = true;
        let Some(relisted) = self.relisted.take() else {
            return BTreeSet::new();
        };
        let before = mem::replace(&mut self.known, relisted);
        before.difference(&self.known).cloned().collect()
    }
}
