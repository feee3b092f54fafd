//! The owner of the graph: what sources see goes in, what proxies are to have goes out.
//!
//! ```text
//! source -- Batch --> Engine { Graph, Translator } -- Update --> Server
//! admin  -- Await --/
//! ```
//!
//! One task, synchronous inside: nothing else ever sees the graph between an edit and its commit.

use crate::live::Await;
use std::{collections::BTreeMap, time::Duration};
use switchyard_core::{
    Change, Graph, Name, Object, ObjectId, Status,
    status::State,
    table::{Switch, SwitchKey},
};
use switchyard_xds::{ads::Server, resource::Update, translate::Translator};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

/// How often unused resources are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// What a source saw change, at once. The first batch of a source is everything it has.
#[derive(Debug, Default)]
pub struct Batch {
    pub deleted: Vec<ObjectId>,
    pub applied: Vec<Object>,
}

/// The graph, and what the proxies know of it.
#[derive(Debug)]
pub struct Engine {
    graph: Graph,
    translator: Translator,
    server: Server,
    /// The last that was published.
    generation: u64,
    /// The generation that the last pruning was for.
    pruned: u64,
    /// Of every switch, to tell a move from other changes.
    active: BTreeMap<SwitchKey, Name>,
    waiting: Vec<Await>,
    /// Whether proxies are answered.
    ready: watch::Sender<bool>,
}

// === impl Engine ===

impl Engine {
    /// An engine without objects.
    #[must_use]
    pub fn new(graph: Graph, mut translator: Translator, server: Server) -> Self {
        let generation = server.publish(translator.start());
        Self {
            graph,
            translator,
            server,
            generation,
            pruned: 0,
            active: BTreeMap::new(),
            waiting: Vec::new(),
            ready: watch::Sender::new(false),
        }
    }

    /// Whether proxies are answered: once the source has told everything that it has.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Runs until the source ends. The server answers proxies from the first batch on.
    pub async fn run(mut self, mut batches: mpsc::Receiver<Batch>, mut awaits: mpsc::Receiver<Await>) {
        let mut prune = tokio::time::interval(PRUNE_EVERY);
        prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = batches.recv() => match batch {
                    Some(batch) => self.take(batch, &mut batches),
                    None => return,
                },
                Some(request) = awaits.recv() => {
                    self.waiting.push(request);
                    self.answer();
                }
                _ = prune.tick() => self.prune(),
            }
        }
    }

    /// Takes a batch, and all that came in the meantime, as one change.
    fn take(&mut self, first: Batch, more: &mut mpsc::Receiver<Batch>) {
        self.apply(first);
        while let Ok(batch) = more.try_recv() {
            self.apply(batch);
        }
        self.commit();
        self.server.ready();
        self.ready.send_replace(true);
    }

    fn apply(&mut self, Batch { deleted, applied }: Batch) {
        for id in &deleted {
            self.graph.delete(id);
        }
        for object in applied {
            self.graph.apply(object);
        }
    }

    fn commit(&mut self) {
        let change = self.graph.commit();
        let update = self
            .translator
            .update(self.graph.table(), &change, self.generation + 1);
        self.publish(update);
        self.tell(&change);
        self.answer();
    }

    fn prune(&mut self) {
        let acked = self.server.acked_generation();
        if acked > self.pruned {
            self.pruned = acked;
            let update = self.translator.prune(self.graph.table(), acked);
            self.publish(update);
        }
    }

    fn publish(&mut self, update: Update) {
        if !(update.set.is_empty() && update.removed.is_empty()) {
            self.generation = self.server.publish(update);
        }
    }

    /// Answers those whose switch is where they wait for it to be.
    fn answer(&mut self) {
        let switches = &self.graph.table().switches;
        let generation = self.generation;
        self.waiting
            .retain_mut(|request| !request.answer(switches.values().map(AsRef::as_ref), generation));
    }

    /// Logs what an operator would ask about.
    fn tell(&mut self, change: &Change) {
        for name in &change.statuses {
            tell_status(name, self.graph.status(name));
        }
        for key in &change.switches {
            match self.graph.table().switches.get(key).cloned() {
                Some(switch) => self.tell_switch(key, &switch),
                None => drop(self.active.remove(key)),
            }
        }
    }

    fn tell_switch(&mut self, key: &SwitchKey, switch: &Switch) {
        let before = self.active.insert(key.clone(), switch.active.clone());
        if let Some(before) = before.filter(|before| *before != switch.active) {
            let generation = self.generation;
            info!(switch = %key, from = %before, to = %switch.active, generation, "Switched");
        }
    }
}

fn tell_status(name: &Name, status: Option<&Status>) {
    match status {
        None => info!(ingressroute = %name, "Gone"),
        Some(status) if status.state == State::Invalid => {
            warn!(ingressroute = %name, description = status.description(), "Invalid");
        }
        Some(status) => info!(ingressroute = %name, description = status.description(), "{}", status.state),
    }
}
