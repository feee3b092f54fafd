//! What went over the streams since the start, all of them together.

use super::answer::Batch;
use crate::resource::{PerType, ResourceType};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What went over the streams since the start, of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    pub resource_type: ResourceType,
    /// Resources, each as often as it was sent. Removals are none.
    pub sent: u64,
    /// Responses that were accepted.
    pub acks: u64,
    /// Responses that were refused.
    pub nacks: u64,
}

/// Counts while others read.
#[derive(Debug, Default)]
pub(super) struct Tally(PerType<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    acks: AtomicU64,
    nacks: AtomicU64,
}

// === impl Tally ===

impl Tally {
    pub(super) fn sent(&self, kind: ResourceType, batch: &Batch) {
        let resources = batch.items.values().filter(|resource| resource.is_some()).count();
        self.0.get(kind).sent.fetch_add(resources as u64, Relaxed);
    }

    /// Counts a verdict. A request without a nonce only asks for something.
    pub(super) fn received(&self, request: &DeltaDiscoveryRequest) {
        let Some(kind) = ResourceType::from_type_url(&request.type_url) else {
            return;
        };
        if request.response_nonce.is_empty() {
            return;
        }
        let Counters { acks, nacks, .. } = self.0.get(kind);
        let verdict = if request.error_detail.is_some() {
            nacks
        } else {
            acks
        };
        verdict.fetch_add(1, Relaxed);
    }

    pub(super) fn traffic(&self) -> Vec<Traffic> {
        let one = |(resource_type, counters): (_, &Counters)| Traffic {
            resource_type,
            sent: counters.sent.load(Relaxed),
            acks: counters.acks.load(Relaxed),
            nacks: counters.nacks.load(Relaxed),
        };
        ResourceType::ALL
            .into_iter()
            .zip(self.0.iter())
            .map(one)
            .collect()
    }
}
