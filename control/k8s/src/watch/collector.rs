//! What the watches tell, made one batch after the other. Knows no network.

use super::{
    IngressClasses, Restarts, Seen, Source,
    listing::Listing,
    resource,
    secrets::{Fetched, Fetches, Wanted, Wants},
};
use crate::{
    FieldError, Reading,
    status::{ledger::Sighting, writer::Order},
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

/// What all watches have told.
pub(crate) struct Collector {
    watches: Vec<Watch>,
    classes: IngressClasses,
    restarts: Arc<Restarts>,
    wanted: Wanted,
    fetches: Fetches,
    /// Secrets that may not be read.
    refused: BTreeSet<Name>,
    /// Since the last batch. None: it is gone.
    changes: BTreeMap<ObjectId, Option<Object>>,
    /// What was seen of statuses since they were last asked for.
    sightings: Vec<Order>,
    /// The newest `resourceVersion` of an IngressRoute.
    version: u64,
    /// What the last batch told. None: there was none yet.
    told: Option<u64>,
}

struct Watch {
    source: Source,
    listing: Listing,
    /// It told of nothing since it broke.
    broken: bool,
}

/// A Secret to get.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ToFetch {
    pub(crate) name: Name,
    /// There is no hurry.
    pub(crate) refused_before: bool,
}

// === impl Collector ===

impl Collector {
    pub(crate) fn new(sources: Vec<Source>, classes: IngressClasses, restarts: Arc<Restarts>) -> Self {
        Self {
            watches: sources.into_iter().map(Watch::new).collect(),
            classes,
            restarts,
            wanted: Wanted::default(),
            fetches: Fetches::default(),
            refused: BTreeSet::new(),
            changes: BTreeMap::new(),
            sightings: Vec::new(),
            version: 0,
            told: None,
        }
    }

    /// The watch of that number broke, and starts anew by itself.
    pub(crate) fn broke(&mut self, number: usize, error: &watcher::Error) {
        if let Some(watch) = self.watches.get_mut(number)
            && watch.broke(error)
        {
            self.restarts.add(watch.source.kind);
        }
    }

    /// Takes in what the watch of that number saw.
    pub(crate) fn seen(&mut self, number: usize, seen: Seen) {
        match seen {
            Seen::Whole(event) => self.step(number, event, Self::applied),
            Seen::Metadata(event) => self.step(number, event, Self::touched),
        }
    }

    /// Takes in what a fetch brought.
    pub(crate) fn fetched(&mut self, name: &Name, fetched: Fetched) {
        self.fetches.end(name);
        if !self.wanted.is_wanted(name) {
            return self.fetches.forget(name);
        }
        match fetched {
            Fetched::Found(document) => {
                self.refused.remove(name);
                // What is wrong with it is told, and it goes on as it was.
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

    /// The Secrets to get now.
    pub(crate) fn start_fetches(&mut self) -> Vec<ToFetch> {
        let names = self.fetches.start().into_iter();
        names
            .map(|name| ToFetch {
                refused_before: self.refused.contains(&name),
                name,
            })
            .collect()
    }

    /// What was seen of the statuses of IngressRoutes since the last time.
    pub(crate) fn sightings(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.sightings)
    }

    /// What changed since the last batch. None: nothing, or not everything is known yet.
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
        let sighting = (kind == Kind::IngressRoute).then(|| Sighting::of(&object));
        let document = document(kind, object);
        let unreadable = self.read(kind, &name, document).err();
        if let Some(sighting) = sighting {
            let sighting = Sighting {
                unreadable: unreadable.map(|wrong| wrong.to_string()),
                ..sighting
            };
            self.sightings.push(Order::Saw(name, Some(Box::new(sighting))));
        }
    }

    /// A Secret was made or changed: to be got, if a route names it.
    fn touched(&mut self, _: Kind, name: Name, _: PartialObjectMeta<k8s_openapi::api::core::v1::Secret>) {
        if self.wanted.is_wanted(&name) {
            self.fetches.request(name);
        }
    }

    /// What cannot be read goes on as it was.
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
                error!(%kind, %name, "Cannot be read, and goes on as it was: {wrong}");
                return Err(wrong);
            }
        }
        Ok(())
    }

    fn gone(&mut self, kind: Kind, name: Name) {
        if kind == Kind::IngressRoute {
            self.want(&name, BTreeSet::new());
            self.sightings.push(Order::Saw(name.clone(), None));
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

    /// Told of once, however often it is tried. Answers whether that is news.
    fn broke(&mut self, error: &watcher::Error) -> bool {
        let source = &self.source;
        if self.broken {
            debug!(%source, %error, "Still broken");
        } else {
            warn!(%source, %error, "A watch broke; it starts anew, and what was there goes on");
        }
        !std::mem::replace(&mut self.broken, true)
    }

    fn working(&mut self) -> &mut Listing {
        if std::mem::take(&mut self.broken) {
            info!(source = %self.source, "The watch is back");
        }
        &mut self.listing
    }

    /// Answers what is gone.
    fn listed(&mut self) -> BTreeSet<Name> {
        let gone = self.listing.end();
        info!(source = %self.source, objects = self.listing.len(), gone = gone.len(), "Listed");
        gone
    }
}

/// What has a name.
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

/// As it would stand in a manifest: items of a list do not say their kind.
#[must_use]
pub fn document(kind: Kind, object: DynamicObject) -> Value {
    let DynamicObject {
        types: _,
        mut metadata,
        data,
    } = object;
    // The largest part of many objects, and nothing that anyone reads.
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
