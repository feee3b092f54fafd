//! The sending side of a subscription: reads the store, releases changes, and builds responses.

use super::{Comparison, Outstanding, Subscription, is_ordered};
use crate::{
    ads::{answer::Batch, pending::Pending, store::TypeStore},
    resource::{Resource, ResourceType},
};
use std::{collections::BTreeMap, mem, sync::Arc};

// === impl Subscription ===

/// The reading of the store.
impl Subscription {
    /// Reads the changes of the store after `cursor`, up to `generation`.
    pub(in crate::ads) fn read(&mut self, type_store: &TypeStore, cursor: u64, generation: u64) {
        self.generation = generation;
        match (self.comparison.take(), type_store.changes_since(cursor)) {
            (Some(comparison), _) => self.compare(type_store, comparison),
            (None, Some(changes)) => {
                changes.for_each(|(generation, name)| self.note(type_store, name, generation))
            }
            (None, None) => self.compare(
                type_store,
                Comparison {
                    since: cursor + 1,
                    first: false,
                },
            ),
        }
        for (name, refusal) in &mut self.refused {
            refusal.review(name, type_store, self.held.get(name).copied().flatten());
        }
    }

    fn note(&mut self, type_store: &TypeStore, name: &Arc<str>, generation: u64) {
        if !self.covers(name) {
            return;
        }
        if type_store.contains(name) {
            self.gone.remove(name);
            self.removing.remove(name);
            self.changed.add(Arc::clone(name), generation);
        } else {
            self.vanished |= self.changed.remove(name) && !self.will_have(name);
            self.gone.add(Arc::clone(name), generation);
        }
    }

    /// Returns true if a resource was removed before the client had it, since the last call.
    pub(in crate::ads) fn take_vanished(&mut self) -> bool {
        mem::take(&mut self.vanished)
    }

    fn compare(&mut self, type_store: &TypeStore, Comparison { since, first }: Comparison) {
        self.hold_what_is_out();
        for (name, resource) in self.wanted_of(type_store) {
            match self.held.get(name) {
                Some(version) if *version == Some(resource.version) => {}
                None if first => self.owed.add(Arc::clone(name), since),
                _ => self.changed.add(Arc::clone(name), since),
            }
        }
        for name in self.held.keys().filter(|name| !type_store.contains(name)) {
            self.changed.remove(name);
            self.gone.add(Arc::clone(name), since);
        }
    }

    /// Counts the resources of the outstanding response as held, in a version that is unknown until its ACK or NACK.
    fn hold_what_is_out(&mut self) {
        let Some(Outstanding { batch, .. }) = &self.outstanding else {
            return;
        };
        let set = batch.items.iter().filter(|(_, resource)| resource.is_some());
        let covered: Vec<_> = set
            .map(|(name, _)| Arc::clone(name))
            .filter(|name| self.covers(name))
            .collect();
        for name in covered {
            self.held.entry(name).or_insert(None);
        }
    }

    fn wanted_of<'s>(&self, type_store: &'s TypeStore) -> Vec<(&'s Arc<str>, &'s Resource)> {
        if self.wildcard {
            type_store.iter().collect()
        } else {
            self.names
                .iter()
                .filter_map(|name| type_store.get_key_value(name))
                .collect()
        }
    }
}

/// The building of responses.
impl Subscription {
    /// Returns the next response, if one may be sent: one at a time, so that an ACK or NACK is unambiguous.
    ///
    /// A filter configuration is sent alone: one that is rejected because of another has to be sent again, and Envoy
    /// would accept it the second time without using it.
    pub(in crate::ads) fn next_batch(&mut self, kind: ResourceType, type_store: &TypeStore) -> Option<Batch> {
        if self.outstanding.is_some() || !self.seen {
            return None;
        }
        if !is_ordered(kind)
            && let Some(batch) = self.freeze(type_store)
        {
            self.release(batch);
        }
        let alone = kind == ResourceType::Extension;
        if let Some(mut batch) = self.next_answer(kind, type_store) {
            let rest = batch.put_off_all_but_one(alone);
            rest.items
                .into_keys()
                .for_each(|name| self.owed.add(name, rest.since));
            return Some(batch);
        }
        self.next_retry(type_store).or_else(|| {
            let mut batch = self.next_released()?;
            self.release(batch.put_off_all_but_one(alone));
            Some(batch)
        })
    }

    /// Answers the client's subscriptions, together with other resources that may be sent.
    fn next_answer(&mut self, kind: ResourceType, type_store: &TypeStore) -> Option<Batch> {
        let since = self.oldest_unsent()?;
        let owed = self.owed.take().into_iter();
        let mut items: BTreeMap<_, _> = owed
            .filter_map(|name| Some((Arc::clone(&name), self.answer_to(&name, type_store)?)))
            .collect();
        if !mem::take(&mut self.greeting) && items.is_empty() {
            return None;
        }
        if !is_ordered(kind)
            && let Some(mut released) = self.next_released()
        {
            released.items.append(&mut items);
            items = released.items;
        }
        self.retries
            .iter_mut()
            .for_each(|batch| batch.items.retain(|name, _| !items.contains_key(name)));
        Some(Batch {
            items,
            since,
            generation: self.generation,
        })
    }

