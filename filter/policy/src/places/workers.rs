//! Which workers count requests in flight, and that they live.
//!
//! ```text
//! layout u8  worker ...        all numbers little-endian
//! worker:  number u64  beats u64
//! ```
//!
//! Each adds a beat from time to time, and sees whether the others do. How long one was quiet is told by the time that
//! passed between looks, of which none counts for much: clocks are set, and machines sleep.

use super::TICK;
use crate::{
    host::Host,
    shared::{self, TRIES},
};
use std::time::Duration;

const LAYOUT: u8 = 1;

/// Where they are in shared data.
const NAME: &str = "workers";

/// A worker without a beat for so long is dead. One that only hung for so long is taken for dead, too.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks. What passes beyond that counts for nothing.
const LONGEST_BREAK: Duration = TICK.saturating_mul(2);

/// The beats of each worker. They are few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workers(Vec<Worker>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Worker {
    number: u64,
    beats: u64,
}

/// What one worker has seen of all.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When it looked last, by the clock.
    looked: Duration,
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    worker: Worker,
    /// For how long there was no other beat.
    quiet: Duration,
}

/// Adds a worker, and tells its number: one that no other has, nor ever had.
pub(super) fn join(host: &dyn Host) -> Option<u64> {
    shared::update(host, NAME, TRIES, |bytes| {
        let mut workers = bytes.and_then(Workers::from_bytes).unwrap_or_default();
        let number = host.random();
        workers.0.push(Worker { number, beats: 0 });
        (Some(workers.to_bytes()), number)
    })
}

/// Adds a beat of a worker, and takes away those that are dead. False: others have taken away the worker itself.
pub(super) fn beat(host: &dyn Host, worker: u64, dead: &[u64]) -> Option<bool> {
    shared::update(host, NAME, TRIES, |bytes| {
        let mut workers = bytes.and_then(Workers::from_bytes).unwrap_or_default();
        let Some(this) = workers.0.iter_mut().find(|other| other.number == worker) else {
            return (None, false);
        };
        this.beats = this.beats.wrapping_add(1);
        let lives = |other: &Worker| other.number == worker || !dead.contains(&other.number);
        workers.0.retain(lives);
        (Some(workers.to_bytes()), true)
    })
}

// === impl Workers ===

impl Workers {
    /// All there are.
    #[must_use]
    pub fn read(host: &dyn Host) -> Self {
        let shared = host.shared(NAME);
        shared
            .and_then(|shared| Self::from_bytes(&shared.value))
            .unwrap_or_default()
    }

    /// None: the bytes are no workers, or of another layout.
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
        Some(Self(workers.iter().map(Worker::from_words).collect()))
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

// === impl Worker ===

impl Worker {
    fn from_words(words: &[[u8; 8]; 2]) -> Self {
        let [number, beats] = words.map(u64::from_le_bytes);
        Self { number, beats }
    }

    fn to_words(self) -> [[u8; 8]; 2] {
        let Self { number, beats } = self;
        [number, beats].map(u64::to_le_bytes)
    }
}

// === impl Watch ===

impl Watch {
    /// Whether it is time to look again.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        now.saturating_sub(self.looked) >= LONGEST_BREAK
    }

    /// Which workers are dead.
    pub(super) fn look(&mut self, now: Duration, workers: &Workers) -> Vec<u64> {
        let lived = now.saturating_sub(self.looked).min(LONGEST_BREAK);
        self.looked = now;
        let look = |worker: &Worker| {
            let seen = self.seen.iter().find(|seen| seen.worker == *worker);
            let quiet = seen.map_or(Duration::ZERO, |seen| seen.quiet + lived);
            let worker = *worker;
            Seen { worker, quiet }
        };
        self.seen = workers.0.iter().map(look).collect();
        let dead = self.seen.iter().filter(|seen| seen.quiet >= PATIENCE);
        dead.map(|seen| seen.worker.number).collect()
    }
}

#[cfg(test)]
mod tests;
