//! What the proxies were told last.

use crate::resource::{Body, Resource, ResourceType, Update};
use std::{collections::BTreeMap, sync::Arc};

type Key = (ResourceType, Arc<str>);

/// Versions of all resources, and the update that is being made.
#[derive(Debug, Default)]
pub(super) struct Published {
    versions: BTreeMap<Key, u64>,
    /// Those that the table no longer has, and since which generation.
    retired: BTreeMap<Key, u64>,
    update: Update,
}

// === impl Published ===

impl Published {
    /// Adds or replaces a resource; nothing where it has this version.
    pub(super) fn set(
        &mut self,
        kind: ResourceType,
        name: &Arc<str>,
        version: u64,
        body: impl FnOnce() -> Body,
    ) {
        let key = (kind, name.clone());
        self.retired.remove(&key);
        if self.versions.insert(key, version) != Some(version) {
            let resource = Resource {
                version,
                body: body(),
            };
            self.update.set.push((kind, name.clone(), resource));
        }
    }

    /// Removes a resource now.
    pub(super) fn remove(&mut self, kind: ResourceType, name: &Arc<str>) {
        let key = (kind, name.clone());
        if self.versions.remove(&key).is_some() {
            self.update.removed.push(key);
        }
    }

    /// Removes a resource once all proxies have acknowledged `generation`.
    pub(super) fn retire(&mut self, kind: ResourceType, name: &Arc<str>, generation: u64) {
        let key = (kind, name.clone());
        if self.versions.contains_key(&key) {
            self.retired.entry(key).or_insert(generation);
        }
    }

    pub(super) fn prune(&mut self, acked: u64) {
        let gone: Vec<_> = self.retired.extract_if(.., |_, since| *since <= acked).collect();
        for ((kind, name), _) in gone {
            self.remove(kind, &name);
        }
    }

    pub(super) fn take(&mut self) -> Update {
        std::mem::take(&mut self.update)
    }
}
