//! Where IngressRoutes stand: a view of a [`Directory`](super::Directory) for others, while it goes on reading.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use switchyard_core::{Name, ObjectId, object::Kind};

/// The file of every IngressRoute, as last read well; a handle, cheap to clone.
///
/// A change costs as much as the changed file holds, and nobody waits for a file to be read.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<RwLock<HashMap<Name, Arc<str>>>>);

// === impl Places ===

impl Places {
    /// The name of the file in which an IngressRoute stands.
    #[must_use]
    pub fn file(&self, name: &Name) -> Option<Arc<str>> {
        let files = self.0.read().unwrap_or_else(PoisonError::into_inner);
        files.get(name).cloned()
    }

    /// Notes where objects stand now. Only IngressRoutes are asked for.
    pub(super) fn note<'d>(&self, objects: impl Iterator<Item = (&'d ObjectId, Option<&'d Arc<str>>)>) {
        let mut files = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (ObjectId { name, .. }, file) in objects.filter(|(id, _)| id.kind == Kind::IngressRoute) {
            match file {
                Some(file) => files.insert(name.clone(), file.clone()),
                None => files.remove(name),
            };
        }
    }
}
