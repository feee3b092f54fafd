//! How many there are of what: kept by the engine as it goes, read by whoever asks.

use super::journal::Journal;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use switchyard_core::{Change, Graph, Name, object::Kind, status::State};

/// As of the last commit. Reading it asks nothing of the engine: it can be read while the engine hangs.
#[derive(Debug)]
pub struct Tally {
    /// By kind.
    objects: BTreeMap<Kind, AtomicU64>,
    /// IngressRoutes by status.
    states: BTreeMap<State, AtomicU64>,
    hosts: AtomicU64,
    switches: AtomicU64,
    /// How often a switch moved from one branch to another, since the start.
    switched: AtomicU64,
}

/// What [`Tally`] is kept with: it costs what a commit changed, however much there is.
#[derive(Debug, Default)]
pub(super) struct Census {
    tally: Arc<Tally>,
    /// As counted.
    states: BTreeMap<Name, State>,
}

// === impl Tally ===

impl Default for Tally {
    fn default() -> Self {
        Self {
            objects: Kind::ALL.map(|kind| (kind, AtomicU64::default())).into(),
            states: State::ALL.map(|state| (state, AtomicU64::default())).into(),
            hosts: AtomicU64::default(),
            switches: AtomicU64::default(),
            switched: AtomicU64::default(),
        }
    }
}

impl Tally {
    pub fn objects(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.objects
            .iter()
            .map(|(kind, count)| (*kind, count.load(Relaxed)))
    }

    /// IngressRoutes by status.
    pub fn states(&self) -> impl Iterator<Item = (State, u64)> {
        self.states
            .iter()
            .map(|(state, count)| (*state, count.load(Relaxed)))
    }

    pub fn hosts(&self) -> u64 {
        self.hosts.load(Relaxed)
    }

    pub fn switches(&self) -> u64 {
        self.switches.load(Relaxed)
    }

    /// How often a switch moved from one branch to another, since the start.
    pub fn switched(&self) -> u64 {
        self.switched.load(Relaxed)
    }
}

// === impl Census ===

impl Census {
    pub(super) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Takes a commit in, which the journal has taken in.
    pub(super) fn committed(&mut self, graph: &Graph, change: &Change, journal: &Journal) {
        for name in &change.statuses {
            self.status(name, graph.status(name).map(|status| status.state));
        }
        for (kind, count) in &self.tally.objects {
            count.store(graph.count(*kind) as u64, Relaxed);
        }
        let table = graph.table();
        self.tally.hosts.store(table.hosts.len() as u64, Relaxed);
        self.tally.switches.store(table.switches.len() as u64, Relaxed);
        self.tally.switched.store(journal.switched(), Relaxed);
    }

    fn status(&mut self, name: &Name, now: Option<State>) {
        let before = match now {
            Some(now) => self.states.insert(name.clone(), now),
            None => self.states.remove(name),
        };
        if let Some(count) = before.and_then(|before| self.tally.states.get(&before)) {
            count.fetch_sub(1, Relaxed);
        }
        if let Some(count) = now.and_then(|now| self.tally.states.get(&now)) {
            count.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
