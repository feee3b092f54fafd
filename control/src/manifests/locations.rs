//! The locations of IngressRoutes and their fields: a view of a [`Directory`](super::Directory) for others, while it
//! keeps reading.

use super::{Entry, Positions};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use switchyard_core::{Name, ObjectId, object::Kind};

/// The file of every IngressRoute, and the positions of its fields, as last read without errors; a handle, cheap to
/// clone.
///
/// The cost of an update depends on the size of the changed file, and readers never wait for a file to be read.
#[derive(Clone, Debug, Default)]
pub struct SourceLocations(Arc<RwLock<HashMap<Name, SourceLocation>>>);

/// The location of an IngressRoute.
#[derive(Clone, Debug)]
struct SourceLocation {
    file: Arc<str>,
    positions: Arc<Positions>,
}

// === impl SourceLocations ===

impl SourceLocations {
    /// The name of the file with an IngressRoute.
    #[must_use]
    pub fn file(&self, name: &Name) -> Option<Arc<str>> {
        self.location(name).map(|location| location.file)
    }

    /// The name of the file, and the line, of a field of an IngressRoute.
    #[must_use]
    pub fn line(&self, name: &Name, field: &str) -> Option<(Arc<str>, usize)> {
        let SourceLocation { file, positions } = self.location(name)?;
        Some((file, positions.find(field).line))
    }

    fn location(&self, name: &Name) -> Option<SourceLocation> {
        let locations = self.0.read().unwrap_or_else(PoisonError::into_inner);
        locations.get(name).cloned()
    }

    /// Updates the locations of objects. Only IngressRoutes are kept.
    pub(super) fn note<'d>(
        &self,
        objects: impl Iterator<Item = (&'d ObjectId, Option<(&'d Arc<str>, &'d Entry)>)>,
    ) {
        let mut locations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (ObjectId { name, .. }, entry) in objects.filter(|(id, _)| id.kind == Kind::IngressRoute) {
            let location = entry.map(|(file, entry)| SourceLocation {
                file: file.clone(),
                positions: entry.positions.clone(),
            });
            match location {
                Some(location) => locations.insert(name.clone(), location),
                None => locations.remove(name),
            };
        }
    }
}
