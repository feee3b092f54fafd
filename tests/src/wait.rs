//! Waiting for a condition, never for a time.

use anyhow::{Result, bail};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a condition may take on a busy machine before a test calls it false.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// What `look` finds, as soon as it finds it.
///
/// # Errors
/// Says `what` did not happen within [`PATIENCE`], and what `look` last had to say about it.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    within(PATIENCE, what, look).await
}

/// The same, for what takes longer.
///
/// # Errors
/// Says `what` did not happen within `patience`, and what `look` last had to say about it.
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
