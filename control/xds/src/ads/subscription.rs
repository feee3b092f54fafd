//! What one Envoy wants of one resource type, what it has of it, and what it is owed.

mod sending;

use super::{answer::Batch, pending::Pending, store::Shelf};
use crate::resource::{Body, Resource, ResourceType};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    mem,
    sync::Arc,
    time::SystemTime,
};

/// One resource type on one stream.
///
/// A name moves `changed` -> sent -> `held`. What may not be sent as soon as it changed (see [`super::session`]) rests
/// in `changed` until it is released, which puts it into `released`; what is gone rests in `gone`, then in `departing`.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// The client has asked for the type on this stream.
    seen: bool,
    /// The generation of the store that was read last.
    generation: u64,
    wildcard: bool,
    /// The names that the client asked for one by one.
    names: BTreeSet<Arc<str>>,
    /// What the client has. No version: it has one, or may have, and nobody knows which.
    held: BTreeMap<Arc<str>, Option<u64>>,
    /// The filter's configuration as the client accepted it last.
    good: BTreeMap<Arc<str>, Resource>,
    refused: BTreeMap<Arc<str>, Refusal>,
    /// A wildcard is answered even if there is nothing to say: Envoy waits for it when it starts.
    greeting: bool,
    /// Everything has to be compared with the store.
    comparison: Option<Comparison>,
    /// Names that the client asked for and has no answer to.
    owed: Pending,
    changed: Pending,
    gone: Pending,
    departing: Pending,
    /// Something that the client never had is gone again.
    vanished: bool,
    released: Option<Batch>,
    /// Parts of refused responses, to find out which resource is to blame.
    retries: VecDeque<Batch>,
    outstanding: Option<Outstanding>,
}

/// Why a name has not the version that it should have.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// What was refused. `None` for a removal.
    pub(super) version: Option<u64>,
    pub(super) reason: Arc<str>,
    pub(super) at: SystemTime,
    /// The generation of the oldest change that the client has not for it.
    pub(super) since: u64,
    /// The generation of the store that was sent, or that of a later change back to what was refused.
    pub(super) generation: u64,
    /// It keeps the client from having the newest. Otherwise it is only known not to be worth sending.
    pub(super) stands: bool,
    /// The client has had the newest since, so that it lacks nothing for it.
    pub(super) caught_up: bool,
}

/// A response without verdict yet.
#[derive(Debug)]
struct Outstanding {
    nonce: String,
    batch: Arc<Batch>,
}

/// How to compare what the client has with what there is.
#[derive(Clone, Copy, Debug)]
struct Comparison {
    since: u64,
    /// What the client has not is its first answer, not a change.
    first: bool,
}

// === impl Subscription ===

/// What the client says.
impl Subscription {
    /// Takes over the names that `request` adds and drops.
    ///
    /// `since` is the generation that an answer must be younger than; `trusted` says whether the client needs no answer
    /// for a version that it reports and that is the newest.
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

    /// Whatever the client asks for is answered, also if it is known to have the newest version: it may have forgotten.
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
            &mut self.departing,
        ] {
            waiting.remove(name);
        }
        // The wildcard still covers the name, so the client waits to hear whether it stays.
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
            departing,
            ..
        } = self;
        held.retain(|name, _| names.contains(name));
        good.retain(|name, _| names.contains(name));
        refused.retain(|name, _| names.contains(name));
        for waiting in [owed, changed, gone, departing] {
            waiting.retain(|name| names.contains(name));
        }
    }

    /// Takes the client's word for what it has, after it lost the stream before. Unless it is trusted to know, what it
    /// asks for is answered all the same.
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

    /// Takes over what the client refused on an earlier stream.
    pub(super) fn recall_refusals(&mut self, refused: BTreeMap<Arc<str>, Refusal>) {
        self.refused.extend(refused);
    }

    /// Takes the verdict on the response with `nonce`. Any other nonce is stale, and its verdict means nothing.
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

    /// Envoy refuses a response as a whole, and what it took of it is unknown: send the halves, down to the one
    /// resource that it does not want.
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
            let refusal = Refusal::now(resource.as_ref(), (batch.since, batch.generation), reason);
            self.refuse_one(name, resource.as_ref(), refusal);
        }
    }

    /// A version that was refused is not sent again. If it was the filter's configuration, the last good one is: Envoy
    /// compares what it gets with what it got last, and would take a bad configuration that it gets twice in a row for
    /// no change and accept it; until then it refuses every listener that names the filter.
    fn refuse_one(&mut self, name: &Arc<str>, resource: Option<&Resource>, mut refusal: Refusal) {
        if !self.covers(name) {
            return;
        }
        let generation = refusal.generation;
        if self.is_good(name, resource) {
            self.good.remove(name);
        } else {
            // What it refused before, it still has not.
            let before = self.refused.get(name).filter(|before| !before.caught_up);
            refusal.since = before.map_or(refusal.since, |before| before.since.min(refusal.since));
            self.refused.insert(Arc::clone(name), refusal);
        }
        if resource.is_some() && self.good.contains_key(name) {
            self.owed.add(Arc::clone(name), generation);
        }
    }
}

