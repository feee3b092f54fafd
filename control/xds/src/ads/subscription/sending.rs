//! What goes out for one resource type: read from the store, released, and put together.

use super::{Comparison, Outstanding, Subscription, is_ordered};
use crate::{
    ads::{answer::Batch, pending::Pending, store::Shelf},
    resource::{Resource, ResourceType},
};
use std::{collections::BTreeMap, mem, sync::Arc};

// === impl Subscription ===

/// What the store says.
impl Subscription {
    /// Takes over what changed in the store after `cursor`, up to `generation`.
    pub(in crate::ads) fn read(&mut self, shelf: &Shelf, cursor: u64, generation: u64) {
        self.generation = generation;
        match (self.comparison.take(), shelf.changes_since(cursor)) {
            (Some(comparison), _) => self.compare(shelf, comparison),
            (None, Some(changes)) => {
                changes.for_each(|(generation, name)| self.note(shelf, name, generation))
            }
            (None, None) => self.compare(
                shelf,
                Comparison {
                    since: cursor + 1,
                    first: false,
                },
            ),
        }
        for (name, refusal) in &mut self.refused {
            refusal.review(name, shelf, self.held.get(name).copied().flatten());
        }
    }

    fn note(&mut self, shelf: &Shelf, name: &Arc<str>, generation: u64) {
        if !self.covers(name) {
            return;
        }
        if shelf.contains(name) {
            self.gone.remove(name);
            self.departing.remove(name);
            self.changed.add(Arc::clone(name), generation);
        } else {
            self.vanished |= self.changed.remove(name) && !self.will_have(name);
            self.gone.add(Arc::clone(name), generation);
        }
    }

    /// Whether something that the client never had is gone again, since this was asked last.
    pub(in crate::ads) fn take_vanished(&mut self) -> bool {
        mem::take(&mut self.vanished)
    }

    fn compare(&mut self, shelf: &Shelf, Comparison { since, first }: Comparison) {
        self.hold_what_is_out();
        for (name, resource) in self.wanted_of(shelf) {
            match self.held.get(name) {
                Some(version) if *version == Some(resource.version) => {}
                None if first => self.owed.add(Arc::clone(name), since),
                _ => self.changed.add(Arc::clone(name), since),
            }
        }
        for name in self.held.keys().filter(|name| !shelf.contains(name)) {
            self.changed.remove(name);
            self.gone.add(Arc::clone(name), since);
        }
    }

    /// What is on its way counts as had, in a version that will only be known with the verdict.
    fn hold_what_is_out(&mut self) {
        let Some(Outstanding { batch, .. }) = &self.outstanding else {
            return;
        };
        let set = batch.items.iter().filter(|(_, resource)| resource.is_some());
        let covered = set.filter(|(name, _)| self.wildcard || self.names.contains(*name));
        for (name, _) in covered {
            self.held.entry(Arc::clone(name)).or_insert(None);
        }
    }

    fn wanted_of<'s>(&self, shelf: &'s Shelf) -> Vec<(&'s Arc<str>, &'s Resource)> {
        if self.wildcard {
            shelf.iter().collect()
        } else {
            self.names
                .iter()
                .filter_map(|name| shelf.get_key_value(name))
                .collect()
        }
    }
}

/// What is sent.
impl Subscription {
    /// The next response, if one may be sent: one at a time, so that a verdict is never in doubt.
    ///
    /// A filter's configuration goes alone: what is refused because of another must be sent again, and Envoy would
    /// accept it the second time without using it.
    pub(in crate::ads) fn next_batch(&mut self, kind: ResourceType, shelf: &Shelf) -> Option<Batch> {
        if self.outstanding.is_some() || !self.seen {
            return None;
        }
        if !is_ordered(kind)
            && let Some(batch) = self.freeze(shelf)
        {
            self.release(batch);
        }
        let alone = kind == ResourceType::Extension;
        if let Some(mut batch) = self.next_answer(kind, shelf) {
            let rest = batch.put_off_all_but_one(alone);
            rest.items
                .into_keys()
                .for_each(|name| self.owed.add(name, rest.since));
            return Some(batch);
        }
        self.next_retry(shelf).or_else(|| {
            let mut batch = self.next_released()?;
            self.release(batch.put_off_all_but_one(alone));
            Some(batch)
        })
    }

