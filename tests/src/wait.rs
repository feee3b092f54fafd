//! Waiting for conditions instead of fixed times.

use anyhow::{Result, bail};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The time limit for a condition, long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two attempts.
const INTERVAL: Duration = Duration::from_millis(10);

/// Calls `look` until it succeeds, and returns its result.
///
/// # Errors
/// If it does not succeed within [`PATIENCE`]; contains `what` and the last error of `look`.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    within(PATIENCE, what, look).await
}

/// The same with a longer time limit.
///
/// # Errors
/// If it does not succeed within `patience`; contains `what` and the last error of `look`.
pub async fn within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() > deadline => bail!("{what}: not within {patience:?}: {error:#}"),
            Err(_) => sleep(INTERVAL).await,
        }
    }
}
