use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of fetches, which can be read at any time.
#[derive(Debug, Default)]
pub struct Stats {
    successes: AtomicU64,
    failures: AtomicU64,
    /// Entries whose last fetch failed.
    failing: AtomicU64,
}

// === impl Stats ===

impl Stats {
    pub fn successes(&self) -> u64 {
        self.successes.load(Relaxed)
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Entries whose last fetch failed.
    pub fn failing(&self) -> u64 {
        self.failing.load(Relaxed)
    }

    pub(super) fn count(&self, succeeded: bool) {
        let counter = if succeeded {
            &self.successes
        } else {
            &self.failures
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn set_failing(&self, failing: usize) {
        self.failing.store(failing as u64, Relaxed);
    }
}
