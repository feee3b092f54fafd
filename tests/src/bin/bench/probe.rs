//! Asks one Envoy worker, again and again, which branch answers.

use anyhow::{Context, Result, ensure};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Between an answer and the next question.
const INTERVAL: Duration = Duration::from_micros(500);

/// A connection, which stays with the worker that accepted it.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Result<Vec<Change>>>,
}

/// When another backend than before answered.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: Instant,
    pub(crate) backend: String,
}

// === impl Probe ===

impl Probe {
    /// A thread and blocking reads: a runtime's timers are too coarse for this.
    pub(crate) fn start(stream: TcpStream, host: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let stopped = Arc::clone(&stop);
        Self {
            stop,
            asking: thread::spawn(move || ask(stream, request.as_bytes(), &stopped)),
        }
    }

    /// All changes that it saw.
    pub(crate) fn stop(self) -> Result<Vec<Change>> {
        self.stop.store(true, Ordering::Relaxed);
        self.asking
            .join()
            .map_err(|_| anyhow::anyhow!("a probe panicked"))?
    }
}

pub(crate) fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

// Sleeping is what these threads are for.
#[allow(clippy::disallowed_methods)]
fn ask(mut stream: TcpStream, request: &[u8], stop: &AtomicBool) -> Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request)?;
        let backend = answer(&mut stream)?;
        if changes.last().is_none_or(|change| change.backend != backend) {
            changes.push(Change {
                at: Instant::now(),
                backend,
            });
        }
        thread::sleep(INTERVAL);
    }
    Ok(changes)
}

/// Reads one answer, and tells who gave it.
fn answer(stream: &mut TcpStream) -> Result<String> {
    let mut text = String::new();
    while !is_whole(&text) {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the connection ended: {text}");
        text.push_str(std::str::from_utf8(buffer.get(..count).unwrap_or_default())?);
    }
    ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    Ok(header(&text, "x-echo-backend").context("no backend")?.to_owned())
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