    /// The answer for a name: `Some(None)` if there is no such resource, and `None` for no answer.
    ///
    /// A client that subscribes again to a filter configuration gets the one that it had; a newer one follows in its
    /// turn.
    fn answer_to(&mut self, name: &Arc<str>, type_store: &TypeStore) -> Option<Option<Resource>> {
        match (type_store.get(name), self.good.get(name)) {
            (Some(_), Some(good)) => {
                self.changed.add(Arc::clone(name), self.generation);
                Some(Some(good.clone()))
            }
            (Some(newest), None) if self.has_refused(name, Some(newest.version)) => None,
            (newest, _) => {
                self.withdraw(name);
                Some(newest.cloned())
            }
        }
    }

    /// Withdraws the released version of `name`.
    fn withdraw(&mut self, name: &str) {
        if let Some(mut batch) = self.released.take() {
            batch.items.remove(name);
            self.release(batch);
        }
    }

    /// The next part of a rejected response, without resources that have changed meanwhile.
    fn next_retry(&mut self, type_store: &TypeStore) -> Option<Batch> {
        while let Some(mut batch) = self.retries.pop_front() {
            let before = batch.items.len();
            batch.items.retain(|name, resource| {
                self.covers(name)
                    && !self.is_released(name)
                    && (resource.is_some() || !type_store.contains(name))
            });
            if let (Some(released), true) = (&mut self.released, batch.items.len() < before) {
                released.since = released.since.min(batch.since);
            }
            if !batch.items.is_empty() {
                return Some(batch);
            }
        }
        None
    }

    fn next_released(&mut self) -> Option<Batch> {
        let mut batch = self.released.take()?;
        batch
            .items
            .retain(|name, resource| self.wants(name, resource.as_ref()));
        (!batch.items.is_empty()).then_some(batch)
    }

    /// The removals that may be sent now, if no response is outstanding.
    pub(in crate::ads) fn next_removals(&mut self, type_store: &TypeStore) -> Option<Batch> {
        let since = self.removing.since()?;
        let mut names = self.removing.take();
        names.retain(|name| {
            self.held.contains_key(name) && !type_store.contains(name) && !self.has_refused(name, None)
        });
        let items: BTreeMap<_, _> = names.into_iter().map(|name| (name, None)).collect();
        (!items.is_empty()).then_some(Batch {
            items,
            since,
            generation: self.generation,
        })
    }

    /// Takes the waiting changes, with the current resources.
    pub(in crate::ads) fn freeze(&mut self, type_store: &TypeStore) -> Option<Batch> {
        let since = self.changed.since()?;
        let names = self.changed.take().into_iter();
        let mut items: BTreeMap<_, _> = names
            .filter_map(|name| {
                type_store
                    .get(&name)
                    .cloned()
                    .map(|resource| (name, Some(resource)))
            })
            .collect();
        // A version that the client has must still replace another one that is about to be sent.
        items.retain(|name, resource| self.wants(name, resource.as_ref()) || self.is_under_way(name));
        (!items.is_empty()).then_some(Batch {
            items,
            since,
            generation: self.generation,
        })
    }

    /// Marks `names` as changed.
    pub(in crate::ads) fn touch(&mut self, mut names: Pending) {
        names.retain(|name| self.covers(name));
        self.changed.append(names);
    }

    /// Releases `batch` for sending, in place of released resources of the same names that are not sent yet.
    pub(in crate::ads) fn release(&mut self, mut batch: Batch) {
        if let Some(Batch {
            mut items,
            since,
            generation,
        }) = self.released.take()
        {
            items.append(&mut batch.items);
            batch = Batch {
                items,
                since: since.min(batch.since),
                generation: generation.max(batch.generation),
            };
        }
        self.released = (!batch.items.is_empty()).then_some(batch);
    }

    /// Puts frozen changes and removals back into waiting, except removals of resources that exist again.
    pub(in crate::ads) fn thaw(&mut self, type_store: &TypeStore, set: Option<Batch>, mut gone: Pending) {
        if let Some(Batch { items, since, .. }) = set {
            let names = items
                .into_keys()
                .filter(|name| self.wildcard || self.names.contains(name));
            names.for_each(|name| self.changed.add(name, since));
        }
        gone.retain(|name| !type_store.contains(name));
        self.gone.append(gone);
    }

    /// Takes the waiting removals.
    pub(in crate::ads) fn freeze_gone(&mut self) -> Pending {
        self.gone.take()
    }

    /// Releases the removal of `names`, except of resources that exist again.
    pub(in crate::ads) fn remove(&mut self, type_store: &TypeStore, mut names: Pending) {
        names.retain(|name| !type_store.contains(name));
        self.removing.append(names);
    }

    /// Sends `name` even if it is unchanged, if the client subscribes to it.
    pub(in crate::ads) fn push(&mut self, name: &Arc<str>, since: u64) {
        if self.covers(name) {
            self.owed.add(Arc::clone(name), since);
        }
    }

    pub(in crate::ads) fn on_sent(&mut self, nonce: String, batch: Arc<Batch>) {
        self.outstanding = Some(Outstanding { nonce, batch });
    }
}
