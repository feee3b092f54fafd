//! The newest resources, and a log of their recent changes.

use crate::resource::{PerType, Resource, ResourceType, Update};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// All served resources, as of one generation.
///
/// Sessions read changes from a log, so that one change costs a session one look-up, however many resources there are.
#[derive(Debug, Default)]
pub struct Store {
    shelves: PerType<TypeStore>,
    generation: u64,
    ready: bool,
}

/// The resources of one type.
#[derive(Debug, Default)]
pub(super) struct TypeStore {
    /// The resources by name, each with the generation that last changed it.
    resources: BTreeMap<Arc<str>, (u64, Resource)>,
    log: Log,
}

/// The recently changed names, oldest first.
#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<(u64, Arc<str>)>,
    /// The newest generation with a dropped entry. Before it, the log is incomplete.
    floor: u64,
}

// === impl Store ===

impl Store {
    /// Applies an update, and returns the resulting generation.
    ///
    /// An update without changes creates no generation.
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

    /// Marks the store as complete: from now on, a resource that is not in it does not exist.
    pub fn set_ready(&mut self) {
        self.ready = true;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn type_store(&self, kind: ResourceType) -> &TypeStore {
        self.shelves.get(kind)
    }
}

// === impl TypeStore ===

impl TypeStore {
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

    /// The generation that last changed `name`.
    pub(super) fn changed_at(&self, name: &str) -> Option<u64> {
        self.resources.get(name).map(|(generation, _)| *generation)
    }

    /// The names that changed after `generation`, each with the generation of its change. Returns `None` if the log no
    /// longer goes back that far.
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

    /// Logs a change. The log is limited to the size of the store: a longer one would save nothing.
    fn record(&mut self, name: Arc<str>, generation: u64) {
        let longest = self.resources.len().max(Log::SHORTEST);
        self.log.push(name, generation, longest);
    }
}

// === impl Log ===

impl Log {
    /// The capacity of the log for a nearly empty store.
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
