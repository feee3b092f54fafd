//! How what changed at one time becomes live, step by step.

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

/// A way through the steps with what there was when it began.
#[derive(Debug)]
pub(super) struct Pass {
    /// The generation of the store that is to become live.
    generation: u64,
    /// The generation of the oldest change in it.
    since: u64,
    step: Step,
    /// When the step was entered.
    entered: Instant,
    sets: PerType<Option<Batch>>,
    gone: PerType<Pending>,
}

/// What a pass waits for.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// That the clusters are sent.
    Clusters,
    /// That the clusters are warm, and the listeners accepted.
    Listeners,
    /// That the filter knows the switches that the routes are to name.
    Bridge,
    /// That the routes are accepted.
    Routes,
    /// That the filter is as it is to be.
    Extensions,
}

// === impl Pass ===

impl Pass {
    pub(super) fn entered(&self) -> Instant {
        self.entered
    }

    pub(super) fn since(&self) -> u64 {
        self.since
    }
}

// === impl Session ===

impl Session {
    /// Goes on with the pass, and with the next one, as far as the client's verdicts allow.
    pub(super) fn advance(&mut self, store: &Store, now: Instant) {
        while let Some(mut pass) = self.pass.take().or_else(|| self.begin(store, now)) {
            if !self.is_done(&pass) && now < pass.entered + self.limits.patience {
                self.pass = Some(pass);
                return;
            }
            pass.entered = now;
            self.pass = self.leave(pass, store);
        }
    }

    /// Begins anew with what there is now, if the pass may name a cluster that is gone before the client ever had it,
    /// or make something older again of what the client asked for meanwhile.
    pub(super) fn renew(&mut self, store: &Store, now: Instant) {
        let vanished = self.subscriptions.get_mut(ResourceType::Cluster).take_vanished();
        let asked_anew = mem::take(&mut self.asked_anew);
        let is_stale =
            |pass: &mut Pass| asked_anew || vanished && matches!(pass.step, Step::Clusters | Step::Listeners);
        if let Some(Pass {
            mut sets,
            mut gone,
            entered,
            ..
        }) = self.pass.take_if(is_stale)
        {
            for (kind, subscription) in self.subscriptions.iter_mut() {
                subscription.thaw(
                    store.shelf(kind),
                    sets.get_mut(kind).take(),
                    gone.get_mut(kind).take(),
                );
            }
            self.pass = self.begin(store, now).map(|pass| Pass { entered, ..pass });
        }
    }

    fn begin(&mut self, store: &Store, now: Instant) -> Option<Pass> {
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
                *sets.get_mut(kind) = subscription.freeze(store.shelf(kind));
            }
            *gone.get_mut(kind) = subscription.freeze_gone();
        }
        let generation = self.cursor;
        let since = oldest(&sets, &gone).unwrap_or(generation);
        Some(Pass {
            generation,
            since,
            step: Step::Clusters,
            entered: now,
            sets,
            gone,
        })
    }

    pub(super) fn is_done(&self, Pass { generation, step, .. }: &Pass) -> bool {
        let clusters = self.subscriptions.get(ResourceType::Cluster);
        let after = |since: Option<u64>| since.is_none_or(|since| since > *generation);
        let settled = |kind| self.subscriptions.get(kind).is_settled();
        match step {
            Step::Clusters => after(clusters.oldest_unsent()),
            Step::Listeners => after(clusters.oldest_unsettled()) && settled(ResourceType::Listener),
            Step::Bridge | Step::Extensions => settled(ResourceType::Extension),
            Step::Routes => settled(ResourceType::Route),
        }
    }

    /// Lets out what comes after the step. `None` when the pass is over.
    fn leave(&mut self, mut pass: Pass, store: &Store) -> Option<Pass> {
        pass.step = match pass.step {
            Step::Clusters => {
                self.release(
                    ResourceType::Listener,
                    pass.sets.get_mut(ResourceType::Listener).take(),
                );
                Step::Listeners
            }
            Step::Listeners => {
                self.release(ResourceType::Extension, self.bridge(&pass));
                Step::Bridge
            }
            Step::Bridge => {
                self.release(ResourceType::Route, pass.sets.get_mut(ResourceType::Route).take());
                Step::Routes
            }
            Step::Routes => {
                let target = pass.sets.get_mut(ResourceType::Extension).take();
                let target = target.map(|target| self.without_loss(target));
                self.release(ResourceType::Extension, target);
                Step::Extensions
            }
            Step::Extensions => {
                self.depart(pass.gone, store);
                return None;
            }
        };
        Some(pass)
    }

    fn release(&mut self, kind: ResourceType, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.subscriptions.get_mut(kind).release(batch);
        }
    }

    fn depart(&mut self, mut gone: PerType<Pending>, store: &Store) {
        for (kind, names) in gone.iter_mut() {
            self.subscriptions
                .get_mut(kind)
                .depart(store.shelf(kind), names.take());
        }
    }

    /// What the filter has, and the switches besides that only the new routes name: between the two updates, old and
    /// new routes both find their switch.
    fn bridge(&self, pass: &Pass) -> Option<Batch> {
        pass.sets.get(ResourceType::Route).as_ref()?;
        let mut batch = pass.sets.get(ResourceType::Extension).clone()?;
        batch.items.retain(|name, target| {
            let bridge = self
                .sections_of(name, target.as_ref())
                .and_then(|(good, target)| {
                    good.lacks_keys_of(target)
                        .then(|| to_resource(good.bridge(target)))
                });
            *target = bridge;
            target.is_some()
        });
        Some(batch)
    }

    /// While the client keeps routes that it should have given up, it keeps the switches that they may name.
    fn without_loss(&mut self, mut batch: Batch) -> Batch {
        if !self.subscriptions.get(ResourceType::Route).clings() {
            return batch;
        }
        for (name, target) in &mut batch.items {
            let kept = self
                .sections_of(name, target.as_ref())
                .and_then(|(good, target)| {
                    target
                        .lacks_keys_of(good)
                        .then(|| to_resource(target.bridge(good)))
                });
            if kept.is_some() {
                self.excessive.add(Arc::clone(name), batch.since);
                *target = kept;
            }
        }
        batch
    }

    /// Takes back what [`Session::without_loss`] kept, once the routes are as they should be.
    fn give_up_excess(&mut self) {
        if !self.subscriptions.get(ResourceType::Route).clings() {
            let excessive = self.excessive.take();
            self.subscriptions
                .get_mut(ResourceType::Extension)
                .touch(excessive);
        }
    }

    /// The filter's configuration that the client has, and the one that it is to get.
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
