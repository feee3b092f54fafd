//! The rollout of a set of changes, step by step.

use super::Session;
use crate::{
    ads::{
        answer::Batch,
        pending::Pending,
        store::Store,
        subscription::{Subscription, is_ordered},
    },
    resource::{Body, PerType, Resource, ResourceType},
    sections::Sections,
};
use std::{mem, sync::Arc, time::Instant};

/// A pass through the steps, with the resources as of its start.
#[derive(Debug)]
pub(super) struct Rollout {
    /// The store's generation that is rolled out.
    generation: u64,
    /// The generation of the oldest change in it.
    since: u64,
    step: Step,
    /// The time when the step was entered.
    entered: Instant,
    sets: PerType<Option<Batch>>,
    gone: PerType<Pending>,
}

/// The condition that a rollout waits for.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The clusters are sent.
    Clusters,
    /// The clusters are warm, and the listeners acknowledged.
    Listeners,
    /// The filter has the switches that the new routes reference.
    Overlap,
    /// The routes are acknowledged.
    Routes,
    /// The filter has its final configuration.
    Extensions,
}

// === impl Rollout ===

impl Rollout {
    pub(super) fn entered(&self) -> Instant {
        self.entered
    }

    pub(super) fn since(&self) -> u64 {
        self.since
    }
}

// === impl Session ===

impl Session {
    /// Advances the rollout, and the next one, as far as the client's ACKs and NACKs allow.
    pub(super) fn advance(&mut self, store: &Store, now: Instant) {
        while let Some(mut rollout) = self.rollout.take().or_else(|| self.begin(store, now)) {
            if !self.is_done(&rollout) && now < rollout.entered + self.limits.patience {
                self.rollout = Some(rollout);
                return;
            }
            rollout.entered = now;
            self.rollout = self.leave(rollout, store);
        }
    }

    /// Restarts the rollout with the current resources if it may reference a cluster that was removed before the client
    /// had it, or may send an older version of a name that the client has subscribed to meanwhile.
    pub(super) fn renew(&mut self, store: &Store, now: Instant) {
        let vanished = self.subscriptions.get_mut(ResourceType::Cluster).take_vanished();
        let asked_anew = mem::take(&mut self.asked_anew);
        let is_stale = |rollout: &mut Rollout| {
            asked_anew || vanished && matches!(rollout.step, Step::Clusters | Step::Listeners)
        };
        if let Some(Rollout {
            mut sets,
            mut gone,
            entered,
            ..
        }) = self.rollout.take_if(is_stale)
        {
            for (kind, subscription) in self.subscriptions.iter_mut() {
                subscription.thaw(
                    store.type_store(kind),
                    sets.get_mut(kind).take(),
                    gone.get_mut(kind).take(),
                );
            }
            self.rollout = self
                .begin(store, now)
                .map(|rollout| Rollout { entered, ..rollout });
        }
    }

    fn begin(&mut self, store: &Store, now: Instant) -> Option<Rollout> {
        self.give_up_excess();
        let changed = self
            .subscriptions
            .iter_mut()
            .any(|(kind, sub)| is_ordered(kind) && sub.has_changed());
        let gone = self.subscriptions.iter().any(Subscription::has_gone);
        if !(changed || gone) || self.is_arriving(now) {
            return None;
        }
        let (mut sets, mut gone) = (PerType::default(), PerType::default());
        for (kind, subscription) in self.subscriptions.iter_mut() {
            if is_ordered(kind) {
                *sets.get_mut(kind) = subscription.freeze(store.type_store(kind));
            }
            *gone.get_mut(kind) = subscription.freeze_gone();
        }
        let generation = self.cursor;
        let since = oldest(&sets, &gone).unwrap_or(generation);
        Some(Rollout {
            generation,
            since,
            step: Step::Clusters,
            entered: now,
            sets,
            gone,
        })
    }

    pub(super) fn is_done(&self, Rollout { generation, step, .. }: &Rollout) -> bool {
        let clusters = self.subscriptions.get(ResourceType::Cluster);
        let after = |since: Option<u64>| since.is_none_or(|since| since > *generation);
        let acked = |kind| self.subscriptions.get(kind).is_acked();
        match step {
            Step::Clusters => after(clusters.oldest_unsent()),
            Step::Listeners => after(clusters.oldest_unacked()) && acked(ResourceType::Listener),
            Step::Overlap | Step::Extensions => acked(ResourceType::Extension),
            Step::Routes => acked(ResourceType::Route),
        }
    }

