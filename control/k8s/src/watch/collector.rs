//! Combines the events of all watches into batches. Does no I/O.

use super::{
    class::IngressClasses,
    listing::Listing,
    restarts::Restarts,
    secrets::{Fetched, Fetches, SecretReferences, ToFetch, Wants},
    source::{Seen, Source, resource},
};
use crate::{
    FieldError, Reading,
    status::{queue::Observed, request::StatusRequest},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    api::{DynamicObject, PartialObjectMeta},
    runtime::watcher::{self, Event},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use switchyard_core::{
    Name, Object, ObjectId,
    object::{Batch, Kind},
};
use tracing::{debug, error, info, warn};

/// The state of all watches, and the changes since the last batch.
pub(crate) struct Collector {
    watches: Vec<Watch>,
    classes: IngressClasses,
    restarts: Arc<Restarts>,
    wanted: SecretReferences,
    fetches: Fetches,
    /// Secrets that control may not read.
    refused: BTreeSet<Name>,
    /// Changes since the last batch; `None` for a deleted object.
    changes: BTreeMap<ObjectId, Option<Object>>,
    /// Observed statuses since they were last taken.
    sightings: Vec<StatusRequest>,
    /// The newest `resourceVersion` of an IngressRoute.
    version: u64,
    /// The version of the last batch; `None` before the first.
    told: Option<u64>,
}

struct Watch {
    source: Source,
    listing: Listing,
    /// True from an error until the next event.
    broken: bool,
}

// === impl Collector ===

impl Collector {
    pub(crate) fn new(sources: Vec<Source>, classes: IngressClasses, restarts: Arc<Restarts>) -> Self {
        Self {
            watches: sources.into_iter().map(Watch::new).collect(),
            classes,
            restarts,
            wanted: SecretReferences::default(),
            fetches: Fetches::default(),
            refused: BTreeSet::new(),
            changes: BTreeMap::new(),
            sightings: Vec::new(),
            version: 0,
            told: None,
        }
    }

    /// Records an error of the watch with that index, which restarts by itself.
    pub(crate) fn broke(&mut self, number: usize, error: &watcher::Error) {
        if let Some(watch) = self.watches.get_mut(number)
            && watch.broke(error)
        {
            self.restarts.add(watch.source.kind);
        }
    }

    /// Applies an event of the watch with that index.
    pub(crate) fn seen(&mut self, number: usize, seen: Seen) {
        match seen {
            Seen::Whole(event) => self.step(number, event, Self::applied),
            Seen::Metadata(event) => self.step(number, event, Self::touched),
        }
    }

    /// Applies the result of a fetch.
    pub(crate) fn fetched(&mut self, name: &Name, fetched: Fetched) {
        self.fetches.end(name);
        if !self.wanted.is_wanted(name) {
            return self.fetches.forget(name);
        }
        match fetched {
            Fetched::Found(document) => {
                self.refused.remove(name);
                // An error is logged, and the last valid Secret stays in effect.
                self.read(Kind::Secret, name, document).unwrap_or_default();
            }
            Fetched::Missing => self.gone(Kind::Secret, name.clone()),
            Fetched::Refused => {
                self.refused.insert(name.clone());
                self.gone(Kind::Secret, name.clone());
                self.fetches.request(name.clone());
            }
        }
    }

    /// Takes the Secrets to fetch now.
    pub(crate) fn start_fetches(&mut self) -> Vec<ToFetch> {
        let names = self.fetches.start().into_iter();
        names
            .map(|name| ToFetch {
                refused_before: self.refused.contains(&name),
                name,
            })
            .collect()
    }

    /// Takes the statuses of IngressRoutes observed since the last call.
    pub(crate) fn sightings(&mut self) -> Vec<StatusRequest> {
        std::mem::take(&mut self.sightings)
    }

    /// Takes the changes since the last batch. Returns `None` if there are none, or the first lists are incomplete.
    pub(crate) fn batch(&mut self) -> Option<Batch> {
        let complete = self.watches.iter().all(|watch| watch.listing.is_complete());
        if self.told.is_none() && !(complete && self.fetches.are_answered()) {
            return None;
        }
        if self.told == Some(self.version) && self.changes.is_empty() {
            return None;
        }
        self.told = Some(self.version);
        let mut batch = Batch {
            version: self.version,
            ..Batch::default()
        };
        for (id, object) in std::mem::take(&mut self.changes) {
            match object {
                Some(object) => batch.applied.push(object),
                None => batch.deleted.push(id),
            }
        }
        Some(batch)
    }

    fn step<T: Meta>(&mut self, number: usize, event: Event<T>, applied: impl Fn(&mut Self, Kind, Name, T)) {
        let Some(watch) = self.watches.get_mut(number) else {
            return;
        };
        let kind = watch.source.kind;
        let listing = watch.working();
        match event {
            Event::Init => listing.begin(),
            Event::InitApply(object) | Event::Apply(object) => {
                let name = object.name();
                listing.there(&name);
                self.reached(kind, &object);
                applied(self, kind, name, object);
            }
            Event::Delete(object) => {
                let name = object.name();
                listing.gone(&name);
                self.reached(kind, &object);
                self.gone(kind, name);
            }
            Event::InitDone => {
                for name in watch.listed() {
                    self.gone(kind, name);
                }
            }
        }
    }

    fn reached(&mut self, kind: Kind, object: &impl Meta) {
        if kind == Kind::IngressRoute {
            let version = object.meta().resource_version.as_deref();
            let version = version.and_then(|version| version.parse().ok());
            self.version = self.version.max(version.unwrap_or_default());
        }
    }

    fn applied(&mut self, kind: Kind, name: Name, object: DynamicObject) {
        let is_ours =
            kind != Kind::IngressRoute || self.classes.include(object.metadata.annotations.as_ref());
        if !is_ours {
            return self.gone(kind, name);
        }
        let sighting = (kind == Kind::IngressRoute).then(|| Observed::of(&object));
        let document = document(kind, object);
        let unreadable = self.read(kind, &name, document).err();
        if let Some(sighting) = sighting {
            let sighting = Observed {
                unreadable: unreadable.map(|wrong| wrong.to_string()),
                ..sighting
            };
            self.sightings
                .push(StatusRequest::Observed(name, Some(Box::new(sighting))));
        }
    }

    /// Requests a created or changed Secret, if a route references it.
    fn touched(&mut self, _: Kind, name: Name, _: PartialObjectMeta<k8s_openapi::api::core::v1::Secret>) {
        if self.wanted.is_wanted(&name) {
            self.fetches.request(name);
        }
    }

    /// Reads an object. If it cannot be parsed, its last valid state stays in effect.
    fn read(&mut self, kind: Kind, name: &Name, document: Value) -> Result<(), FieldError> {
        match crate::object(document) {
            Ok(Some(Reading { object, warnings })) => {
                for warning in warnings {
                    warn!(%kind, %name, "{warning}");
                }
                if let Object::IngressRoute(route) = &object {
                    self.want(name, route.secrets().collect());
                }
                self.changes.insert(object.id(), Some(object));
            }
            Ok(None) => {}
            Err(wrong) => {
                error!(%kind, %name, "Cannot be parsed; the last valid version stays in effect: {wrong}");
                return Err(wrong);
            }
        }
        Ok(())
    }

    fn gone(&mut self, kind: Kind, name: Name) {
        if kind == Kind::IngressRoute {
            self.want(&name, BTreeSet::new());
            self.sightings.push(StatusRequest::Observed(name.clone(), None));
        }
        self.changes.insert(ObjectId { kind, name }, None);
    }

    fn want(&mut self, route: &Name, secrets: BTreeSet<Name>) {
        let Wants { new, over } = self.wanted.set(route, secrets);
        for name in new {
            self.fetches.request(name);
        }
        for name in over {
            self.fetches.forget(&name);
            self.refused.remove(&name);
            self.gone(Kind::Secret, name);
        }
    }
}

// === impl Watch ===

impl Watch {
    fn new(source: Source) -> Self {
        Self {
            source,
            listing: Listing::default(),
            broken: false,
        }
    }

    /// Records an error; failed retries are not logged as warnings. Returns true for the first failure.
    fn broke(&mut self, error: &watcher::Error) -> bool {
        let source = &self.source;
        if self.broken {
            debug!(%source, %error, "Watch still fails");
        } else {
            warn!(%source, %error, "Watch failed; retrying, known objects stay in effect");
        }
        !std::mem::replace(&mut self.broken, true)
    }

    fn working(&mut self) -> &mut Listing {
        if std::mem::take(&mut self.broken) {
            info!(source = %self.source, "Watch recovered");
        }
        &mut self.listing
    }

    /// Completes a list, and returns the names of deleted objects.
    fn listed(&mut self) -> BTreeSet<Name> {
        let gone = self.listing.end();
        info!(source = %self.source, objects = self.listing.len(), gone = gone.len(), "Listed");
        gone
    }
}

/// An object with metadata.
trait Meta {
    fn meta(&self) -> &ObjectMeta;

    fn name(&self) -> Name {
        let ObjectMeta { name, namespace, .. } = self.meta();
        let text = |text: &Option<String>| Arc::<str>::from(text.as_deref().unwrap_or_default());
        Name::new(text(namespace), text(name))
    }
}

impl Meta for DynamicObject {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
}

impl<K> Meta for PartialObjectMeta<K> {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
}

/// Converts an object to a document as in a manifest: items of a list have no apiVersion and kind.
#[must_use]
pub fn document(kind: Kind, object: DynamicObject) -> Value {
    let DynamicObject {
        types: _,
        mut metadata,
        data,
    } = object;
    // The largest part of many objects, and never used.
    metadata.managed_fields = None;
    let mut document = data;
    let api_version = resource(kind).map(|resource| resource.api_version);
    if let Value::Object(fields) = &mut document {
        fields.insert("apiVersion".to_owned(), json!(api_version));
        fields.insert("kind".to_owned(), json!(kind.as_str()));
        fields.insert("metadata".to_owned(), json!(metadata));
    }
    document
}

#[cfg(test)]
mod tests;
