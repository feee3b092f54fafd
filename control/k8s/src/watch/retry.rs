use kube::runtime::utils::Backoff;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// The maximum delay until a recovered API server is noticed: its events may be overdue, and a few watches that retry
/// once a second cost little.
const LONGEST: Duration = Duration::from_secs(1);

/// An exponential backoff that doubles the delay with each try.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    next: Duration,
}

// === impl Retry ===

impl Default for Retry {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.next;
        self.next = (now * 2).min(LONGEST);
        Some(now)
    }
}

impl Backoff for Retry {
    fn reset(&mut self) {
        *self = Self::default();
    }
}
