//! The content of one response.

use crate::{
    resource::{Body, Resource, ResourceType},
    sections::Code,
};
use bytes::Bytes;
use envoy_types::pb::{
    envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource as Wire},
    google::protobuf::Any,
};
use std::{collections::BTreeMap, sync::Arc};

/// The resources of one response. A map, because Envoy rejects a response with duplicate names.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Resources by name; `None` for a removal.
    pub(super) items: BTreeMap<Arc<str>, Option<Resource>>,
    /// The generation of the oldest change among the items.
    pub(super) since: u64,
    /// The store's generation that the items are from.
    pub(super) generation: u64,
}

/// A response that is not encoded yet, cheap to build while the store is locked.
#[derive(Debug)]
pub struct Answer {
    pub(super) kind: ResourceType,
    pub(super) nonce: String,
    pub(super) generation: u64,
    pub(super) batch: Arc<Batch>,
}

// === impl Batch ===

impl Batch {
    /// Keeps only the first item if `alone` is true, and returns the others.
    pub(super) fn put_off_all_but_one(&mut self, alone: bool) -> Self {
        let second = self.items.keys().nth(1).filter(|_| alone).cloned();
        let items = second
            .map(|second| self.items.split_off(&second))
            .unwrap_or_default();
        Self { items, ..*self }
    }

    /// The two halves of a batch.
    pub(super) fn halves(&self) -> [Self; 2] {
        let middle = self.items.len() / 2;
        let half = |items| Self { items, ..*self };
        let pair = |(name, resource): (&Arc<str>, &Option<Resource>)| (Arc::clone(name), resource.clone());
        [
            half(self.items.iter().take(middle).map(pair).collect()),
            half(self.items.iter().skip(middle).map(pair).collect()),
        ]
    }
}

// === impl Answer ===

impl Answer {
    /// Encodes the response for an Envoy that gets the filter's code as given by `code`.
    pub fn encode(self, code: &Code) -> DeltaDiscoveryResponse {
        let Self {
            kind,
            nonce,
            generation,
            batch,
        } = self;
        let mut response = DeltaDiscoveryResponse {
            system_version_info: generation.to_string(),
            type_url: kind.type_url().to_owned(),
            nonce,
            ..DeltaDiscoveryResponse::default()
        };
        for (name, resource) in &batch.items {
            match resource {
                Some(resource) => response.resources.push(to_wire(kind, name, resource, code)),
                None => response.removed_resources.push(name.to_string()),
            }
        }
        response
    }
}

fn to_wire(kind: ResourceType, name: &str, Resource { version, body }: &Resource, code: &Code) -> Wire {
    Wire {
        name: name.to_owned(),
        version: Resource::version_text(*version),
        resource: Some(Any {
            type_url: kind.type_url().to_owned(),
            value: to_bytes(body, code).into(),
        }),
        ..Wire::default()
    }
}

fn to_bytes(body: &Body, code: &Code) -> Bytes {
    match body {
        Body::Encoded(bytes) => bytes.clone(),
        Body::Sections(sections) => sections.encode(code),
    }
}
