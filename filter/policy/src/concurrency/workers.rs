//! The workers that count requests in flight, and their heartbeats.
//!
//! ```text
//! layout u8  worker ...        all numbers little-endian
//! worker:  number u64  beats u64
//! ```
//!
//! Each worker adds a beat from time to time, and watches the beats of the others. The silence of a worker is the sum
//! of the times between observations, of which each is capped: clocks are set, and machines sleep.

use crate::{
    host::Host,
    shared::{self, TRIES},
};
use std::time::Duration;

/// The period at which workers with requests in flight show that they live.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

const LAYOUT: u8 = 1;

/// The key of the workers in shared data.
const NAME: &str = "workers";

/// The time without a beat after which a worker counts as dead, even if it only hung.
pub const WORKER_TIMEOUT: Duration = Duration::from_secs(10);

/// The most time between two observations that counts.
const MAX_GAP: Duration = HEARTBEAT_INTERVAL.saturating_mul(2);

/// The beats of all workers, of which there are few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workers(Vec<Heartbeat>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heartbeat {
    number: u64,
    beats: u64,
}

/// One worker's observations of all workers.
#[derive(Debug, Default)]
pub(super) struct WorkerMonitor {
    /// The time of the last observation, by the clock.
    observed_at: Duration,
    seen: Vec<ObservedHeartbeat>,
}

#[derive(Clone, Copy, Debug)]
struct ObservedHeartbeat {
    worker: Heartbeat,
    /// The time since the last new beat.
    quiet: Duration,
}

/// Adds a worker, and returns its random number, which no other worker has or had.
pub(super) fn join(host: &dyn Host) -> Option<u64> {
    shared::update(host, NAME, TRIES, |bytes| {
        let mut workers = bytes.and_then(Workers::from_bytes).unwrap_or_default();
        let number = host.random();
        workers.0.push(Heartbeat { number, beats: 0 });
        (Some(workers.to_bytes()), number)
    })
}

/// Adds a beat of a worker, and removes dead workers. False if others have removed the worker itself.
pub(super) fn add_beat(host: &dyn Host, worker: u64, dead: &[u64]) -> Option<bool> {
    shared::update(host, NAME, TRIES, |bytes| {
        let mut workers = bytes.and_then(Workers::from_bytes).unwrap_or_default();
        let Some(this) = workers.0.iter_mut().find(|other| other.number == worker) else {
            return (None, false);
        };
        this.beats = this.beats.wrapping_add(1);
        let lives = |other: &Heartbeat| other.number == worker || !dead.contains(&other.number);
        workers.0.retain(lives);
        (Some(workers.to_bytes()), true)
    })
}

// === impl Workers ===

impl Workers {
    /// Reads all workers from shared data.
    #[must_use]
    pub fn read(host: &dyn Host) -> Self {
        let shared = host.shared(NAME);
        shared
            .and_then(|shared| Self::from_bytes(&shared.value))
            .unwrap_or_default()
    }

    /// Parses the bytes; `None` if they are malformed, or of another layout.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&LAYOUT, words) = bytes.split_first()? else {
            return None;
        };
        let (words, []) = words.as_chunks() else {
            return None;
        };
        let (workers, []) = words.as_chunks() else {
            return None;
        };
        Some(Self(workers.iter().map(Heartbeat::from_words).collect()))
    }

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let workers = self.0.iter().flat_map(|worker| worker.to_words()).flatten();
        [LAYOUT].into_iter().chain(workers).collect()
    }

    #[must_use]
    pub fn has(&self, worker: u64) -> bool {
        self.0.iter().any(|other| other.number == worker)
    }
}

// === impl Heartbeat ===

impl Heartbeat {
    fn from_words(words: &[[u8; 8]; 2]) -> Self {
        let [number, beats] = words.map(u64::from_le_bytes);
        Self { number, beats }
    }

    fn to_words(self) -> [[u8; 8]; 2] {
        let Self { number, beats } = self;
        [number, beats].map(u64::to_le_bytes)
    }
}

// === impl WorkerMonitor ===

impl WorkerMonitor {
    /// Returns true if it is time to observe again.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        now.saturating_sub(self.observed_at) >= MAX_GAP
    }

    /// Observes all workers, and returns the dead ones.
    pub(super) fn observe(&mut self, now: Duration, workers: &Workers) -> Vec<u64> {
        let lived = now.saturating_sub(self.observed_at).min(MAX_GAP);
        self.observed_at = now;
        let observe = |worker: &Heartbeat| {
            let seen = self.seen.iter().find(|seen| seen.worker == *worker);
            let quiet = seen.map_or(Duration::ZERO, |seen| seen.quiet + lived);
            let worker = *worker;
            ObservedHeartbeat { worker, quiet }
        };
        self.seen = workers.0.iter().map(observe).collect();
        let dead = self.seen.iter().filter(|seen| seen.quiet >= WORKER_TIMEOUT);
        dead.map(|seen| seen.worker.number).collect()
    }
}

#[cfg(test)]
mod tests;
