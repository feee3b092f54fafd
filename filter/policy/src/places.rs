//! How many requests are in flight, counted across the workers of a proxy.
//!
//! ```text
//! limit, id, key -> Counts, one shared value: who has how many places -> Place, which goes back when the request ends
//! ```
//!
//! A place is given back by the worker that took it. Those of a worker whose VM failed nobody gives back. So counts
//! are kept by worker, workers show that they live ([`Places::tick`]), and the counts of one that does not are dropped
//! where they are in the way.
//!
//! Counts are there while requests are: no client can make them more than the proxy lets it have in flight.

pub mod counts;
pub mod workers;

use crate::{
    config::policy::Concurrency,
    host::Host,
    shared::{self, Hashes, TRIES},
};
use counts::Counts;
use std::time::Duration;
use workers::{Watch, Workers};

/// How often workers with requests in flight are to show that they live.
pub const TICK: Duration = Duration::from_secs(1);

/// How many values the counts of a limit with a key are in, by the upper byte of the key's hash.
pub const SETS: usize = 256;

/// A place has to go back. Each try that fails is one that another worker has got on by.
const TRIES_TO_LEAVE: usize = 1_000;

/// Counts requests in flight in one worker.
#[derive(Debug, Default)]
pub struct Places {
    hashes: Hashes,
    /// What this worker counts as. None: it has not counted yet, or others took it for dead since.
    worker: Option<u64>,
    watch: Watch,
}

/// One request in flight.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a place that is not left is taken as long as the worker lives"]
pub struct Place {
    value: String,
    hash: u64,
    worker: u64,
}

/// Why a request gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    #[error("too many requests in flight")]
    Full,
    /// To be refused.
    #[error("other workers were faster each time")]
    Contended,
}

/// Gives a place back.
pub fn leave(host: &dyn Host, place: Place) {
    let Place { value, hash, worker } = place;
    shared::update(host, &value, TRIES_TO_LEAVE, |bytes| {
        let mut counts = bytes.and_then(Counts::from_bytes).unwrap_or_default();
        let was_there = counts.remove(hash, worker);
        (was_there.then(|| counts.to_bytes()), ())
    });
}

// === impl Places ===

impl Places {
    /// Takes a place for a request. `id` names the limit, whatever its numbers are; `key` tells apart what is counted
    /// apart, and is nothing to a limit without key.
    ///
    /// # Errors
    /// There is none, or none that can be counted.
    pub fn enter(
        &mut self,
        host: &dyn Host,
        limit: &Concurrency,
        id: &str,
        key: &[u8],
    ) -> Result<Place, NoPlace> {
        let worker = self.worker(host).ok_or(NoPlace::Contended)?;
        let (value, hash) = self.value(host, limit, id, key).ok_or(NoPlace::Contended)?;
        let entered = shared::update(host, &value, TRIES, |bytes| {
            let mut counts = bytes.and_then(Counts::from_bytes).unwrap_or_default();
            if !counts.has_room(hash, limit.max) {
                counts.retain(&Workers::read(host));
            }
            if !counts.has_room(hash, limit.max) {
                return (None, Err(NoPlace::Full));
            }
            counts.add(hash, worker);
            (Some(counts.to_bytes()), Ok(()))
        });
        entered.unwrap_or(Err(NoPlace::Contended))?;
        Ok(Place { value, hash, worker })
    }

    /// Shows that this worker lives, and looks whether the others do. To be called each [`TICK`] as long as it has
    /// requests in flight; beyond that, requests that come see to it.
    pub fn tick(&mut self, host: &dyn Host) {
        let Some(worker) = self.worker else {
            return;
        };
        let dead = self.watch.look(host.now(), &Workers::read(host));
        if workers::beat(host, worker, &dead) == Some(false) {
            self.worker = None;
        }
    }

    fn worker(&mut self, host: &dyn Host) -> Option<u64> {
        if self.watch.is_due(host.now()) {
            self.tick(host);
        }
        if self.worker.is_none() {
            self.worker = workers::join(host);
        }
        self.worker
    }

    /// The name of the value that has the counts, and what the key is called there.
    fn value(&self, host: &dyn Host, limit: &Concurrency, id: &str, key: &[u8]) -> Option<(String, u64)> {
        if limit.key.is_empty() {
            return Some((format!("in flight {id}"), 0));
        }
        let hash = self.hashes.hash(host, key)?;
        let [set, ..] = hash.to_be_bytes();
        Some((format!("in flight by key {set:02x} {id}"), hash))
    }
}

#[cfg(test)]
mod tests;
