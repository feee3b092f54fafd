//! The owner of the graph, which turns batches of objects into updates for proxies.
//!
//! ```text
//! source -- Batch --> Engine { Graph, Translator } -- Update --> Server
//! admin  -- Question --/
//! ```
//!
//! One task, synchronous inside: nothing else ever sees the graph between an edit and its commit.

mod event_log;
mod graph_stats;
mod observer;
mod status_index;

pub use self::graph_stats::GraphStats;

use self::observer::Observer;
use crate::{
    cache,
    metrics::{propagation, timings::Timings},
    question::{Await, Question, SwitchTarget},
    refused,
    status::{Mark, StatusEvent},
    tree::GraphSnapshot,
};
use std::{sync::Arc, time::Duration};
use switchyard_core::{Change, Graph, object::Batch};
use switchyard_xds::{ads::Server, resource::Update, translate::Translator};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tracing::{debug, info};

/// The interval between two removals of unused resources.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// The graph, and its translation for proxies.
#[derive(Debug)]
pub struct Engine {
    graph: Graph,
    translator: Translator,
    server: Server,
    /// The generation that was published last.
    generation: u64,
    /// The version of the source as of the last batch.
    version: u64,
    /// The generation that the last pruning was for.
    pruned: u64,
    observer: Observer,
    timings: Timings,
    /// The receiver of published generations, if any.
    published: Option<mpsc::UnboundedSender<propagation::Published>>,
    /// The receiver of status events, if any.
    status_events: Option<mpsc::UnboundedSender<StatusEvent>>,
    waiting: Vec<Await>,
    /// True once proxies are answered.
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
            version: 0,
            pruned: 0,
            observer: Observer::default(),
            timings: Timings::default(),
            published: None,
            status_events: None,
            waiting: Vec::new(),
            ready: watch::Sender::new(false),
        }
    }

    /// Sends the events for statuses of IngressRoutes to `events`.
    #[must_use]
    pub fn with_status_events(self, events: mpsc::UnboundedSender<StatusEvent>) -> Self {
        Self {
            status_events: Some(events),
            ..self
        }
    }

    /// Observes the duration of commits, and spawns a task that observes the time until proxies acknowledge them.
    #[must_use]
    pub fn timed(self, timings: Timings) -> Self {
        let (published, told) = mpsc::unbounded_channel();
        let seconds = timings.propagation_seconds.clone();
        tokio::spawn(propagation::run(self.server.clone(), told, seconds));
        Self {
            timings,
            published: Some(published),
            ..self
        }
    }

    /// The counts of objects, as of the last commit.
    #[must_use]
    pub fn graph_stats(&self) -> Arc<GraphStats> {
        self.observer.graph_stats()
    }

    /// Becomes true once proxies are answered, after the source has sent all objects.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Runs until the source ends. The server answers proxies from the first batch on.
    pub async fn run(mut self, mut batches: mpsc::Receiver<Batch>, mut questions: mpsc::Receiver<Question>) {
        let mut prune = tokio::time::interval(PRUNE_EVERY);
        prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut progress = self.server.changed();
        loop {
            let contain = self.translator.containment_deadline().map(Instant::from_std);
            tokio::select! {
                batch = batches.recv() => match batch {
                    Some(batch) => self.take(batch, &mut batches),
                    None => return,
                },
                Some(question) = questions.recv() => self.asked(question),
                Ok(()) = progress.changed() => self.contain(),
                () = cache::until(contain) => self.contain(),
                _ = prune.tick() => {
                    self.observer.event_log.connected(&self.server.proxies());
                    self.prune();
                }
            }
        }
    }

    /// Applies a batch, and all that are pending, as one change.
    fn take(&mut self, first: Batch, more: &mut mpsc::Receiver<Batch>) {
        let before = self.version;
        let arrived = Instant::now();
        let mut differs = self.apply(first);
        while let Ok(batch) = more.try_recv() {
            differs |= self.apply(batch);
        }
        // Each written status comes back as a watch event.
        if differs || !*self.ready.borrow() {
            self.change(arrived);
        }
        if self.version > before {
            self.send(StatusEvent::Reached(self.mark()));
        }
    }

    fn change(&mut self, arrived: Instant) {
        let change = self.commit(arrived);
        if !self.ready.send_replace(true) {
            self.server.ready();
            let table = self.graph.table();
            let (hosts, switches) = (table.hosts.len(), table.switches.len());
            info!(
                ingressroutes = change.statuses.len(),
                hosts, switches, "All objects are read; serving proxies"
            );
        }
    }

    /// Applies a batch. Returns true if it may change anything.
    fn apply(&mut self, batch: Batch) -> bool {
        let Batch {
            deleted,
            applied,
            version,
        } = batch;
        let mut differs = false;
        self.version = self.version.max(version);
        for id in &deleted {
            if self.graph.delete(id) {
                self.observer.touched(id);
                differs = true;
            }
        }
        for object in applied {
            let id = object.id();
            if self.graph.apply(object) {
                self.observer.touched(&id);
                differs = true;
            }
        }
        differs
    }

    /// Commits the applied batches, the first of which came at `arrived`.
    fn commit(&mut self, arrived: Instant) -> Change {
        let change = self.build();
        let before = self.generation;
        let update = self
            .translator
            .update(self.graph.table(), &change, self.generation + 1);
        self.publish(update);
        let published = Instant::now();
        if self.generation > before {
            self.time(arrived);
        }
        let mark = self.mark();
        let refused = refused::errors(&self.graph, &self.translator);
        let events = self.observer.committed(&self.graph, &change, mark, refused);
        self.answer(Some(published));
        events.into_iter().for_each(|event| self.send(event));
        change
    }

    fn build(&mut self) -> Change {
        let begun = Instant::now();
        let change = self.graph.commit();
        let took = begun.elapsed();
        self.timings.graph_build_seconds.observe(took.as_secs_f64());
        debug!(
            ?took,
            roots = change.derived,
            hosts = change.hosts.len(),
            switches = change.switches.len(),
            statuses = change.statuses.len(),
            "Committed"
        );
        change
    }

    fn time(&self, arrived: Instant) {
        let generation = self.generation;
        let published = propagation::Published { generation, arrived };
        if let Some(sender) = &self.published {
            // A dropped receiver is not an error.
            sender.send(published).ok();
        }
    }

    /// Sends an event to the status writer, if there is one.
    fn send(&self, event: StatusEvent) {
        if let Some(events) = &self.status_events {
            // A dropped receiver is not an error.
            drop(events.send(event));
        }
    }

    /// The current generation and version.
    fn mark(&self) -> Mark {
        Mark {
            generation: self.generation,
            version: self.version,
        }
    }

    fn asked(&mut self, question: Question) {
        match question {
            Question::Live(request) => {
                self.waiting.push(request);
                self.answer(None);
            }
            Question::DryRun { wanted, reply } => {
                let SwitchTarget {
                    owner,
                    prefix,
                    branch,
                } = wanted;
                let blockers = self.graph.dry_run(&owner, &prefix, &branch.name);
                drop(reply.send(blockers));
            }
            Question::Previous { owner, prefix, reply } => {
                let previous = self.observer.event_log.previous(&self.graph, &owner, &prefix);
                drop(reply.send(previous));
            }
            Question::Alive(reply) => drop(reply.send(())),
            Question::GraphSnapshot(reply) => drop(reply.send(GraphSnapshot::of(&self.graph))),
            Question::HostSnapshot { host, reply } => drop(reply.send(self.graph.host_snapshot(&host))),
            Question::Root { host, reply } => {
                let host = self.graph.table().hosts.get(host.as_str());
                // A dropped receiver is not an error.
                drop(reply.send(host.map(|host| host.root.clone())));
            }
        }
    }

    fn prune(&mut self) {
        let acked = self.server.acked_generation();
        if acked > self.pruned {
            self.pruned = acked;
            let update = self.translator.prune(self.graph.table(), acked);
            self.publish(update);
        }
    }

    /// Contains resources that proxies reject.
    fn contain(&mut self) {
        let now = std::time::Instant::now();
        let proxies = self.server.proxies();
        let next = self.generation + 1;
        let update = self.translator.contain(self.graph.table(), &proxies, next, now);
        if update.is_empty() {
            return;
        }
        self.publish(update);
        let mark = self.mark();
        let refused = refused::errors(&self.graph, &self.translator);
        let events = self.observer.refused(&self.graph, mark, refused);
        events.into_iter().for_each(|event| self.send(event));
    }

    fn publish(&mut self, update: Update) {
        if !update.is_empty() {
            self.generation = self.server.publish(update);
        }
    }

    /// Answers the requests whose switch has their branch active, since `published` or since before the request.
    fn answer(&mut self, published: Option<Instant>) {
        let Self {
            graph,
            observer,
            waiting,
            ..
        } = self;
        let switches = || {
            let switches = graph.table().switches.iter();
            switches.map(|(key, switch)| (switch.as_ref(), observer.event_log.since(key)))
        };
        waiting.retain_mut(|request| !request.answer(switches(), published));
    }
}
