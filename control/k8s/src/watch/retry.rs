//! The delay before a broken watch is started again.

use backon::ExponentialBuilder;
use kube::runtime::watcher::ExponentialBackoff;
use std::time::Duration;

/// The longest delay is also the longest until a recovered API server is noticed: its events may be overdue, and a few
/// watches that retry once a second cost little.
pub(crate) fn backoff() -> ExponentialBackoff {
    let delays = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(1))
        .without_max_times();
    delays.into()
}
