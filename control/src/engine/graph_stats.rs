//! Counts of objects, kept by the engine and read by others.

use super::event_log::EventLog;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use switchyard_core::{Change, Graph, Name, object::Kind, status::State};

/// Counts as of the last commit. Reading them does not involve the engine, and works while it hangs.
#[derive(Debug)]
pub struct GraphStats {
    /// Objects by kind.
    objects: BTreeMap<Kind, AtomicU64>,
    /// IngressRoutes by status.
    states: BTreeMap<State, AtomicU64>,
    hosts: AtomicU64,
    switches: AtomicU64,
    /// The number of moves from one branch to another, since the start.
    switched: AtomicU64,
}

/// The writer of [`GraphStats`]. Its cost depends on the size of a commit, not on the number of objects.
#[derive(Debug, Default)]
pub(super) struct GraphStatsRecorder {
    graph_stats: Arc<GraphStats>,
    /// The states as they were counted.
    states: BTreeMap<Name, State>,
}

// === impl GraphStats ===

impl Default for GraphStats {
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

impl GraphStats {
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

    /// The number of moves from one branch to another, since the start.
    pub fn switched(&self) -> u64 {
        self.switched.load(Relaxed)
    }
}

// === impl GraphStatsRecorder ===

impl GraphStatsRecorder {
    pub(super) fn graph_stats(&self) -> Arc<GraphStats> {
        Arc::clone(&self.graph_stats)
    }

    /// Counts a commit, after the event log.
    pub(super) fn committed(&mut self, graph: &Graph, change: &Change, event_log: &EventLog) {
        for name in &change.statuses {
            self.status(name, graph.status(name).map(|status| status.state));
        }
        for (kind, count) in &self.graph_stats.objects {
            count.store(graph.count(*kind) as u64, Relaxed);
        }
        let table = graph.table();
        self.graph_stats.hosts.store(table.hosts.len() as u64, Relaxed);
        self.graph_stats
            .switches
            .store(table.switches.len() as u64, Relaxed);
        self.graph_stats.switched.store(event_log.switched(), Relaxed);
    }

    fn status(&mut self, name: &Name, now: Option<State>) {
        let before = match now {
            Some(now) => self.states.insert(name.clone(), now),
            None => self.states.remove(name),
        };
        if let Some(count) = before.and_then(|before| self.graph_stats.states.get(&before)) {
            count.fetch_sub(1, Relaxed);
        }
        if let Some(count) = now.and_then(|now| self.graph_stats.states.get(&now)) {
            count.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
