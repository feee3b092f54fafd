//! A pure state machine for each stream, which decides on the next response to an Envoy.
//!
//! Make before break: a resource is sent once the resources that it references were accepted, and removals are sent
//! last:
//!
//! ```text
//! Cluster, Endpoint, Secret   as soon as they change
//!          |
//!          v acknowledged, which Envoy does once the clusters are warm
//! Listener -> Extension, old and new switches -> Route -> Extension, new switches only -> removals
//! ```
//!
//! The lower line is a [`Rollout`]: it works on the resources as of its start, so that it ends however fast they
//! change. New subscriptions are answered at once, whatever the rollout waits for: Envoy warms a listener or a cluster
//! until it gets the answer.

mod readiness;
mod rollout;

use self::{
    readiness::{Readiness, State},
    rollout::Rollout,
};
use super::{
    answer::{Answer, Batch},
    pending::Pending,
    store::Store,
    subscription::{Refusal, Subscription, is_ordered},
};
use crate::resource::{PerType, ResourceType};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// The limits of a session.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time that a step of a rollout waits for an ACK or NACK. After it, the rollout continues without one.
    ///
    /// Longer than Envoy's `initial_fetch_timeout` (15 s), after which a cluster stops warming.
    pub patience: Duration,
    /// The maximum number of names that one stream may subscribe to, over all types.
    pub names: usize,
    /// The maximum length of a name, in bytes.
    pub name_length: usize,
}

/// The state of one Envoy's stream.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    subscriptions: PerType<Subscription>,
    /// The store's generation that the subscriptions have read.
    cursor: u64,
    nonces: u64,
    rollout: Option<Rollout>,
    /// True if the client has subscribed to names that a rollout may already contain.
    asked_anew: bool,
    /// Filters that were sent with extra switches, for routes that the client should no longer have.
    excessive: Pending,
    /// The time of the first request.
    opened: Option<Instant>,
    /// True if the client was connected before, and still has the resources from then.
    resumed: bool,
    /// The client's rejections on earlier streams, until it subscribes to the type.
    remembered: BTreeMap<Arc<str>, Refusal>,
    /// The readiness of the client; `None` if its bootstrap has no readiness cluster.
    readiness: Option<Readiness>,
}

/// A request beyond the limits, which ends the stream.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    #[error("a resource name is longer than {0} bytes")]
    Name(usize),
    #[error("more than {0} resource names")]
    Names(usize),
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(20),
            names: 200_000,
            name_length: 1024,
        }
    }
}

impl Limits {
    fn check(&self, request: &DeltaDiscoveryRequest) -> Result<(), Excess> {
        let DeltaDiscoveryRequest {
            resource_names_subscribe,
            resource_names_unsubscribe,
            initial_resource_versions,
            ..
        } = request;
        let mut names = resource_names_subscribe
            .iter()
            .chain(resource_names_unsubscribe)
            .chain(initial_resource_versions.keys());
        if names.any(|name| name.len() > self.name_length) {
            return Err(Excess::Name(self.name_length));
        }
        self.check_count(initial_resource_versions.len())
    }

    fn check_count(&self, count: usize) -> Result<(), Excess> {
        if count > self.names {
            Err(Excess::Names(self.names))
        } else {
            Ok(())
        }
    }
}

// === impl Session ===

impl Session {
    /// The time in which a reconnected client should subscribe to all types that it had.
    ///
    /// Envoy subscribes to them one right after the other. Until it has, it may hold resources that reference removed
    /// ones of other types.
    const ARRIVAL: Duration = Duration::from_secs(2);

