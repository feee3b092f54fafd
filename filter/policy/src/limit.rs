//! Rate limits, counted across the workers of a proxy.
//!
//! ```text
//! limit, id, key -> a BucketSet, one shared value -> Gcra -> Admitted | Limited
//! ```
//!
//! A bucket is one number, the time at which it is full again ([`gcra`]); several share a value ([`set`]), since values
//! are never deleted. So a limit with a key costs at most [`SETS`] values, however many keys clients think of: 170 KB.

pub mod gcra;
pub mod set;

use crate::{
    config::policy::LocalLimit,
    host::Host,
    shared::{self, KeyHasher, TRIES},
};
use gcra::{Gcra, Quota};
use set::BucketSet;

/// The number of sets that hold the buckets of a limit with a key, by the upper byte of the key's hash.
pub const SETS: usize = 256;

/// Counts requests in one worker.
#[derive(Debug, Default)]
pub struct RateLimiter {
    hasher: KeyHasher,
}

/// The outcome of a limit for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitOutcome {
    /// The request is counted.
    Admitted {
        quota: Quota,
        /// True if a bucket of another key, which was not full, was evicted for this one: that key starts again with a
        /// full bucket.
        has_evicted: bool,
    },
    /// The request is not counted.
    Limited {
        quota: Quota,
        /// Seconds until a request with this key is admitted, at least 1.
        retry_after: u64,
    },
    /// The request cannot be counted, because other workers were faster each time. It must be refused.
    Contended,
}

// === impl RateLimiter ===

impl RateLimiter {
    /// Takes a request out of the bucket of its key. `id` identifies the limit, whatever its numbers; requests with the
    /// same `key` share a bucket, and a limit without a key ignores it.
    #[must_use]
    pub fn take(&self, host: &dyn Host, limit: &LocalLimit, id: &str, key: &[u8]) -> RateLimitOutcome {
        let gcra = Gcra::from(limit);
        let take = |(name, hash): (String, u64)| {
            shared::update(host, &name, TRIES, |value| {
                take_from(value, nanoseconds(host), gcra, hash)
            })
        };
        let bucket = self.bucket(host, limit, id, key);
        bucket.and_then(take).unwrap_or(RateLimitOutcome::Contended)
    }

    /// The name of the shared value that holds the bucket, and the bucket's hash in it.
    fn bucket(&self, host: &dyn Host, limit: &LocalLimit, id: &str, key: &[u8]) -> Option<(String, u64)> {
        if limit.key.is_empty() {
            return Some((format!("limit {id}"), 0));
        }
        let hash = self.hasher.hash(host, key)?;
        let [set, ..] = hash.to_be_bytes();
        Some((format!("limits {set:02x} {id}"), hash))
    }
}

/// Returns the new set of buckets, if it changes, and the outcome of the limit.
fn take_from(value: Option<&[u8]>, now: u64, gcra: Gcra, hash: u64) -> (Option<Vec<u8>>, RateLimitOutcome) {
    let read = value.and_then(BucketSet::from_bytes);
    let mut set = read.unwrap_or_else(|| BucketSet::new(gcra.window()));
    let is_adjusted = set.adjust(gcra.window(), now);
    let full_at = set.full_at(hash);
    match gcra.admit(now, full_at) {
        Ok(full_at) => {
            let has_evicted = set.put(hash, full_at, now);
            let quota = gcra.quota(now, full_at);
            (
                Some(set.to_bytes()),
                RateLimitOutcome::Admitted { quota, has_evicted },
            )
        }
        Err(wait) => {
            let limited = RateLimitOutcome::Limited {
                quota: gcra.quota(now, full_at),
                retry_after: gcra::seconds(wait),
            };
            (is_adjusted.then(|| set.to_bytes()), limited)
        }
    }
}

/// Nanoseconds since 1970, by the system's clock, which may be set back.
fn nanoseconds(host: &dyn Host) -> u64 {
    u64::try_from(host.now().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
