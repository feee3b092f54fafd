//! The subscription of one Envoy to one resource type: names, versions that it has, and resources to send.

mod sending;

use super::{answer::Batch, pending::Pending, store::TypeStore};
use crate::resource::{Body, Resource, ResourceType};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    mem,
    sync::Arc,
    time::SystemTime,
};

/// A subscription to one resource type on one stream.
///
/// A name moves `changed` -> sent -> `held`. A change that may not be sent at once (see [`super::session`]) stays in
/// `changed` until it is released, which moves it to `released`; a removal stays in `gone`, then in `removing`.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// True once the client has subscribed to the type on this stream.
    seen: bool,
    /// The store's generation that was read last.
    generation: u64,
    wildcard: bool,
    /// A name that the subscription ignores, although the wildcard covers it.
    excluded: Option<Arc<str>>,
    /// The names that the client subscribed to individually.
    names: BTreeSet<Arc<str>>,
    /// The versions of the client's resources; `None` if it has, or may have, an unknown version.
    held: BTreeMap<Arc<str>, Option<u64>>,
    /// The filter configurations that the client accepted last.
    good: BTreeMap<Arc<str>, Resource>,
    refused: BTreeMap<Arc<str>, Refusal>,
    /// If true, the wildcard is answered even without resources: Envoy waits for the answer when it starts.
    greeting: bool,
    /// The pending comparison of everything with the store, if any.
    comparison: Option<Comparison>,
    /// Names that the client subscribed to, and that are not answered yet.
    owed: Pending,
    changed: Pending,
    gone: Pending,
    removing: Pending,
    /// True if a resource was removed before the client had it.
    vanished: bool,
    released: Option<Batch>,
    /// Parts of rejected responses, sent again to find the bad resource.
    retries: VecDeque<Batch>,
    outstanding: Option<Outstanding>,
}

/// A rejection, for which the client does not have the newest version of a name.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// The rejected version; `None` for a removal.
    pub(super) version: Option<u64>,
    pub(super) reason: Arc<str>,
    pub(super) at: SystemTime,
    /// The generation of the oldest change that the client lacks because of it.
    pub(super) since: u64,
    /// The store's generation that was sent, or that of a later change back to the rejected version.
    pub(super) generation: u64,
    /// True if it keeps the client from having the newest version. If false, it only prevents a resend of its version.
    pub(super) stands: bool,
    /// True if the client has had the newest version since, so that it lacks no change because of it.
    pub(super) caught_up: bool,
}

/// A response that is not yet acknowledged or rejected.
#[derive(Debug)]
struct Outstanding {
    nonce: String,
    batch: Arc<Batch>,
}

/// A comparison of the client's resources with the store.
#[derive(Clone, Copy, Debug)]
struct Comparison {
    since: u64,
    /// If true, resources that the client lacks are answers to its subscription, not changes.
    first: bool,
}

// === impl Subscription ===

/// The handling of requests.
impl Subscription {
    /// Applies the names that `request` subscribes to and unsubscribes from.
    ///
    /// Answers count as changes of generation `since`. If `trusted` is true, the client needs no answer for a version
    /// that it reports and that is the newest.
    pub(super) fn on_request(
        &mut self,
        kind: ResourceType,
        request: &DeltaDiscoveryRequest,
        since: u64,
        trusted: bool,
    ) {
        let first = !mem::replace(&mut self.seen, true);
        if first && request.resource_names_subscribe.is_empty() && kind.empty_means_all() {
            self.subscribe_all(since);
        }
        for name in &request.resource_names_unsubscribe {
            self.unsubscribe(name, since);
        }
        for name in &request.resource_names_subscribe {
            self.subscribe(name, since);
        }
        if first {
            self.recall(&request.initial_resource_versions, since, trusted);
        }
    }

    /// Subscribes to a name. It is answered even if the client is known to have the newest version: the client may have
    /// forgotten it.
    fn subscribe(&mut self, name: &str, since: u64) {
        if name == "*" {
            return self.subscribe_all(since);
        }
        let name: Arc<str> = name.into();
        self.held.remove(&name);
        self.refused.remove(&name);
        self.owed.add(Arc::clone(&name), since);
        self.names.insert(name);
    }

    fn subscribe_all(&mut self, since: u64) {
        self.wildcard = true;
        self.greeting = true;
        self.held.values_mut().for_each(|version| *version = None);
        self.comparison = Some(Comparison { since, first: true });
    }

    fn unsubscribe(&mut self, name: &str, since: u64) {
        if name == "*" {
            return self.unsubscribe_all();
        }
        self.names.remove(name);
        self.held.remove(name);
        self.good.remove(name);
        self.refused.remove(name);
        for waiting in [
            &mut self.owed,
            &mut self.changed,
            &mut self.gone,
            &mut self.removing,
        ] {
            waiting.remove(name);
        }
        // The wildcard still covers the name, so the client expects an answer for it.
        if self.wildcard {
            self.owed.add(name.into(), since);
        }
    }

