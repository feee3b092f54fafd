//! Load: a fixed number of connections, each of which sends a request once the last is answered.

use anyhow::Result;
use hyper::http::request::Builder;
use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::client::{Connection, get};

/// The maximum duration of load, as a safeguard.
const LONGEST: Duration = Duration::from_secs(180);
/// The maximum number of requests on each connection, as a safeguard.
const MOST: usize = 500_000;
/// The time limit for an answer; a later one counts as a failure.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The load to generate.
#[derive(Clone, Debug)]
pub struct Load {
    pub server: SocketAddr,
    pub host: String,
    pub path: String,
    pub connections: usize,
    /// The pause between an answer and the next request.
    pub pause: Duration,
    pub headers: Headers,
}

/// The request headers besides the host: several sets that requests use in turn, continuing across runs.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    /// Empty if there are no headers.
    sets: Arc<[Vec<(&'static str, String)>]>,
    sent: Arc<AtomicUsize>,
}

/// Load in progress.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    connections: JoinSet<Vec<Sample>>,
}

/// A request and its outcome.
#[derive(Clone, Debug)]
pub struct Sample {
    pub connection: usize,
    pub sent: Instant,
    pub done: Instant,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Answered {
        status: u16,
        backend: String,
    },
    /// A failed request, with the error.
    Failed(String),
}

/// All requests of a run.
#[derive(Clone, Debug)]
pub struct Samples(pub Vec<Sample>);

// === impl Load ===

impl Load {
    /// 32 connections, with 2 ms between requests to leave CPU time to others on the machine.
    #[must_use]
    pub fn new(server: SocketAddr, host: &str, path: &str) -> Self {
        Self {
            server,
            host: host.to_owned(),
            path: path.to_owned(),
            connections: 32,
            pause: Duration::from_millis(2),
            headers: Headers::default(),
        }
    }

    /// The next request.
    #[must_use]
    pub fn next(&self) -> Builder {
        let mut request = get(&self.host, &self.path);
        for (name, value) in self.headers.next() {
            request = request.header(*name, value);
        }
        request
    }

    /// Starts the load; returns once every connection is open.
    pub async fn start(&self) -> Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut connections = JoinSet::new();
        for number in 0..self.connections {
            let connection = Connection::open(self.server).await?;
            connections.spawn(self.clone().run(number, connection, Arc::clone(&stop)));
        }
        Ok(Running { stop, connections })
    }

    async fn run(self, number: usize, connection: Connection, stop: Arc<AtomicBool>) -> Vec<Sample> {
        let begun = Instant::now();
        let mut connection = Ok(connection);
        let mut samples = Vec::new();
        while samples.len() < MOST && begun.elapsed() < LONGEST && !stop.load(Ordering::Relaxed) {
            let sent = Instant::now();
            let outcome = self.request(&mut connection).await;
            let reopen = !outcome.is_answered();
            samples.push(Sample {
                connection: number,
                sent,
                done: Instant::now(),
                outcome,
            });
            if reopen {
                connection = Connection::open(self.server).await;
            }
            // The shortest possible sleep is a millisecond.
            if !self.pause.is_zero() {
                sleep(self.pause).await;
            }
        }
        samples
    }

    async fn request(&self, connection: &mut Result<Connection>) -> Outcome {
        let answer = match connection {
            Ok(connection) => timeout(ANSWER_WITHIN, connection.send(self.next())).await,
            Err(error) => return Outcome::Failed(format!("{error:#}")),
        };
        match answer {
            Ok(Ok(answer)) => {
                // A draining server asks to close the connection.
                if answer.header("connection") == "close" {
                    *connection = Connection::open(self.server).await;
                }
                Outcome::Answered {
                    status: answer.status,
                    backend: answer.backend().to_owned(),
                }
            }
            Ok(Err(error)) => Outcome::Failed(format!("{error:#}")),
            Err(_) => Outcome::Failed(format!("no answer within {ANSWER_WITHIN:?}")),
        }
    }
}

// === impl Headers ===

impl Headers {
    #[must_use]
    pub fn new(sets: Vec<Vec<(&'static str, String)>>) -> Self {
        Self {
            sets: sets.into(),
            sent: Arc::default(),
        }
    }

    fn next(&self) -> &[(&'static str, String)] {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let at = number.checked_rem(self.sets.len()).unwrap_or_default();
        self.sets.get(at).map_or(&[], Vec::as_slice)
    }
}

// === impl Running ===

impl Running {
    /// Stops the load after finishing the requests in progress.
    pub async fn stop(self) -> Samples {
        self.stop.store(true, Ordering::Relaxed);
        Samples(self.connections.join_all().await.into_iter().flatten().collect())
    }
}

// === impl Outcome ===

impl Outcome {
    #[must_use]
    pub fn is_answered(&self) -> bool {
        matches!(self, Self::Answered { .. })
    }

    /// Returns true for a 2xx answer.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Answered { status: 200..300, .. })
    }

    /// The backend that answered; empty if none did.
    #[must_use]
    pub fn backend(&self) -> &str {
        match self {
            Self::Answered { backend, .. } => backend,
            Self::Failed(_) => "",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, backend } => write!(f, "{status} {backend}"),
            Self::Failed(error) => f.write_str(error),
        }
    }
}

// === impl Samples ===

impl Samples {
    /// The requests without a 2xx answer.
    pub fn failures(&self) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(|sample| !sample.outcome.is_success())
    }

    /// The number of requests by outcome.
    #[must_use]
    pub fn tally(&self) -> BTreeMap<String, usize> {
        let mut tally = BTreeMap::new();
        for sample in &self.0 {
            *tally.entry(sample.outcome.to_string()).or_default() += 1;
        }
        tally
    }

    /// Returns an error with the tally of outcomes unless every request was answered 2xx.
    pub fn all_succeeded(&self) -> Result<()> {
        anyhow::ensure!(!self.0.is_empty(), "nothing was sent");
        anyhow::ensure!(
            self.failures().next().is_none(),
            "failed requests: {:#?}",
            self.tally()
        );
        Ok(())
    }
}
