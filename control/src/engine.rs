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
mod tally;

pub use self::tally::Tally;

use self::{journal::Journal, register::Register, tally::Census};
use crate::{
    live::{Await, Wanted},
    metrics::{Timings, propagation},
    status::{Mark, News},
    tree::Picture,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use switchyard_core::{Change, Excerpt, Graph, Name, Obstacle, object::Batch};
use switchyard_k8s::status::writer::Notice;
use switchyard_xds::{ads::Server, resource::Update, translate::Translator};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tracing::{debug, info};

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
    /// Whether the engine lives: it answers.
    Alive(oneshot::Sender<()>),
    /// What the graph looks like. It is copied, to be shown elsewhere: what is long would hold up what comes after.
    Picture(oneshot::Sender<Picture>),
    /// What there is to know of a host. It is copied, for the same reason.
    Excerpt {
        host: String,
        reply: oneshot::Sender<Excerpt>,
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
    census: Census,
    timings: Timings,
    /// Who is told what the proxies are to take. None: nobody.
    published: Option<mpsc::UnboundedSender<propagation::Published>>,
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
            census: Census::default(),
            timings: Timings::default(),
            published: None,
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

    /// Observes how long commits take, and has a task observe how long their outcome takes to the proxies.
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

    /// How many there are of what, as of the last commit.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        self.census.tally()
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
        let arrived = Instant::now();
        let mut differs = self.apply(first);
        while let Ok(batch) = more.try_recv() {
            differs |= self.apply(batch);
        }
        // Each status that is written comes back as an event.
        if differs || !*self.ready.borrow() {
            self.change(arrived);
        }
        if self.version > before {
            self.send(News::Reached(self.mark()));
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

    /// With when the first came of what is committed.
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
        let notices = self.journal.committed(&self.graph, &change, self.generation);
        self.census.committed(&self.graph, &change, &self.journal);
        self.answer(Some(published));
        self.tell(&change, notices);
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
            // Who no longer listens need not be told.
            sender.send(published).unwrap_or_default();
        }
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
            Question::Alive(reply) => reply.send(()).unwrap_or_default(),
            Question::Picture(reply) => drop(reply.send(Picture::of(&self.graph))),
            Question::Excerpt { host, reply } => drop(reply.send(self.graph.excerpt(&host))),
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
        let Self {
            graph,
            journal,
            waiting,
            ..
        } = self;
        let switches = || {
            let switches = graph.table().switches.iter();
            switches.map(|(key, switch)| (switch.as_ref(), journal.since(key)))
        };
        waiting.retain_mut(|request| !request.answer(switches(), published));
    }
}
