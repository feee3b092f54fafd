use kube::runtime::utils::Backoff;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// An API server that comes back is seen after this at most: what it has to say may be long due. A handful of watches
/// that ask once a second are no load.
const LONGEST: Duration = Duration::from_secs(1);

/// How long to wait before the next try: each time twice as long.
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