    /// Answers what the client asked for, together with what else may go out.
    fn next_answer(&mut self, kind: ResourceType, shelf: &Shelf) -> Option<Batch> {
        let since = self.oldest_unsent()?;
        let owed = self.owed.take().into_iter();
        let mut items: BTreeMap<_, _> = owed
            .filter_map(|name| Some((Arc::clone(&name), self.answer_to(&name, shelf)?)))
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

    /// The resource to answer with; `Some(None)` if there is none, and `None` for no answer at all.
    ///
    /// A client that has a filter's configuration and asks again gets what it had: a newer one comes in its turn.
    fn answer_to(&mut self, name: &Arc<str>, shelf: &Shelf) -> Option<Option<Resource>> {
        match (shelf.get(name), self.good.get(name)) {
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

    /// Takes back what was released for `name`.
    fn withdraw(&mut self, name: &str) {
        if let Some(mut batch) = self.released.take() {
            batch.items.remove(name);
            self.release(batch);
        }
    }

    /// The next part of a refused response, without what changed meanwhile.
    fn next_retry(&mut self, shelf: &Shelf) -> Option<Batch> {
        while let Some(mut batch) = self.retries.pop_front() {
            let before = batch.items.len();
            batch.items.retain(|name, resource| {
                self.covers(name) && !self.is_released(name) && (resource.is_some() || !shelf.contains(name))
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

    /// The names that may go now, if no response is out.
    pub(in crate::ads) fn next_departures(&mut self, shelf: &Shelf) -> Option<Batch> {
        let since = self.departing.since()?;
        let mut names = self.departing.take();
        names.retain(|name| {
            self.held.contains_key(name) && !shelf.contains(name) && !self.has_refused(name, None)
        });
        let items: BTreeMap<_, _> = names.into_iter().map(|name| (name, None)).collect();
        (!items.is_empty()).then_some(Batch {
            items,
            since,
            generation: self.generation,
        })
    }

    /// Takes what changed out of waiting, as it is now.
    pub(in crate::ads) fn freeze(&mut self, shelf: &Shelf) -> Option<Batch> {
        let since = self.changed.since()?;
        let names = self.changed.take().into_iter();
        let mut items: BTreeMap<_, _> = names
            .filter_map(|name| shelf.get(&name).cloned().map(|resource| (name, Some(resource))))
            .collect();
        // What is as the client has it must still replace what it is about to get.
        items.retain(|name, resource| self.wants(name, resource.as_ref()) || self.is_under_way(name));
        (!items.is_empty()).then_some(Batch {
            items,
            since,
            generation: self.generation,
        })
    }

    /// Looks at `names` again as if they had changed.
    pub(in crate::ads) fn touch(&mut self, mut names: Pending) {
        names.retain(|name| self.covers(name));
        self.changed.append(names);
    }

    /// Lets `batch` go out, in place of what was released under the same names and has not gone yet.
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

    /// Puts what was taken out back into waiting. What came back meanwhile stays.
    pub(in crate::ads) fn thaw(&mut self, shelf: &Shelf, set: Option<Batch>, mut gone: Pending) {
        if let Some(Batch { items, since, .. }) = set {
            let names = items
                .into_keys()
                .filter(|name| self.wildcard || self.names.contains(name));
            names.for_each(|name| self.changed.add(name, since));
        }
        gone.retain(|name| !shelf.contains(name));
        self.gone.append(gone);
    }

    /// Takes the names that are gone out of waiting.
    pub(in crate::ads) fn freeze_gone(&mut self) -> Pending {
        self.gone.take()
    }

    /// Lets the removal of `names` go out. What came back meanwhile stays.
    pub(in crate::ads) fn depart(&mut self, shelf: &Shelf, mut names: Pending) {
        names.retain(|name| !shelf.contains(name));
        self.departing.append(names);
    }

    /// Makes sure that `name` is sent, if the client wants it at all.
    pub(in crate::ads) fn push(&mut self, name: &Arc<str>, since: u64) {
        if self.covers(name) {
            self.owed.add(Arc::clone(name), since);
        }
    }

    pub(in crate::ads) fn on_sent(&mut self, nonce: String, batch: Arc<Batch>) {
        self.outstanding = Some(Outstanding { nonce, batch });
    }
}
