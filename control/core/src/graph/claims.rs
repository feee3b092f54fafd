//! The roots that claim a host name. The oldest owns it; the others serve nothing.

use super::index::Index;
use crate::object::{Created, Name};
use std::{collections::BTreeMap, mem, sync::Arc};

/// A root that claims a host name, ordered by precedence: the oldest first, then by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claimant {
    pub(crate) created: Created,
    pub(crate) name: Name,
}

/// The claimants of each host name, in order of precedence.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    claimants: Index<Arc<str>, Claimant>,
    /// The owners before the edits since the last [`Claims::moved`], of the host names that were edited.
    before: BTreeMap<Arc<str>, Option<Claimant>>,
}

// === impl Claims ===

impl Claims {
    /// The root that a host name belongs to.
    pub(crate) fn owner(&self, fqdn: &Arc<str>) -> Option<&Name> {
        self.first(fqdn).map(|claimant| &claimant.name)
    }

    pub(crate) fn insert(&mut self, fqdn: &Arc<str>, claimant: Claimant) {
        self.edit(fqdn);
        self.claimants.insert(fqdn.clone(), claimant);
    }

    pub(crate) fn remove(&mut self, fqdn: &Arc<str>, claimant: &Claimant) {
        self.edit(fqdn);
        self.claimants.remove(fqdn, claimant);
    }

    /// Returns the roots to derive because a host name changed its owner since the last call: the owner before, and all
    /// claimants, which are served or name the owner in their status. Edits that leave the owner are not among them.
    pub(crate) fn moved(&mut self) -> Vec<Name> {
        let mut moved = Vec::new();
        for (fqdn, before) in mem::take(&mut self.before) {
            let after = self.first(&fqdn);
            if before.as_ref().map(|owner| &owner.name) == after.map(|owner| &owner.name) {
                continue;
            }
            moved.extend(before.map(|owner| owner.name));
            moved.extend(self.claimants.get(&fqdn).map(|claimant| claimant.name.clone()));
        }
        moved
    }

    fn first(&self, fqdn: &Arc<str>) -> Option<&Claimant> {
        self.claimants.get(fqdn).next()
    }

    fn edit(&mut self, fqdn: &Arc<str>) {
        if !self.before.contains_key(fqdn) {
            let owner = self.first(fqdn).cloned();
            self.before.insert(fqdn.clone(), owner);
        }
    }
}
