//! Counters of the traffic on all streams since the start.

use super::answer::Batch;
use crate::resource::{PerType, ResourceType};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The traffic of one resource type on all streams since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    pub resource_type: ResourceType,
    /// Sent resources, without removals.
    pub sent: u64,
    /// Responses that were acknowledged.
    pub acks: u64,
    /// Responses that were rejected.
    pub nacks: u64,
}

/// Counters that can be read while they change.
#[derive(Debug, Default)]
pub(super) struct TrafficCounters(PerType<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    acks: AtomicU64,
    nacks: AtomicU64,
}

// === impl TrafficCounters ===

impl TrafficCounters {
    pub(super) fn sent(&self, kind: ResourceType, batch: &Batch) {
        let resources = batch.items.values().filter(|resource| resource.is_some()).count();
        self.0.get(kind).sent.fetch_add(resources as u64, Relaxed);
    }

    /// Counts an ACK or NACK. A request without a nonce is only a subscription.
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
