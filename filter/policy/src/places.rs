//! Concurrency limits: requests in flight, counted across the workers of a proxy.
//!
//! ```text
//! limit, id, key -> Counts, one shared value: places by worker -> Place, released when the request ends
//! ```
//!
//! A place is released by the worker that took it. If the VM of a worker fails, nobody releases its places. So counts
//! are kept by worker, workers show that they live ([`Places::tick`]), and the counts of a dead worker are dropped when
//! they are in the way.
//!
//! Counts exist only while requests are in flight: no client can create more of them than the proxy lets it have in
//! flight.

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

/// The period at which workers with requests in flight show that they live.
pub const TICK: Duration = Duration::from_secs(1);

/// The number of shared values that hold the counts of a limit with a key, by the upper byte of the key's hash.
pub const SETS: usize = 256;

/// The most tries to release a place, which has to succeed. Each failed try means that another worker's succeeded.
const TRIES_TO_LEAVE: usize = 1_000;

/// Counts requests in flight in one worker.
#[derive(Debug, Default)]
pub struct Places {
    hashes: Hashes,
    /// The number of this worker; `None` until it counts, and after others have declared it dead.
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

/// The reason that a request gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    #[error("too many requests in flight")]
    Full,
    /// The request cannot be counted, and must be refused.
    #[error("other workers were faster each time")]
    Contended,
}

/// Releases a place.
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
    /// Takes a place for a request. `id` identifies the limit, whatever its numbers; requests with the same `key` are
    /// counted together, and a limit without a key ignores it.
    ///
    /// # Errors
    /// There is no free place, or it cannot be counted.
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

    /// Shows that this worker lives, and checks if the others do. Call it every [`TICK`] while the worker has requests
    /// in flight; otherwise new requests call it.
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

    /// The name of the shared value that holds the counts, and the key's hash in it.
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