/// What there is to know.
impl Subscription {
    pub(super) fn is_seen(&self) -> bool {
        self.seen
    }

    /// How many names the client made the server keep.
    pub(super) fn size(&self) -> usize {
        self.names.len()
    }

    pub(super) fn good(&self, name: &str) -> Option<&Resource> {
        self.good.get(name)
    }

    /// What the client refuses of what there is.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&Arc<str>, &Refusal)> {
        self.refused.iter().filter(|(_, refusal)| refusal.stands)
    }

    /// Whatever the client refused and should not be sent again.
    pub(super) fn refusals(&self) -> &BTreeMap<Arc<str>, Refusal> {
        &self.refused
    }

    /// Whether the client refuses anything of what there is.
    pub(super) fn clings(&self) -> bool {
        self.refused().next().is_some()
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(super) fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    pub(super) fn is_departing(&self) -> bool {
        !self.departing.is_empty()
    }

    pub(super) fn is_outstanding(&self) -> bool {
        self.outstanding.is_some()
    }

    /// Whether everything that was released was sent, and has its verdict.
    pub(super) fn is_settled(&self) -> bool {
        self.released.is_none() && self.retries.is_empty() && self.outstanding.is_none()
    }

    /// The generation of the oldest change that was not sent.
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

    /// The generation of the oldest change without a verdict.
    pub(super) fn oldest_unsettled(&self) -> Option<u64> {
        let outstanding = self.outstanding.as_ref().map(|sent| sent.batch.since);
        outstanding.into_iter().chain(self.oldest_unsent()).min()
    }

    /// The generation of the oldest removal that was not sent.
    pub(super) fn oldest_removal(&self) -> Option<u64> {
        self.gone.since().into_iter().chain(self.departing.since()).min()
    }

    fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Whether sending `resource` would tell the client anything, and was not refused before.
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

    /// Whether the client has `name` in some version, once it has what is under way.
    fn will_have(&self, name: &str) -> bool {
        let sent = self
            .outstanding
            .as_ref()
            .and_then(|sent| sent.batch.items.get(name));
        self.is_released(name) || sent.map_or_else(|| self.held.contains_key(name), Option::is_some)
    }

    /// Whether the client is about to get something else than it has.
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
    /// The longest reason that is kept, in bytes. Envoy's can repeat the whole resource.
    const LONGEST_REASON: usize = 1024;

    /// Finds out whether what was refused still keeps the client, which has version `held`, from having the newest.
    fn review(&mut self, name: &str, shelf: &Shelf, held: Option<u64>) {
        let newest = shelf.get(name).map(|resource| resource.version);
        let changed_at = shelf.changed_at(name);
        let unchanged = changed_at.is_some_and(|at| at <= self.generation);
        let has_newest = held.is_some() && held == newest;
        self.caught_up |= has_newest;
        self.stands = newest == self.version || (self.version.is_some() && unchanged && !has_newest);
        if let Some(at) = changed_at.filter(|_| newest == self.version) {
            // It came back, and is not sent again: the client that had caught up lacks it since then.
            if mem::take(&mut self.caught_up) {
                self.since = at;
            }
            // What was asked for anew was sent as if it had just changed.
            self.since = self.since.min(at);
            self.generation = self.generation.max(at);
        }
    }

    /// Of changes from the one generation to the other.
    pub(super) fn now(resource: Option<&Resource>, (since, generation): (u64, u64), reason: &str) -> Self {
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

/// Whether changes of the type wait for others to be accepted.
pub(super) const fn is_ordered(kind: ResourceType) -> bool {
    matches!(
        kind,
        ResourceType::Listener | ResourceType::Route | ResourceType::Extension
    )
}
