//! What the proxies were told last.

use super::refused::{Origin, Refused};
use crate::resource::{Body, Resource, ResourceType, Update};
use std::{collections::BTreeMap, sync::Arc};
use switchyard_core::table::ClusterName;

type Key = (ResourceType, Arc<str>);

/// Versions of all resources, and the update that is being made.
#[derive(Debug, Default)]
pub(super) struct Published {
    versions: BTreeMap<Key, u64>,
    /// Those that the table no longer has, and since which generation.
    retired: BTreeMap<Key, u64>,
    refused: Refused,
    update: Update,
}

/// The source of a resource. None of those that need no check: each host of a route configuration was checked by
/// itself, the filter's configuration by the filter's own check, and an assignment has nothing but addresses and ports.
fn origin(kind: ResourceType, name: &Arc<str>) -> Option<Origin> {
    match kind {
        ResourceType::Cluster => Some(Origin::Cluster(ClusterName(name.clone()))),
        ResourceType::Secret => Some(Origin::Host(name.clone())),
        ResourceType::Listener | ResourceType::ScopedRoute => Some(Origin::Settings),
        ResourceType::Endpoint | ResourceType::Route | ResourceType::Extension => None,
    }
}

// === impl Published ===

impl Published {
    /// Adds or replaces a resource; nothing where it has this version. One that Envoy would refuse stays as it was.
    pub(super) fn set(
        &mut self,
        kind: ResourceType,
        name: &Arc<str>,
        version: u64,
        body: impl FnOnce() -> Body,
    ) {
        let key = (kind, name.clone());
        self.retired.remove(&key);
        if self.versions.get(&key) == Some(&version) {
            return;
        }
        let body = body();
        if let (Some(origin), Body::Encoded(bytes)) = (origin(kind, name), &body)
            && !self.refused.admits(origin, (kind.type_url(), &**name), bytes)
        {
            return;
        }
        self.versions.insert(key, version);
        let resource = Resource { version, body };
        self.update.set.push((kind, name.clone(), resource));
    }

    /// The version of a resource.
    pub(super) fn version(&self, kind: ResourceType, name: &str) -> Option<u64> {
        self.versions.get(&(kind, name.into())).copied()
    }

    /// The resources that Envoy would refuse.
    pub(super) fn refused(&self) -> &Refused {
        &self.refused
    }

    /// Removes a resource now.
    pub(super) fn remove(&mut self, kind: ResourceType, name: &Arc<str>) {
        self.forget_refusal(kind, name);
        let key = (kind, name.clone());
        if self.versions.remove(&key).is_some() {
            self.update.removed.push(key);
        }
    }

    /// Removes a resource once all proxies have acknowledged `generation`.
    pub(super) fn retire(&mut self, kind: ResourceType, name: &Arc<str>, generation: u64) {
        self.forget_refusal(kind, name);
        let key = (kind, name.clone());
        if self.versions.contains_key(&key) {
            self.retired.entry(key).or_insert(generation);
        }
    }

    fn forget_refusal(&mut self, kind: ResourceType, name: &Arc<str>) {
        if let Some(origin) = origin(kind, name) {
            self.refused.forget(origin, (kind.type_url(), &**name));
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
