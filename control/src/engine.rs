//! The owner of the graph: what sources see goes in, what proxies are to have goes out.
//!
//! ```text
//! source -- Batch --> Engine { Graph, Translator } -- Update --> Server
//! admin  -- Question --/
//! ```
//!
//! One task, synchronous inside: nothing else ever sees the graph between an edit and its commit.

mod journal;
mod register;

use self::{journal::Journal, register::Register};
use crate::{
    live::{Await, Published, Wanted},
    status::{Mark, News},
};
use std::{collections::BTreeSet, time::Duration};
use switchyard_core::{Change, Graph, Name, Obstacle, object::Batch};
use switchyard_k8s::status::writer::Notice;
use switchyard_xds::{ads::Server, resource::Update, translate::Translator};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tracing::info;

/// How often unused resources are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// What the admin interface asks.
#[derive(Debug)]
pub enum Question {
    /// When a switch has a branch active.
    Live(Await),
    /// What would keep a branch from serving, if it were switched to; none where no such route delegates.
    Rehearse {
        wanted: Wanted,
        reply: oneshot::Sender<Option<BTreeSet<Obstacle>>>,
    },
    /// What was active before, in the switches of a delegating route.
    Previous {
        owner: Name,
        prefix: String,
        reply: oneshot::Sender<Option<Name>>,
    },
    /// Which root serves a host.
    Root {
        host: String,
        reply: oneshot::Sender<Option<Name>>,
    },
}

/// The graph, and what the proxies know of it.
#[derive(Debug)]
pub struct Engine {
    graph: Graph,
    translator: Translator,
    server: Server,
    /// The last that was published.
    generation: u64,
    /// How far the source was at the last batch.
    version: u64,
    /// The generation that the last pruning was for.
    pruned: u64,
    journal: Journal,
    register: Register,
    /// Who is told what statuses are to say. None: nobody.
    news: Option<mpsc::UnboundedSender<News>>,
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
            version: 0,
            pruned: 0,
            journal: Journal::default(),
            register: Register::default(),
            news: None,
            waiting: Vec::new(),
            ready: watch::Sender::new(false),
        }
    }

    /// Tells what the statuses of IngressRoutes are to say.
    #[must_use]
    pub fn telling(self, news: mpsc::UnboundedSender<News>) -> Self {
        Self {
            news: Some(news),
            ..self
        }
    }

    /// Whether proxies are answered: once the source has told everything that it has.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Runs until the source ends. The server answers proxies from the first batch on.
    pub async fn run(mut self, mut batches: mpsc::Receiver<Batch>, mut questions: mpsc::Receiver<Question>) {
        let mut prune = tokio::time::interval(PRUNE_EVERY);
        prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = batches.recv() => match batch {
                    Some(batch) => self.take(batch, &mut batches),
                    None => return,
                },
                Some(question) = questions.recv() => self.asked(question),
                _ = prune.tick() => {
                    self.journal.connected(&self.server.proxies());
                    self.prune();
                }
            }
        }
    }

    /// Takes a batch, and all that came in the meantime, as one change.
    fn take(&mut self, first: Batch, more: &mut mpsc::Receiver<Batch>) {
        let before = self.version;
        let mut differs = self.apply(first);
        while let Ok(batch) = more.try_recv() {
            differs |= self.apply(batch);
        }
        // Each status that is written comes back as an event.
        if differs || !*self.ready.borrow() {
            self.change();
        }
        if self.version > before {
            self.send(News::Reached(self.mark()));
        }
    }

    fn change(&mut self) {
        let change = self.commit();
        if !self.ready.send_replace(true) {
            self.server.ready();
            let table = self.graph.table();
            let (hosts, switches) = (table.hosts.len(), table.switches.len());
            info!(
                ingressroutes = change.statuses.len(),
                hosts, switches, "Everything is read: answering proxies"
            );
        }
    }

    /// Says whether that may change anything.
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
                self.register.touched(id);
                differs = true;
            }
        }
        for object in applied {
            let id = object.id();
            if self.graph.apply(object) {
                self.register.touched(&id);
                differs = true;
            }
        }
        differs
    }

    fn commit(&mut self) -> Change {
        let change = self.graph.commit();
        let update = self
            .translator
            .update(self.graph.table(), &change, self.generation + 1);
        self.publish(update);
        let published = Instant::now();
        let notices = self.journal.committed(&self.graph, &change, self.generation);
        self.answer(Some(published));
        self.tell(&change, notices);
        change
    }

    /// To who writes statuses: that is nothing that a proxy waits for.
    fn tell(&mut self, change: &Change, notices: Vec<(Name, Notice)>) {
        if self.news.is_none() {
            return;
        }
        let mark = self.mark();
        let judged = self.register.committed(&self.graph, &self.journal, change, mark);
        let notices = notices
            .into_iter()
            .map(|(name, notice)| News::Notice(name, notice));
        for told in notices.chain([News::Judged(judged)]) {
            self.send(told);
        }
    }

    fn send(&self, told: News) {
        if let Some(news) = &self.news {
            // Who no longer listens need not be told.
            news.send(told).unwrap_or_default();
        }
    }

    /// Where everything is.
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
            Question::Rehearse { wanted, reply } => {
                let Wanted {
                    owner,
                    prefix,
                    branch,
                } = wanted;
                let obstacles = self.graph.rehearse(&owner, &prefix, &branch.name);
                reply.send(obstacles).unwrap_or_default();
            }
            Question::Previous { owner, prefix, reply } => {
                let previous = self.journal.previous(self.graph.table(), &owner, &prefix);
                reply.send(previous).unwrap_or_default();
            }
            Question::Root { host, reply } => {
                let host = self.graph.table().hosts.get(host.as_str());
                // If nobody waits any longer there is nobody to tell.
                reply.send(host.map(|host| host.root.clone())).unwrap_or_default();
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

    fn publish(&mut self, update: Update) {
        if !(update.set.is_empty() && update.removed.is_empty()) {
            self.generation = self.server.publish(update);
        }
    }

    /// Answers those whose switch is where they wait for it to be: since `published`, or since before they asked.
    fn answer(&mut self, published: Option<Instant>) {
        let switches = &self.graph.table().switches;
        let published = Published {
            generation: self.generation,
            at: published,
        };
        self.waiting
            .retain_mut(|request| !request.answer(switches.values().map(AsRef::as_ref), published));
    }
}
