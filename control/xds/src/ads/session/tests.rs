//! A session and its store, driven by hand.
//!
//! A response reads `Cluster +a@1 -b`: resource `a` in version 1, and no resource `b`.

mod order;
mod readiness;
mod refusing;
mod resuming;
mod subscribing;

use super::*;
use crate::{
    resource::{Body, Resource, Update},
    sections::{Code, Sections},
    translate::Shard,
};
use ResourceType::{Cluster, Endpoint, Extension, Listener, Route, Secret};
use bytes::Bytes;
use envoy_types::pb::{envoy::service::discovery::v3::DeltaDiscoveryResponse, google::rpc::Status};

pub(super) struct Harness {
    pub(super) store: Store,
    pub(super) session: Session,
    pub(super) now: Instant,
    /// The nonce of the newest response of each type.
    nonces: PerType<String>,
}

pub(super) fn mk_resource(version: u64) -> Resource {
    Resource {
        version,
        body: Body::Encoded(Bytes::from(version.to_string())),
    }
}

pub(super) fn mk_set(kind: ResourceType, name: &str, version: u64) -> Update {
    Update {
        set: vec![(kind, name.into(), mk_resource(version))],
        removed: vec![],
    }
}

pub(super) fn mk_removed(kind: ResourceType, name: &str) -> Update {
    Update {
        set: vec![],
        removed: vec![(kind, name.into())],
    }
}

/// A filter configuration from `key=value` pairs, one for each switch; the keys are `s`, `t` and `u`.
pub(super) fn mk_sections(switches: &[&str]) -> Resource {
    let edit = |(key, value): (&str, &str)| (key.into(), Some(Bytes::copy_from_slice(value.as_bytes())));
    let edits = switches
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(edit)
        .collect();
    let sections = Sections::new(Shard::of_host("bar.com"), false)
        .edit(edits)
        .expect("small");
    Resource {
        version: sections.version(),
        body: Body::Sections(Arc::new(sections)),
    }
}

pub(super) fn mk_filter(switches: &[&str]) -> Update {
    Update {
        set: vec![(Extension, "switchyard".into(), mk_sections(switches))],
        removed: vec![],
    }
}

pub(super) fn mk_ask(kind: ResourceType, subscribe: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: subscribe.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// A response in one line. A filter configuration is shown by its switches, not by its version.
pub(super) fn show(answer: Answer) -> String {
    let mut line = answer.kind.to_string();
    for (name, resource) in &answer.batch.items {
        line += &match resource {
            None => format!(" -{name}"),
            Some(Resource {
                body: Body::Sections(sections),
                ..
            }) => format!(" +{name}{}", show_sections(sections)),
            Some(Resource { version, .. }) => format!(" +{name}@{version}"),
        };
    }
    assert_encodes_the_same(&line, answer);
    line
}

fn show_sections(sections: &Sections) -> String {
    let value = |key| Some(format!("{key}={}", String::from_utf8_lossy(sections.get(key)?)));
    let pairs: Vec<_> = ["s", "t", "u"].into_iter().filter_map(value).collect();
    format!("({})", pairs.join(" "))
}

fn assert_encodes_the_same(line: &str, answer: Answer) {
    let DeltaDiscoveryResponse {
        resources,
        removed_resources,
        ..
    } = answer.encode(&Code::File {
        path: "/switchyard.wasm".to_owned(),
    });
    assert_eq!(line.matches(" +").count(), resources.len(), "{line}");
    assert_eq!(line.matches(" -").count(), removed_resources.len(), "{line}");
}

// === impl Harness ===

impl Harness {
    pub(super) fn new() -> Self {
        let mut store = Store::default();
        store.set_ready();
        Self {
            store,
            session: mk_session(),
            now: Instant::now(),
            nonces: PerType::default(),
        }
    }

    /// A session with `updates` published, whose client has subscribed to `names` and acknowledged everything.
    pub(super) fn connected(
        updates: impl IntoIterator<Item = Update>,
        names: &[(ResourceType, &[&str])],
    ) -> Self {
        let mut harness = Self::new();
        updates.into_iter().for_each(|update| harness.publish(update));
        for (kind, names) in names {
            harness.ask(*kind, names);
        }
        harness.settle();
        harness
    }

    pub(super) fn publish(&mut self, update: Update) {
        self.store.apply(update);
    }

    pub(super) fn request(&mut self, request: &DeltaDiscoveryRequest) {
        self.session.on_request(request, self.now).expect("within limits");
    }

    pub(super) fn ask(&mut self, kind: ResourceType, subscribe: &[&str]) {
        self.request(&mk_ask(kind, subscribe));
    }

    pub(super) fn drop_names(&mut self, kind: ResourceType, names: &[&str]) {
        let mut request = mk_ask(kind, &[]);
        request.resource_names_unsubscribe = names.iter().map(|name| (*name).to_owned()).collect();
        self.request(&request);
    }

    pub(super) fn mk_ack(&self, kind: ResourceType) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            response_nonce: self.nonces.get(kind).clone(),
            ..mk_ask(kind, &[])
        }
    }

    pub(super) fn ack(&mut self, kind: ResourceType) {
        if !self.nonces.get(kind).is_empty() {
            self.request(&self.mk_ack(kind));
        }
    }

    pub(super) fn nack(&mut self, kind: ResourceType) {
        let error_detail = Some(Status {
            message: "bad".to_owned(),
            ..Status::default()
        });
        self.request(&DeltaDiscoveryRequest {
            error_detail,
            ..self.mk_ack(kind)
        });
    }

    /// Returns the responses that are sent now.
    pub(super) fn poll(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.poll_one()).collect()
    }

    fn poll_one(&mut self) -> Option<String> {
        let answer = self.session.poll(&self.store, self.now)?;
        self.nonces.get_mut(answer.kind).clone_from(&answer.nonce);
        Some(show(answer))
    }

    /// Acknowledges everything until no more responses come, and returns all of them.
    pub(super) fn settle(&mut self) -> Vec<String> {
        let mut lines = vec![];
        loop {
            let more = self.poll();
            if more.is_empty() {
                return lines;
            }
            lines.extend(more);
            ResourceType::ALL.into_iter().for_each(|kind| self.ack(kind));
        }
    }

    pub(super) fn acked(&self) -> u64 {
        self.session.acked(self.now)
    }

    pub(super) fn refused(&self) -> Vec<String> {
        let show = |(kind, name, refusal): (ResourceType, &Arc<str>, &Refusal)| {
            format!("{kind} {name} {:?}: {}", refusal.version, refusal.reason)
        };
        self.session.refused().map(show).collect()
    }
}

fn mk_session() -> Session {
    Session::new(Limits::default())
}
