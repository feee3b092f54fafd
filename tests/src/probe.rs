//! Repeated requests to one Envoy worker that observe which backend answers.

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

/// The pause between an answer and the next request.
const INTERVAL: Duration = Duration::from_micros(500);

/// A probe on one connection, which stays with the worker that accepted it.
#[derive(Debug)]
pub struct Probe {
    stop: Arc<AtomicBool>,
    changes: mpsc::UnboundedReceiver<Change>,
    asking: JoinHandle<Result<BTreeMap<u16, usize>>>,
}

/// A change of the backend that answers.
#[derive(Clone, Debug)]
pub struct Change {
    pub at: Instant,
    /// Empty if Envoy itself answered.
    pub backend: String,
}

/// The observations of a probe.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The changes that [`Probe::answered_by`] has not consumed.
    pub changes: Vec<Change>,
    /// The number of answers by status.
    pub answers: BTreeMap<u16, usize>,
}

// === impl Probe ===

impl Probe {
    /// Starts a probe on a thread with blocking reads, because a runtime's timers are too coarse.
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

    /// Waits for a change to this backend, and returns its time.
    ///
    /// # Errors
    /// If the change does not come, or the connection failed.
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

    /// Stops the probe.
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
    /// The number of answers other than 2xx.
    #[must_use]
    pub fn failures(&self) -> usize {
        let failed = self.answers.iter().filter(|(status, _)| **status / 100 != 2);
        failed.map(|(_, count)| count).sum()
    }
}

/// Opens a connection for a probe.
pub fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// Sends requests until stopped; returns the number of answers by status.
// These threads may block.
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
            // The receiver may be gone.
            drop(tell.send(change));
            last = Some(backend);
        }
        thread::sleep(INTERVAL);
    }
    Ok(answers)
}

/// Reads one answer; returns its status and its backend.
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