    fn unsubscribe_all(&mut self) {
        self.wildcard = false;
        self.greeting = false;
        let Self {
            names,
            held,
            good,
            refused,
            owed,
            changed,
            gone,
            removing,
            ..
        } = self;
        held.retain(|name, _| names.contains(name));
        good.retain(|name, _| names.contains(name));
        refused.retain(|name, _| names.contains(name));
        for waiting in [owed, changed, gone, removing] {
            waiting.retain(|name| names.contains(name));
        }
    }

    /// Records the versions that a reconnected client reports. Unless they are trusted, its subscriptions are answered
    /// all the same.
    fn recall(&mut self, versions: &HashMap<String, String>, since: u64, trusted: bool) {
        for (name, version) in versions {
            if self.covers(name) {
                self.held.insert(
                    name.as_str().into(),
                    Resource::parse_version(version).filter(|_| trusted),
                );
                if trusted {
                    self.owed.remove(name);
                }
            }
        }
        if !versions.is_empty() {
            self.comparison = Some(Comparison { since, first: true });
        }
    }

    /// Adds the client's rejections on an earlier stream.
    pub(super) fn recall_refusals(&mut self, refused: BTreeMap<Arc<str>, Refusal>) {
        self.refused.extend(refused);
    }

    /// Handles the ACK or NACK of the response with `nonce`. Any other nonce is stale and ignored.
    pub(super) fn on_verdict(&mut self, nonce: &str, refused: Option<&str>) {
        let Some(Outstanding { batch, .. }) = self.outstanding.take_if(|sent| sent.nonce == nonce) else {
            return;
        };
        match refused {
            None => batch
                .items
                .iter()
                .for_each(|(name, resource)| self.accept(name, resource.as_ref())),
            Some(reason) => self.refuse(&batch, reason),
        }
    }

    fn accept(&mut self, name: &Arc<str>, resource: Option<&Resource>) {
        if !self.covers(name) {
            return;
        }
        let Some(resource) = resource else {
            self.held.remove(name);
            self.good.remove(name);
            self.refused.remove(name);
            return;
        };
        self.held.insert(Arc::clone(name), Some(resource.version));
        if !self.is_good(name, Some(resource)) {
            self.refused.remove(name);
        }
        match resource.body {
            Body::Sections(_) => drop(self.good.insert(Arc::clone(name), resource.clone())),
            Body::Encoded(_) => drop(self.good.remove(name)),
        }
    }

    /// Handles a NACK. Envoy rejects a response as a whole, and the part that it has applied is unknown: both halves
    /// are sent again, down to the single bad resource.
    fn refuse(&mut self, batch: &Batch, reason: &str) {
        for (name, _) in batch.items.iter().filter(|(_, resource)| resource.is_some()) {
            if self.covers(name) {
                self.held.insert(Arc::clone(name), None);
            }
        }
        if batch.items.len() > 1 {
            batch
                .halves()
                .into_iter()
                .rev()
                .for_each(|half| self.retries.push_front(half));
            return;
        }
        for (name, resource) in &batch.items {
            let refusal = Refusal::now(resource.as_ref(), batch.since, batch.generation, reason);
            self.refuse_one(name, resource.as_ref(), refusal);
        }
    }

    /// Records a rejected version, which is not sent again. After a rejected filter configuration, the last good one is
    /// sent again. Envoy compares a configuration with the one received before, and would accept a bad one that it
    /// receives twice in a row as unchanged; until it has the good one, it rejects every listener that references the
    /// filter.
    fn refuse_one(&mut self, name: &Arc<str>, resource: Option<&Resource>, mut refusal: Refusal) {
        if !self.covers(name) {
            return;
        }
        let generation = refusal.generation;
        if self.is_good(name, resource) {
            self.good.remove(name);
        } else {
            // It still lacks the changes that it rejected before.
            let before = self.refused.get(name).filter(|before| !before.caught_up);
            refusal.since = before.map_or(refusal.since, |before| before.since.min(refusal.since));
            self.refused.insert(Arc::clone(name), refusal);
        }
        if resource.is_some() && self.good.contains_key(name) {
            self.owed.add(Arc::clone(name), generation);
        }
    }
}

/// The state of the subscription.
impl Subscription {
    pub(super) fn is_seen(&self) -> bool {
        self.seen
    }

    /// The number of names that the server keeps for the client.
    pub(super) fn size(&self) -> usize {
        self.names.len()
    }

    pub(super) fn good(&self, name: &str) -> Option<&Resource> {
        self.good.get(name)
    }

