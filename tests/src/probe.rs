//! Asks one Envoy worker, again and again, who answers.

use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::timeout};

use crate::wait::PATIENCE;

/// Between an answer and the next question.
const INTERVAL: Duration = Duration::from_micros(500);

/// A connection, which stays with the worker that accepted it.
#[derive(Debug)]
pub struct Probe {
    stop: Arc<AtomicBool>,
    changes: mpsc::UnboundedReceiver<Change>,
    asking: JoinHandle<Result<BTreeMap<u16, usize>>>,
}

/// When somebody else than before answered.
#[derive(Clone, Debug)]
pub struct Change {
    pub at: Instant,
    /// Empty: Envoy itself.
    pub backend: String,
}

/// What there was to see.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Those that nobody waited for.
    pub changes: Vec<Change>,
    /// How often each status came.
    pub answers: BTreeMap<u16, usize>,
}

// === impl Probe ===

impl Probe {
    /// A thread and blocking reads: a runtime's timers are too coarse for this.
    #[must_use]
    pub fn start(stream: TcpStream, host: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let stopped = Arc::clone(&stop);
        let (tell, changes) = mpsc::unbounded_channel();
        Self {
            stop,
            changes,
            asking: thread::spawn(move || ask(stream, request.as_bytes(), &stopped, &tell)),
        }
    }

    /// Waits until this backend answers, which it did not before. When it first did.
    ///
    /// # Errors
    /// If it does not, or the connection failed.
    pub async fn answered_by(&mut self, backend: &str) -> Result<Instant> {
        let found = async {
            loop {
                let change = self.changes.recv().await.context("the connection failed")?;
                if change.backend == backend {
                    return Ok(change.at);
                }
            }
        };
        timeout(PATIENCE, found)
            .await
            .with_context(|| format!("{backend} does not answer within {PATIENCE:?}"))?
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the connection failed.
    pub fn stop(mut self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self
            .asking
            .join()
            .map_err(|_| anyhow::anyhow!("a probe panicked"))??;
        let changes = std::iter::from_fn(|| self.changes.try_recv().ok());
        Ok(Seen {
            changes: changes.collect(),
            answers,
        })
    }
}

// === impl Seen ===

impl Seen {
    /// How many answers were no 2xx.
    #[must_use]
    pub fn failures(&self) -> usize {
        let failed = self.answers.iter().filter(|(status, _)| **status / 100 != 2);
        failed.map(|(_, count)| count).sum()
    }
}

/// A connection for a probe.
pub fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// How often each status came.
// Sleeping is what these threads are for.
#[allow(clippy::disallowed_methods)]
fn ask(
    mut stream: TcpStream,
    request: &[u8],
    stop: &AtomicBool,
    tell: &mpsc::UnboundedSender<Change>,
) -> Result<BTreeMap<u16, usize>> {
    let mut last = None;
    let mut answers = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request)?;
        let (status, backend) = answer(&mut stream)?;
        *answers.entry(status).or_default() += 1;
        if last.as_ref() != Some(&backend) {
            let change = Change {
                at: Instant::now(),
                backend: backend.clone(),
            };
            // Who no longer listens need not be told.
            tell.send(change).unwrap_or_default();
            last = Some(backend);
        }
        thread::sleep(INTERVAL);
    }
    Ok(answers)
}

/// Reads one answer: its status, and who gave it.
fn answer(stream: &mut TcpStream) -> Result<(u16, String)> {
    let mut text = String::new();
    while !is_whole(&text) {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the connection ended: {text}");
        text.push_str(std::str::from_utf8(buffer.get(..count).unwrap_or_default())?);
    }
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|status| status.parse().ok());
    let backend = header(&text, "x-echo-backend").unwrap_or_default();
    Ok((status.context("no status")?, backend.to_owned()))
}

fn is_whole(text: &str) -> bool {
    let length = header(text, "content-length").and_then(|length| length.parse().ok());
    text.split_once("\r\n\r\n")
        .is_some_and(|(_, body)| Some(body.len()) == length)
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
