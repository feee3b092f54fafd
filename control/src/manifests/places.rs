//! Where IngressRoutes stand, and their fields: a view of a [`Directory`](super::Directory) for others, while it goes on reading.

use super::{Entry, Positions};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use switchyard_core::{Name, ObjectId, object::Kind};

/// The file of every IngressRoute, and what stands where in it, as last read well; a handle, cheap to clone.
///
/// A change costs as much as the changed file holds, and nobody waits for a file to be read.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<RwLock<HashMap<Name, Standing>>>);

/// Where an IngressRoute stands.
#[derive(Clone, Debug)]
struct Standing {
    file: Arc<str>,
    positions: Arc<Positions>,
}

// === impl Places ===

impl Places {
    /// The name of the file in which an IngressRoute stands.
    #[must_use]
    pub fn file(&self, name: &Name) -> Option<Arc<str>> {
        self.standing(name).map(|standing| standing.file)
    }

    /// The name of the file, and the line in which a field of an IngressRoute stands.
    #[must_use]
    pub fn line(&self, name: &Name, field: &str) -> Option<(Arc<str>, usize)> {
        let Standing { file, positions } = self.standing(name)?;
        Some((file, positions.find(field).line))
    }

    fn standing(&self, name: &Name) -> Option<Standing> {
        let standings = self.0.read().unwrap_or_else(PoisonError::into_inner);
        standings.get(name).cloned()
    }

    /// Notes where objects stand now. Only IngressRoutes are asked for.
    pub(super) fn note<'d>(
        &self,
        objects: impl Iterator<Item = (&'d ObjectId, Option<(&'d Arc<str>, &'d Entry)>)>,
    ) {
        let mut standings = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (ObjectId { name, .. }, entry) in objects.filter(|(id, _)| id.kind == Kind::IngressRoute) {
            let standing = entry.map(|(file, entry)| Standing {
                file: file.clone(),
                positions: entry.positions.clone(),
            });
            match standing {
                Some(standing) => standings.insert(name.clone(), standing),
                None => standings.remove(name),
            };
        }
    }
}
