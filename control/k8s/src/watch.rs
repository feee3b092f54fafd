//! Watches of a cluster's objects, as batches of changes.
//!
//! ```text
//! a watch of each kind, in each namespace -> [ Listing ] -> object, Reading --+
//!                                                 |                           v
//!                                        [ SecretReferences ]                Batch -> the engine
//!                                                 v                           ^
//!           a watch of Secrets' metadata -> Secrets that routes reference ----+
//! ```
//!
//! The first batch is sent when everything was listed. After that, the last known state holds even if the API server is
//! unavailable: a restarted watch deletes an object only when a complete new list lacks it.

mod class;
mod collector;
mod listing;
mod restarts;
mod retry;
mod secrets;
mod source;

pub use self::{
    class::{IngressClasses, are_of_one_class},
    collector::document,
    restarts::Restarts,
    source::resource,
};

pub(crate) use self::retry::backoff;

use self::{
    collector::Collector,
    source::{Seen, Source, kinds},
};
use crate::status::request::StatusRequest;
use futures_util::{
    StreamExt,
    stream::{BoxStream, FuturesUnordered, SelectAll},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use std::sync::Arc;
use switchyard_core::object::Batch;
use tokio::sync::mpsc;

/// The selection of objects, and the receivers of what watches report.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The namespaces to watch, all of them if empty. No other namespace is requested from the API server.
    pub namespaces: Vec<String>,
    pub classes: IngressClasses,
    /// The receiver of the observed statuses of IngressRoutes, if any.
    pub sightings: Option<mpsc::UnboundedSender<StatusRequest>>,
    /// The counters of broken watches.
    pub restarts: Arc<Restarts>,
}

/// The maximum number of pending events taken into one batch.
const TOGETHER: usize = 1024;

/// An event, with the index of its watch.
struct Told {
    source: usize,
    event: Result<Seen, watcher::Error>,
}

/// Watches until the receiver of batches is dropped. The first batch has all objects.
pub async fn run(client: Client, options: Options, batches: mpsc::Sender<Batch>) {
    let Options {
        namespaces,
        classes,
        sightings,
        restarts,
    } = options;
    let sources = sources(&namespaces);
    let mut told: SelectAll<_> = sources
        .iter()
        .enumerate()
        .map(|(number, source)| watch(&client, number, source))
        .collect();
    let mut collector = Collector::new(sources, classes, restarts);
    let mut fetches = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(event) = told.next() => {
                take(&mut collector, event);
                // Pending events belong to the same batch.
                for _ in 1..TOGETHER {
                    let Some(Some(event)) = futures_util::FutureExt::now_or_never(told.next()) else { break };
                    take(&mut collector, event);
                }
            }
            Some((name, fetched)) = fetches.next() => collector.fetched(&name, fetched),
        }
        for to_fetch in collector.start_fetches() {
            fetches.push(secrets::fetch(client.clone(), to_fetch));
        }
        let seen = collector.sightings();
        if let Some(sightings) = &sightings {
            // A dropped receiver is not an error.
            seen.into_iter().for_each(|order| drop(sightings.send(order)));
        }
        if let Some(batch) = collector.batch()
            && batches.send(batch).await.is_err()
        {
            return;
        }
    }
}

fn take(collector: &mut Collector, Told { source, event }: Told) {
    match event {
        Ok(seen) => collector.seen(source, seen),
        Err(error) => collector.broke(source, &error),
    }
}

fn sources(namespaces: &[String]) -> Vec<Source> {
    let scopes: Vec<_> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().cloned().map(Some).collect()
    };
    let scoped = |kind| {
        scopes
            .iter()
            .cloned()
            .map(move |namespace| Source { kind, namespace })
    };
    kinds().flat_map(scoped).collect()
}

fn watch(client: &Client, number: usize, source: &Source) -> BoxStream<'static, Told> {
    let config = watcher::Config::default();
    let told = move |event| Told {
        source: number,
        event,
    };
    match resource(source.kind) {
        Some(resource) => {
            let api: Api<DynamicObject> = match &source.namespace {
                None => Api::all_with(client.clone(), &resource),
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            };
            let events = watcher(api, config).backoff(backoff());
            events.map(move |event| told(event.map(Seen::Whole))).boxed()
        }
        None => {
            let api: Api<PartialObjectMeta<Secret>> = match &source.namespace {
                None => Api::all(client.clone()),
                Some(namespace) => Api::namespaced(client.clone(), namespace),
            };
            let events = watcher(api, config).backoff(backoff());
            events.map(move |event| told(event.map(Seen::Metadata))).boxed()
        }
    }
}