    /// Releases the resources for the next step. Returns `None` when the rollout is over.
    fn leave(&mut self, mut rollout: Rollout, store: &Store) -> Option<Rollout> {
        rollout.step = match rollout.step {
            Step::Clusters => {
                self.release(
                    ResourceType::Listener,
                    rollout.sets.get_mut(ResourceType::Listener).take(),
                );
                Step::Listeners
            }
            Step::Listeners => {
                self.release(ResourceType::Extension, self.overlap(&rollout));
                Step::Overlap
            }
            Step::Overlap => {
                self.release(
                    ResourceType::Route,
                    rollout.sets.get_mut(ResourceType::Route).take(),
                );
                Step::Routes
            }
            Step::Routes => {
                let target = rollout.sets.get_mut(ResourceType::Extension).take();
                let target = target.map(|target| self.without_loss(target));
                self.release(ResourceType::Extension, target);
                Step::Extensions
            }
            Step::Extensions => {
                self.remove(rollout.gone, store);
                return None;
            }
        };
        Some(rollout)
    }

    fn release(&mut self, kind: ResourceType, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.subscriptions.get_mut(kind).release(batch);
        }
    }

    fn remove(&mut self, mut gone: PerType<Pending>, store: &Store) {
        for (kind, names) in gone.iter_mut() {
            self.subscriptions
                .get_mut(kind)
                .remove(store.type_store(kind), names.take());
        }
    }

    /// The filter's current configuration, with the switches added that only the new routes reference: between the two
    /// updates, old and new routes both find their switch.
    fn overlap(&self, rollout: &Rollout) -> Option<Batch> {
        rollout.sets.get(ResourceType::Route).as_ref()?;
        let mut batch = rollout.sets.get(ResourceType::Extension).clone()?;
        batch.items.retain(|name, target| {
            let overlap = self
                .sections_of(name, target.as_ref())
                .and_then(|(good, target)| {
                    good.lacks_keys_of(target)
                        .then(|| to_resource(good.overlap(target)))
                });
            *target = overlap;
            target.is_some()
        });
        Some(batch)
    }

    /// Keeps the switches that old routes may reference, while the client rejects the new routes.
    fn without_loss(&mut self, mut batch: Batch) -> Batch {
        if !self.subscriptions.get(ResourceType::Route).has_nack() {
            return batch;
        }
        for (name, target) in &mut batch.items {
            let kept = self
                .sections_of(name, target.as_ref())
                .and_then(|(good, target)| {
                    target
                        .lacks_keys_of(good)
                        .then(|| to_resource(target.overlap(good)))
                });
            if kept.is_some() {
                self.excessive.add(Arc::clone(name), batch.since);
                *target = kept;
            }
        }
        batch
    }

    /// Marks filters for an update without the switches that [`Session::without_loss`] kept, once the routes are
    /// accepted.
    fn give_up_excess(&mut self) {
        if !self.subscriptions.get(ResourceType::Route).has_nack() {
            let excessive = self.excessive.take();
            self.subscriptions
                .get_mut(ResourceType::Extension)
                .touch(excessive);
        }
    }

    /// The filter configuration that the client has, and its target.
    fn sections_of<'s>(
        &'s self,
        name: &str,
        target: Option<&'s Resource>,
    ) -> Option<(&'s Sections, &'s Sections)> {
        let good = self.subscriptions.get(ResourceType::Extension).good(name)?;
        match (&good.body, &target?.body) {
            (Body::Sections(good), Body::Sections(target)) => Some((good, target)),
            _ => None,
        }
    }
}

fn to_resource(sections: Sections) -> Resource {
    Resource {
        version: sections.version(),
        body: Body::Sections(Arc::new(sections)),
    }
}

fn oldest(sets: &PerType<Option<Batch>>, gone: &PerType<Pending>) -> Option<u64> {
    let sets = sets.iter().flatten().map(|batch| batch.since);
    sets.chain(gone.iter().filter_map(Pending::since)).min()
}
