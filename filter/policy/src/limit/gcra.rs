//! A token bucket in one number: the generic cell rate algorithm (ITU-T I.371).
//!
//! The number is the time at which the bucket is full again, in nanoseconds since 1970. Each request puts that off by
//! an interval, and is admitted if it is then no farther away than an empty bucket takes to fill. A bucket that was
//! never used is full since 1970.

use super::Quota;
use crate::config::policy::LocalLimit;

const SECOND: u64 = 1_000_000_000;

/// A hundred and forty-six years: no sum of times overflows.
const LONGEST: u64 = u64::MAX / 4;

/// A limit's numbers. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    burst: u32,
    /// From one request to the next, rounded up: a limit admits no more than it says, and less by no more than a
    /// nanosecond for each request.
    interval: u64,
    /// What an empty bucket takes to fill, at most [`LONGEST`].
    window: u64,
}

/// In seconds, rounded up.
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
    /// What an empty bucket takes to fill, at least 1.
    #[must_use]
    pub fn window(self) -> u64 {
        self.window
    }

    /// When the bucket is full once the request has been taken out of it.
    ///
    /// # Errors
    /// It is not admitted, and would be after so long.
    pub fn admit(self, now: u64, full_at: u64) -> Result<u64, u64> {
        let next = full_at.max(now).saturating_add(self.interval);
        let latest = now.saturating_add(self.window);
        if next <= latest {
            Ok(next)
        } else {
            Err(next - latest)
        }
    }

    /// What is left of a bucket.
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
