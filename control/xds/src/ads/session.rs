//! What one Envoy may be sent next: a pure state machine, one for each stream.
//!
//! Make before break. What names something goes out after what it names is known to work, and what is no longer named
//! goes last:
//!
//! ```text
//! Cluster, Endpoint, Secret   as soon as they change
//!          |
//!          v accepted, which Envoy withholds until the clusters are warm
//! Listener -> Extension, old switches and new -> Route -> Extension as it is to be -> what is gone
//! ```
//!
//! The lower line is a [`Pass`]: it works on what there was when it began, so that it ends, however fast the world
//! changes. What a client asks for anew is answered at once, whatever the pass waits for: Envoy warms a listener or a
//! cluster until it hears.

mod pass;

use self::pass::Pass;
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

/// What a session tolerates.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a step of a pass waits for a verdict before it goes on without.
    ///
    /// Longer than Envoy's `initial_fetch_timeout` (15 s), after which it warms a cluster no longer.
    pub patience: Duration,
    /// The most names that one stream may subscribe to, all types together.
    pub names: usize,
    /// The longest name, in bytes.
    pub name_length: usize,
}

/// One Envoy's stream.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    subscriptions: PerType<Subscription>,
    /// The generation of the store that the subscriptions have seen.
    cursor: u64,
    nonces: u64,
    pass: Option<Pass>,
    /// The client asked for something that a pass may have taken up before.
    asked_anew: bool,
    /// Filters that the client was sent with more switches than they are to have.
    excessive: Pending,
    /// When the first request came.
    opened: Option<Instant>,
    /// The client was connected before, and still has what it was given then.
    resumed: bool,
    /// What the client refused on earlier streams, until it asks for the type.
    remembered: BTreeMap<Arc<str>, Refusal>,
}

/// A request that ends the stream.
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
    /// How long a client that comes back may take to ask for all the types that it had.
    ///
    /// Envoy asks for them one right after the other. Until it has, it may hold what other types no longer have.
    const ARRIVAL: Duration = Duration::from_secs(2);

    /// The types that every client of ours asks for, sooner or later.
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
            pass: None,
            asked_anew: false,
            excessive: Pending::default(),
            opened: None,
            resumed: false,
            remembered: BTreeMap::new(),
        }
    }

    /// Takes one request: a verdict on a response, a change of the subscription, or both.
    ///
    /// A type that is not served is ignored: a bootstrap may ask this server for more than it has, and Envoy would lose
    /// all the others with the stream.
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

    /// Envoy asks for the types in the order in which it first did, clusters first, but not for a type that it paused.
    /// So endpoints before clusters mean that a cluster is warming, and waits for endpoints that Envoy has already.
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
        let subscription = self.subscriptions.get_mut(kind);
        subscription.on_request(kind, request, since, !warming);
        if first && kind == ResourceType::Extension {
            let remembered = mem::take(&mut self.remembered);
            // A client that was started anew has forgotten, and may have been mended.
            if self.resumed {
                subscription.recall_refusals(remembered);
            }
        }
    }

    /// The next response, until there is none: then nothing happens before a request, a change of the store, or
    /// [`Session::deadline`].
    pub fn poll(&mut self, store: &Store, now: Instant) -> Option<Answer> {
        if !store.is_ready() {
            return None;
        }
        let cursor = mem::replace(&mut self.cursor, store.generation());
        for (kind, subscription) in self.subscriptions.iter_mut().filter(|(_, sub)| sub.is_seen()) {
            subscription.read(store.shelf(kind), cursor, self.cursor);
        }
        self.renew(store, now);
        loop {
            self.advance(store, now);
            let answer = self.next_sets(store).or_else(|| self.next_removals(store));
            // What was released may turn out to be no news, and then nothing else will wake the pass.
            if answer.is_some() || !self.pass.as_ref().is_some_and(|pass| self.is_done(pass)) {
                return answer;
            }
        }
    }

    fn next_sets(&mut self, store: &Store) -> Option<Answer> {
        ResourceType::ALL.into_iter().find_map(|kind| {
            let batch = self
                .subscriptions
                .get_mut(kind)
                .next_batch(kind, store.shelf(kind))?;
            Some(self.send(kind, batch))
        })
    }

    /// Removals go in reverse, and not past one that has to wait. While the client clings to something old, which may
    /// name anything, nothing is taken away from it.
    fn next_removals(&mut self, store: &Store) -> Option<Answer> {
        if self.clings() {
            return None;
        }
        for kind in ResourceType::ALL.into_iter().rev() {
            let subscription = self.subscriptions.get_mut(kind);
            if subscription.is_departing() && subscription.is_outstanding() {
                return None;
            }
            if let Some(batch) = subscription.next_departures(store.shelf(kind)) {
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

    /// A cluster that is updated warms until it is told its endpoints, and Envoy does not ask for the ones that it has.
    fn push_endpoints(&mut self, Batch { items, since, .. }: &Batch) {
        let endpoints = self.subscriptions.get_mut(ResourceType::Endpoint);
        for (name, _) in items.iter().filter(|(_, resource)| resource.is_some()) {
            endpoints.push(name, *since);
        }
    }

    /// When to poll again if nothing happens before.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let arrival = self
            .opened
            .filter(|_| self.is_arriving(now))
            .map(|opened| opened + Self::ARRIVAL);
        arrival.or_else(|| Some(self.pass.as_ref()?.entered() + self.limits.patience))
    }

    /// The generation through which the client has accepted or refused everything.
    pub fn settled(&self, now: Instant) -> u64 {
        if self.is_arriving(now) {
            return 0;
        }
        let unsettled = self
            .subscriptions
            .iter()
            .filter_map(Subscription::oldest_unsettled);
        let removals = self.subscriptions.iter().filter_map(Subscription::oldest_removal);
        let removals = removals.filter(|_| !self.clings());
        let pass = self.pass.as_ref().map(Pass::since);
        unsettled
            .chain(removals)
            .chain(pass)
            .min()
            .map_or(self.cursor, |oldest| self.cursor.min(oldest.saturating_sub(1)))
    }

    /// What the client refused and has not replaced by something newer.
    pub(super) fn refused(&self) -> impl Iterator<Item = (ResourceType, &Arc<str>, &Refusal)> {
        ResourceType::ALL.into_iter().flat_map(|kind| {
            let refused = self.subscriptions.get(kind).refused();
            refused.map(move |(name, refusal)| (kind, name, refusal))
        })
    }

    /// What the client refused of the filter's configuration, to be remembered for its next stream.
    pub(super) fn refused_filters(&self) -> BTreeMap<Arc<str>, Refusal> {
        if self.remembered.is_empty() {
            self.subscriptions.get(ResourceType::Extension).refusals().clone()
        } else {
            self.remembered.clone()
        }
    }

    /// Tells what the same client refused of the filter's configuration on earlier streams.
    pub(super) fn remember(&mut self, refused: BTreeMap<Arc<str>, Refusal>) {
        self.remembered = refused;
    }

    /// A client that was connected before has not asked for everything yet.
    fn is_arriving(&self, now: Instant) -> bool {
        let soon = self.opened.is_some_and(|opened| now < opened + Self::ARRIVAL);
        self.resumed
            && soon
            && !Self::USUAL
                .iter()
                .all(|kind| self.subscriptions.get(*kind).is_seen())
    }

    /// The client refused something newer of what names other resources.
    fn clings(&self) -> bool {
        let ordered = ResourceType::ALL.into_iter().filter(|kind| is_ordered(*kind));
        ordered
            .into_iter()
            .any(|kind| self.subscriptions.get(kind).clings())
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worlds;
