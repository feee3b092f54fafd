//! The newest resources, and what changed in them lately.

use crate::resource::{PerType, Resource, ResourceType, Update};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Every resource that is served, as of one generation.
///
/// A session reads what changed since it last looked from a log, so that one change costs it one look-up however many
/// resources there are.
#[derive(Debug, Default)]
pub struct Store {
    shelves: PerType<Shelf>,
    generation: u64,
    ready: bool,
}

/// The resources of one type.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Each with the generation that changed it last.
    resources: BTreeMap<Arc<str>, (u64, Resource)>,
    log: Log,
}

/// The names that changed lately, oldest first.
#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<(u64, Arc<str>)>,
    /// The youngest generation of which an entry was dropped. Before it, the log does not tell all.
    floor: u64,
}

// === impl Store ===

impl Store {
    /// Applies what differs from what is there, and says which generation that makes.
    ///
    /// An update that changes nothing makes no generation.
    pub fn apply(&mut self, Update { set, removed }: Update) -> u64 {
        let next = self.generation + 1;
        let mut changed = false;
        for (kind, name, resource) in set {
            changed |= self.shelves.get_mut(kind).set(name, resource, next);
        }
        for (kind, name) in removed {
            changed |= self.shelves.get_mut(kind).remove(&name, next);
        }
        self.generation += u64::from(changed);
        self.generation
    }

    /// Says that the world is whole: from now on, what is not here does not exist.
    pub fn set_ready(&mut self) {
        self.ready = true;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn shelf(&self, kind: ResourceType) -> &Shelf {
        self.shelves.get(kind)
    }
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn get(&self, name: &str) -> Option<&Resource> {
        self.resources.get(name).map(|(_, resource)| resource)
    }

    pub(super) fn get_key_value(&self, name: &str) -> Option<(&Arc<str>, &Resource)> {
        self.resources
            .get_key_value(name)
            .map(|(name, (_, resource))| (name, resource))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.resources.contains_key(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Resource)> {
        self.resources
            .iter()
            .map(|(name, (_, resource))| (name, resource))
    }

    /// The generation that changed `name` last.
    pub(super) fn changed_at(&self, name: &str) -> Option<u64> {
        self.resources.get(name).map(|(generation, _)| *generation)
    }

    /// What changed after `generation`, each with the generation that changed it. `None` when that was too long ago
    /// to tell.
    pub(super) fn changes_since(&self, generation: u64) -> Option<impl Iterator<Item = (u64, &Arc<str>)>> {
        let Log { entries, floor } = &self.log;
        let start = entries.partition_point(|(changed, _)| *changed <= generation);
        (generation >= *floor).then(|| entries.range(start..).map(|(changed, name)| (*changed, name)))
    }

    fn set(&mut self, name: Arc<str>, resource: Resource, generation: u64) -> bool {
        let changed = self.get(&name).is_none_or(|old| old.version != resource.version);
        if changed {
            self.resources.insert(Arc::clone(&name), (generation, resource));
            self.record(name, generation);
        }
        changed
    }

    fn remove(&mut self, name: &str, generation: u64) -> bool {
        let removed = self.resources.remove_entry(name);
        let changed = removed.is_some();
        if let Some((name, _)) = removed {
            self.record(name, generation);
        }
        changed
    }

    /// A log longer than the shelf would save nobody anything.
    fn record(&mut self, name: Arc<str>, generation: u64) {
        let longest = self.resources.len().max(Log::SHORTEST);
        self.log.push(name, generation, longest);
    }
}

// === impl Log ===

impl Log {
    /// Entries that are kept even for a nearly empty shelf.
    const SHORTEST: usize = 1024;

    fn push(&mut self, name: Arc<str>, generation: u64, longest: usize) {
        self.entries.push_back((generation, name));
        while self.entries.len() > longest {
            if let Some((dropped, _)) = self.entries.pop_front() {
                self.floor = dropped;
            }
        }
    }
}

#[cfg(test)]
mod tests;