    /// The types that every client subscribes to eventually.
    const USUAL: [ResourceType; 4] = [
        ResourceType::Cluster,
        ResourceType::Listener,
        ResourceType::Route,
        ResourceType::Extension,
    ];

    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            subscriptions: PerType::default(),
            cursor: 0,
            nonces: 0,
            rollout: None,
            asked_anew: false,
            excessive: Pending::default(),
            opened: None,
            resumed: false,
            remembered: BTreeMap::new(),
            readiness: None,
        }
    }

    /// Sets the readiness cluster, which is sent once the client has accepted its routes.
    pub(super) fn announce_readiness(&mut self, cluster: &str) {
        let readiness = Readiness::new(cluster);
        let clusters = self.subscriptions.get_mut(ResourceType::Cluster);
        clusters.exclude(&readiness.cluster);
        self.readiness = Some(readiness);
    }

    /// Handles a request: an ACK or NACK, a change of the subscription, or both.
    ///
    /// A type that is not served is ignored: a bootstrap may request more than this server has, and an error would end
    /// the stream for all types.
    pub fn on_request(&mut self, request: &DeltaDiscoveryRequest, now: Instant) -> Result<(), Excess> {
        self.limits.check(request)?;
        let Some(kind) = ResourceType::from_type_url(&request.type_url) else {
            tracing::debug!(type_url = request.type_url, "Ignoring a type that is not served");
            return Ok(());
        };
        self.opened.get_or_insert(now);
        if !request.response_nonce.is_empty() {
            let refused = request
                .error_detail
                .as_ref()
                .map(|status| status.message.as_str());
            self.subscriptions
                .get_mut(kind)
                .on_verdict(&request.response_nonce, refused);
        }
        self.on_names(kind, request);
        self.limits
            .check_count(self.subscriptions.iter().map(Subscription::size).sum())
    }

    /// Applies a change of the subscription. A reconnected Envoy subscribes to types in their original order, clusters
    /// first, but skips a type that it paused. So endpoints before clusters mean that a cluster is warming, and waits
    /// for endpoints that Envoy already has.
    fn on_names(&mut self, kind: ResourceType, request: &DeltaDiscoveryRequest) {
        let first = !self.subscriptions.get(kind).is_seen();
        let resumes = first && !request.initial_resource_versions.is_empty();
        self.resumed |= resumes;
        let since = if resumes { 1 } else { self.cursor.max(1) };
        let warming =
            kind == ResourceType::Endpoint && !self.subscriptions.get(ResourceType::Cluster).is_seen();
        let renames =
            !(request.resource_names_subscribe.is_empty() && request.resource_names_unsubscribe.is_empty());
        self.asked_anew |= renames && is_ordered(kind);
        if let Some(readiness) = self.readiness.as_mut().filter(|_| kind == ResourceType::Cluster)
            && request
                .initial_resource_versions
                .contains_key(&*readiness.cluster)
        {
            readiness.state = State::Sent;
        }
        let subscription = self.subscriptions.get_mut(kind);
        subscription.on_request(kind, request, since, !warming);
        if first && kind == ResourceType::Extension {
            let remembered = mem::take(&mut self.remembered);
            // A restarted client has no such memory, and may accept the configuration now.
            if self.resumed {
                subscription.recall_refusals(remembered);
            }
        }
    }

    /// Returns the next response. After `None` there is nothing to do before a request, a change of the store, or
    /// [`Session::deadline`].
    pub fn poll(&mut self, store: &Store, now: Instant) -> Option<Answer> {
        if !store.is_ready() {
            return None;
        }
        let cursor = mem::replace(&mut self.cursor, store.generation());
        for (kind, subscription) in self.subscriptions.iter_mut().filter(|(_, sub)| sub.is_seen()) {
            subscription.read(store.type_store(kind), cursor, self.cursor);
        }
        self.renew(store, now);
        self.review_readiness();
        loop {
            self.advance(store, now);
            let answer = self.next_sets(store).or_else(|| self.next_removals(store));
            // If the client already has all that was released, nothing else will wake the rollout.
            if answer.is_some() || !self.rollout.as_ref().is_some_and(|rollout| self.is_done(rollout)) {
                return answer.or_else(|| self.next_readiness());
            }
        }
    }

    fn review_readiness(&mut self) {
        let has_routes = self.subscriptions.get(ResourceType::Route).has_all_named();
        if let Some(readiness) = &mut self.readiness
            && readiness.state == State::Withheld
            && has_routes
        {
            readiness.state = State::Due;
        }
    }

    fn next_readiness(&mut self) -> Option<Answer> {
        let clusters = self.subscriptions.get(ResourceType::Cluster);
        let may_send = clusters.is_seen() && !clusters.is_outstanding();
        let readiness = self.readiness.as_mut().filter(|_| may_send)?;
        if readiness.state != State::Due {
            return None;
        }
        readiness.state = State::Sent;
        let items = [(readiness.cluster.clone(), Some(readiness.resource()))].into();
        let batch = Batch {
            items,
            // It carries no change of the store.
            since: u64::MAX,
            generation: self.cursor,
        };
        Some(self.send(ResourceType::Cluster, batch))
    }

    fn next_sets(&mut self, store: &Store) -> Option<Answer> {
        ResourceType::ALL.into_iter().find_map(|kind| {
            let batch = self
                .subscriptions
                .get_mut(kind)
                .next_batch(kind, store.type_store(kind))?;
            Some(self.send(kind, batch))
        })
    }

    /// Returns the next removals, in reverse order of types, stopping at a type that has to wait. While the client
    /// rejects a newer resource, nothing is removed: its old one may reference anything.
    fn next_removals(&mut self, store: &Store) -> Option<Answer> {
        if self.has_nack() {
            return None;
        }
        for kind in ResourceType::ALL.into_iter().rev() {
            let subscription = self.subscriptions.get_mut(kind);
            if subscription.is_removing() && subscription.is_outstanding() {
                return None;
            }
            if let Some(batch) = subscription.next_removals(store.type_store(kind)) {
                return Some(self.send(kind, batch));
            }
        }
        None
    }

    fn send(&mut self, kind: ResourceType, batch: Batch) -> Answer {
        self.nonces += 1;
        let nonce = self.nonces.to_string();
        let batch = Arc::new(batch);
        if kind == ResourceType::Cluster {
            self.push_endpoints(&batch);
        }
        let subscription = self.subscriptions.get_mut(kind);
        subscription.on_sent(nonce.clone(), Arc::clone(&batch));
        Answer {
            kind,
            nonce,
            generation: self.cursor,
            batch,
        }
    }

    /// Sends the endpoints of updated clusters: an updated cluster warms until it gets them, and Envoy does not request
    /// endpoints that it already has.
    fn push_endpoints(&mut self, Batch { items, since, .. }: &Batch) {
        let endpoints = self.subscriptions.get_mut(ResourceType::Endpoint);
        for (name, _) in items.iter().filter(|(_, resource)| resource.is_some()) {
            endpoints.push(name, *since);
        }
    }

    /// The time of the next poll, if nothing happens before.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let arrival = self
            .opened
            .filter(|_| self.is_arriving(now))
            .map(|opened| opened + Self::ARRIVAL);
        arrival.or_else(|| Some(self.rollout.as_ref()?.entered() + self.limits.patience))
    }

    /// The generation up to which the client has acknowledged or rejected everything.
    pub fn acked(&self, now: Instant) -> u64 {
        if self.is_arriving(now) {
            return 0;
        }
        let unsettled = self.subscriptions.iter().filter_map(Subscription::oldest_unacked);
        let removals = self.subscriptions.iter().filter_map(Subscription::oldest_removal);
        let removals = removals.filter(|_| !self.has_nack());
        let rollout = self.rollout.as_ref().map(Rollout::since);
        unsettled
            .chain(removals)
            .chain(rollout)
            .min()
            .map_or(self.cursor, |oldest| self.cursor.min(oldest.saturating_sub(1)))
    }

    /// The client's rejections of resources that have not been replaced by a newer version.
    pub(super) fn refused(&self) -> impl Iterator<Item = (ResourceType, &Arc<str>, &Refusal)> {
        ResourceType::ALL.into_iter().flat_map(|kind| {
            let refused = self.subscriptions.get(kind).refused();
            refused.map(move |(name, refusal)| (kind, name, refusal))
        })
    }

    /// The filter configurations that the client rejected, to be remembered for its next stream.
    pub(super) fn refused_filters(&self) -> BTreeMap<Arc<str>, Refusal> {
        if self.remembered.is_empty() {
            self.subscriptions.get(ResourceType::Extension).refusals().clone()
        } else {
            self.remembered.clone()
        }
    }

    /// Sets the filter configurations that the same client rejected on earlier streams.
    pub(super) fn remember(&mut self, refused: BTreeMap<Arc<str>, Refusal>) {
        self.remembered = refused;
    }

    /// Returns true while a reconnected client has not yet subscribed to all types.
    fn is_arriving(&self, now: Instant) -> bool {
        let soon = self.opened.is_some_and(|opened| now < opened + Self::ARRIVAL);
        self.resumed
            && soon
            && !Self::USUAL
                .iter()
                .all(|kind| self.subscriptions.get(*kind).is_seen())
    }

    /// Returns true if the client rejects a newer version of a resource that references others.
    fn has_nack(&self) -> bool {
        let ordered = ResourceType::ALL.into_iter().filter(|kind| is_ordered(*kind));
        ordered
            .into_iter()
            .any(|kind| self.subscriptions.get(kind).has_nack())
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worlds;