    /// The rejections that keep the client from having the newest resources.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&Arc<str>, &Refusal)> {
        self.refused.iter().filter(|(_, refusal)| refusal.stands)
    }

    /// All rejections, including those that only prevent a resend.
    pub(super) fn refusals(&self) -> &BTreeMap<Arc<str>, Refusal> {
        &self.refused
    }

    /// Returns true if a rejection keeps the client from having the newest resources.
    pub(super) fn has_nack(&self) -> bool {
        self.refused().next().is_some()
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(super) fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    pub(super) fn is_removing(&self) -> bool {
        !self.removing.is_empty()
    }

    pub(super) fn is_outstanding(&self) -> bool {
        self.outstanding.is_some()
    }

    /// Returns true if everything that was released was sent, and acknowledged or rejected.
    pub(super) fn is_acked(&self) -> bool {
        self.released.is_none() && self.retries.is_empty() && self.outstanding.is_none()
    }

    /// The generation of the oldest unsent change.
    pub(super) fn oldest_unsent(&self) -> Option<u64> {
        let comparison = self.comparison.map(|comparison| comparison.since);
        let batches = self.released.iter().chain(&self.retries).map(|batch| batch.since);
        let greeting = self.greeting.then_some(u64::MAX);
        batches
            .chain(comparison)
            .chain(greeting)
            .chain(self.owed.since())
            .chain(self.changed.since())
            .min()
    }

    /// The generation of the oldest change that is not acknowledged or rejected.
    pub(super) fn oldest_unacked(&self) -> Option<u64> {
        let outstanding = self.outstanding.as_ref().map(|sent| sent.batch.since);
        outstanding.into_iter().chain(self.oldest_unsent()).min()
    }

    /// The generation of the oldest unsent removal.
    pub(super) fn oldest_removal(&self) -> Option<u64> {
        self.gone.since().into_iter().chain(self.removing.since()).min()
    }

    /// Excludes a name, which the session handles itself.
    pub(super) fn exclude(&mut self, name: &Arc<str>) {
        self.excluded = Some(Arc::clone(name));
    }

    /// Returns true if the client subscribes to any names, and has accepted some version of each.
    pub(super) fn has_all_named(&self) -> bool {
        let has = |name: &Arc<str>| matches!(self.held.get(name), Some(Some(_)));
        !self.names.is_empty() && self.names.iter().all(has)
    }

    fn covers(&self, name: &str) -> bool {
        self.excluded.as_deref() != Some(name) && (self.wildcard || self.names.contains(name))
    }

    /// Returns true if `resource` is covered, differs from the client's version, and was not rejected before.
    fn wants(&self, name: &str, resource: Option<&Resource>) -> bool {
        let version = resource.map(|resource| resource.version);
        self.covers(name) && self.held.get(name) != Some(&version) && !self.has_refused(name, version)
    }

    fn has_refused(&self, name: &str, version: Option<u64>) -> bool {
        self.refused
            .get(name)
            .is_some_and(|refusal| refusal.version == version)
    }

    fn is_good(&self, name: &str, resource: Option<&Resource>) -> bool {
        let good = self.good.get(name).map(|good| good.version);
        good.is_some() && good == resource.map(|resource| resource.version)
    }

    /// Returns true if the client will have some version of `name` after the released and outstanding responses.
    fn will_have(&self, name: &str) -> bool {
        let sent = self
            .outstanding
            .as_ref()
            .and_then(|sent| sent.batch.items.get(name));
        self.is_released(name) || sent.map_or_else(|| self.held.contains_key(name), Option::is_some)
    }

    /// Returns true if `name` is released, or in the outstanding response.
    fn is_under_way(&self, name: &str) -> bool {
        self.is_released(name)
            || self
                .outstanding
                .as_ref()
                .is_some_and(|sent| sent.batch.items.contains_key(name))
    }

    fn is_released(&self, name: &str) -> bool {
        self.released
            .as_ref()
            .is_some_and(|batch| batch.items.contains_key(name))
    }
}

// === impl Refusal ===

impl Refusal {
    /// The maximum length of a stored reason, in bytes. Envoy's reasons can contain the whole resource.
    const LONGEST_REASON: usize = 1024;

    /// Reviews if the rejection still keeps the client, which has version `held`, from having the newest version.
    fn review(&mut self, name: &str, type_store: &TypeStore, held: Option<u64>) {
        let newest = type_store.get(name).map(|resource| resource.version);
        let changed_at = type_store.changed_at(name);
        let unchanged = changed_at.is_some_and(|at| at <= self.generation);
        let has_newest = held.is_some() && held == newest;
        self.caught_up |= has_newest;
        self.stands = newest == self.version || (self.version.is_some() && unchanged && !has_newest);
        if let Some(at) = changed_at.filter(|_| newest == self.version) {
            // The rejected version came back, and is not sent again: a client that had caught up lacks it since then.
            if mem::take(&mut self.caught_up) {
                self.since = at;
            }
            // An answer to a new subscription was sent as if the resource had just changed.
            self.since = self.since.min(at);
            self.generation = self.generation.max(at);
        }
    }

    /// A rejection of the changes from generation `since` to `generation`.
    pub(super) fn now(resource: Option<&Resource>, since: u64, generation: u64, reason: &str) -> Self {
        let reason = reason
            .get(..reason.floor_char_boundary(Self::LONGEST_REASON))
            .unwrap_or_default()
            .into();
        let version = resource.map(|resource| resource.version);
        Self {
            version,
            reason,
            at: SystemTime::now(),
            since: since.min(generation),
            generation,
            stands: true,
            caught_up: false,
        }
    }
}

/// Returns true if changes of the type wait until other types are accepted.
pub(super) const fn is_ordered(kind: ResourceType) -> bool {
    matches!(
        kind,
        ResourceType::Listener | ResourceType::Route | ResourceType::Extension
    )
}
