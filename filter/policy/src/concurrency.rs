//! Concurrency limits: requests in flight, counted across the workers of a proxy.
//!
//! ```text
//! limit, id, key -> Counts, one shared value: requests by worker -> Permit, released when the request ends
//! ```
//!
//! A permit is released by the worker that took it. If the VM of a worker fails, nobody releases its permits. So
//! counts are kept by worker, workers show that they live ([`ConcurrencyLimiter::heartbeat`]), and the counts of a dead
//! worker are dropped when they are in the way.
//!
//! Counts exist only while requests are in flight: no client can create more of them than the proxy lets it have in
//! flight.

pub mod counts;
pub mod workers;

use crate::{
    config::policy::Concurrency,
    host::Host,
    shared::{self, KeyHasher, TRIES},
};
use counts::Counts;
use workers::{WorkerMonitor, Workers};

/// The number of shared values that hold the counts of a limit with a key, by the upper byte of the key's hash.
pub const SETS: usize = 256;

/// The most tries to release a permit, which has to succeed. Each failed try means that another worker's succeeded.
const RELEASE_TRIES: usize = 1_000;

/// Counts requests in flight in one worker.
#[derive(Debug, Default)]
pub struct ConcurrencyLimiter {
    hasher: KeyHasher,
    /// The number of this worker; `None` until it counts, and after others have declared it dead.
    worker: Option<u64>,
    monitor: WorkerMonitor,
}

/// One request in flight.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not released is taken as long as the worker lives"]
pub struct Permit {
    value: String,
    hash: u64,
    worker: u64,
}

/// The reason that a request gets no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    #[error("too many requests in flight")]
    Full,
    /// The request cannot be counted, and must be refused.
    #[error("other workers were faster each time")]
    Contended,
}

// === impl Permit ===

impl Permit {
    /// Releases the permit.
    pub fn release(self, host: &dyn Host) {
        let Self { value, hash, worker } = self;
        shared::update(host, &value, RELEASE_TRIES, |bytes| {
            let mut counts = bytes.and_then(Counts::from_bytes).unwrap_or_default();
            let was_there = counts.remove(hash, worker);
            (was_there.then(|| counts.to_bytes()), ())
        });
    }
}

// === impl ConcurrencyLimiter ===

impl ConcurrencyLimiter {
    /// Takes a permit for a request. `id` identifies the limit, whatever its numbers; requests with the same `key` are
    /// counted together, and a limit without a key ignores it.
    ///
    /// # Errors
    /// There is no free permit, or it cannot be counted.
    pub fn acquire(
        &mut self,
        host: &dyn Host,
        limit: &Concurrency,
        id: &str,
        key: &[u8],
    ) -> Result<Permit, AcquireError> {
        let worker = self.worker(host).ok_or(AcquireError::Contended)?;
        let (value, hash) = self.value(host, limit, id, key).ok_or(AcquireError::Contended)?;
        let result = shared::update(host, &value, TRIES, |bytes| {
            let mut counts = bytes.and_then(Counts::from_bytes).unwrap_or_default();
            if !counts.has_room(hash, limit.max) {
                counts.retain(&Workers::read(host));
            }
            if !counts.has_room(hash, limit.max) {
                return (None, Err(AcquireError::Full));
            }
            counts.add(hash, worker);
            (Some(counts.to_bytes()), Ok(()))
        });
        result.unwrap_or(Err(AcquireError::Contended))?;
        Ok(Permit { value, hash, worker })
    }

    /// Shows that this worker lives, and checks if the others do. Call it every [`workers::HEARTBEAT_INTERVAL`] while
    /// the worker has requests in flight; otherwise new requests call it.
    pub fn heartbeat(&mut self, host: &dyn Host) {
        let Some(worker) = self.worker else {
            return;
        };
        let dead = self.monitor.observe(host.now(), &Workers::read(host));
        if workers::add_beat(host, worker, &dead) == Some(false) {
            self.worker = None;
        }
    }

    fn worker(&mut self, host: &dyn Host) -> Option<u64> {
        if self.monitor.is_due(host.now()) {
            self.heartbeat(host);
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
        let hash = self.hasher.hash(host, key)?;
        let [set, ..] = hash.to_be_bytes();
        Some((format!("in flight by key {set:02x} {id}"), hash))
    }
}

#[cfg(test)]
mod tests;
