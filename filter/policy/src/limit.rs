//! How often requests may come, counted across the workers of a proxy.
//!
//! ```text
//! limit, id, key -> a Set of buckets, one shared value -> Gcra -> Admitted | Limited
//! ```
//!
//! A bucket is one number, the time at which it is full again ([`gcra`]); several share a value ([`set`]), since values
//! are never deleted. So a limit with a key costs at most [`SETS`] values, however many keys clients think of: 170 KB.

pub mod gcra;
pub mod set;

use crate::{
    config::policy::LocalLimit,
    host::Host,
    shared::{self, Hashes, TRIES},
};
use gcra::Gcra;
use set::Set;

/// How many sets the buckets of a limit with a key are in, by the upper byte of the key's hash.
pub const SETS: usize = 256;

/// Counts requests in one worker.
#[derive(Debug, Default)]
pub struct Limits {
    hashes: Hashes,
}

/// What a limit says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is counted.
    Admitted {
        quota: Quota,
        /// A bucket of another key was given up for this one, and was not full: should that key come again, it finds a
        /// full one.
        is_crowded: bool,
    },
    /// It is not counted.
    Limited {
        quota: Quota,
        /// Seconds until one of its key is admitted, at least 1.
        retry_after: u64,
    },
    /// It cannot be counted: other workers were faster each time. To be refused.
    Contended,
}

/// What is left of a bucket, as `RateLimit-*` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many may come at once when the bucket is full.
    pub limit: u32,
    /// How many may come at once now.
    pub remaining: u32,
    /// Seconds until the bucket is full.
    pub reset: u64,
}

// === impl Limits ===

impl Limits {
    /// Takes a request out of the bucket of its key. `id` names the limit, whatever its numbers are; `key` tells apart
    /// what is counted apart, and is nothing to a limit without key.
    #[must_use]
    pub fn take(&self, host: &dyn Host, limit: &LocalLimit, id: &str, key: &[u8]) -> Taken {
        let gcra = Gcra::from(limit);
        let take = |(name, hash): (String, u64)| {
            shared::update(host, &name, TRIES, |value| {
                take_from(value, nanoseconds(host), gcra, hash)
            })
        };
        let bucket = self.bucket(host, limit, id, key);
        bucket.and_then(take).unwrap_or(Taken::Contended)
    }

    /// The name of the value that has the bucket, and what it is called there.
    fn bucket(&self, host: &dyn Host, limit: &LocalLimit, id: &str, key: &[u8]) -> Option<(String, u64)> {
        if limit.key.is_empty() {
            return Some((format!("limit {id}"), 0));
        }
        let hash = self.hashes.hash(host, key)?;
        let [set, ..] = hash.to_be_bytes();
        Some((format!("limits {set:02x} {id}"), hash))
    }
}

/// What becomes of a set of buckets, if anything, and what the limit says.
fn take_from(value: Option<&[u8]>, now: u64, gcra: Gcra, hash: u64) -> (Option<Vec<u8>>, Taken) {
    let read = value.and_then(Set::from_bytes);
    let mut set = read.unwrap_or_else(|| Set::new(gcra.window()));
    let is_adjusted = set.adjust(gcra.window(), now);
    let full_at = set.full_at(hash);
    match gcra.admit(now, full_at) {
        Ok(full_at) => {
            let is_crowded = set.put(hash, full_at, now);
            let quota = gcra.quota(now, full_at);
            (Some(set.to_bytes()), Taken::Admitted { quota, is_crowded })
        }
        Err(wait) => {
            let limited = Taken::Limited {
                quota: gcra.quota(now, full_at),
                retry_after: gcra::seconds(wait),
            };
            (is_adjusted.then(|| set.to_bytes()), limited)
        }
    }
}

/// Since 1970, by the system's clock, which may be set back.
fn nanoseconds(host: &dyn Host) -> u64 {
    u64::try_from(host.now().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
