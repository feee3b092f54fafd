//! A token bucket in one number: the generic cell rate algorithm (ITU-T I.371).
//!
//! The number is the time at which the bucket is full again, in nanoseconds since 1970. Each request puts that off by
//! an interval, and is admitted if it is then no farther away than an empty bucket takes to fill. A bucket that was
//! never used is full since 1970.

use crate::config::policy::LocalLimit;

const SECOND: u64 = 1_000_000_000;

/// The longest window, 146 years: no sum of times overflows.
const LONGEST: u64 = u64::MAX / 4;

/// A limit's numbers. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    burst: u32,
    /// The interval between requests, rounded up: a limit admits no more than configured, and less by at most a
    /// nanosecond per request.
    interval: u64,
    /// The time in which an empty bucket fills, at most [`LONGEST`].
    window: u64,
}

/// The state of a bucket, for the `RateLimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests that may come at once when the bucket is full.
    pub limit: u32,
    /// Requests that may come at once now.
    pub remaining: u32,
    /// Seconds until the bucket is full.
    pub reset: u64,
}

/// Converts nanoseconds to seconds, rounded up.
pub(super) fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(SECOND)
}

// === impl Gcra ===

impl From<&LocalLimit> for Gcra {
    fn from(limit: &LocalLimit) -> Self {
        let LocalLimit {
            requests,
            per_seconds,
            burst,
            key: _,
        } = limit;
        let period = u64::from(*per_seconds).max(1) * SECOND;
        let interval = period.div_ceil(u64::from(*requests).max(1));
        let burst = (*burst).max(1);
        Self {
            burst,
            interval,
            window: interval.saturating_mul(burst.into()).min(LONGEST),
        }
    }
}

impl Gcra {
    /// The time in which an empty bucket fills, in nanoseconds, at least 1.
    #[must_use]
    pub fn window(self) -> u64 {
        self.window
    }

    /// Admits a request, and returns the time at which the bucket is then full.
    ///
    /// # Errors
    /// The request is not admitted; the time until it would be.
    pub fn admit(self, now: u64, full_at: u64) -> Result<u64, u64> {
        let next = full_at.max(now).saturating_add(self.interval);
        let latest = now.saturating_add(self.window);
        if next <= latest {
            Ok(next)
        } else {
            Err(next - latest)
        }
    }

    /// The quota of a bucket.
    #[must_use]
    pub fn quota(self, now: u64, full_at: u64) -> Quota {
        let missing = full_at.saturating_sub(now);
        let remaining = self.window.saturating_sub(missing) / self.interval;
        Quota {
            limit: self.burst,
            remaining: u32::try_from(remaining).unwrap_or(self.burst),
            reset: seconds(missing),
        }
    }
}
