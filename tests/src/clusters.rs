//! Clusters that tests lend one another, for to start one costs more than most scenarios do.

use anyhow::{Context, Result};
use std::sync::{LazyLock, PoisonError};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Mutex, MutexGuard},
};

use crate::{cluster::Cluster, paths};

/// A cluster that nobody else uses at the time. Dropping it gives it back, as it is.
pub type Lent = MutexGuard<'static, Cluster>;

/// Watches over the processes of clusters, which outlive the tests and so the tests' runtimes. What still runs when the
/// last test has ended, ends with the namespace of `scripts/netns.sh`.
static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build());

/// All that were started.
static CLUSTERS: std::sync::Mutex<Vec<&Mutex<Cluster>>> = std::sync::Mutex::new(Vec::new());

/// One that has the CRDs, and no objects.
pub fn take() -> Result<Lent> {
    let all = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let idle = all.iter().filter_map(|cluster| cluster.try_lock().ok());
    // One whose processes a test has ended is of no more use.
    let usable = |cluster: Lent| cluster.clear().is_ok().then_some(cluster);
    match idle.filter_map(usable).next() {
        Some(cluster) => Ok(cluster),
        None => start(),
    }
}

/// In a folder that is named by its number.
fn start() -> Result<Lent> {
    let runtime = RUNTIME.as_ref().context("a runtime for clusters")?;
    let mut all = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = paths::scratch(&format!("cluster-{}", all.len()))?.canonicalize()?;
    let cluster = tokio::task::block_in_place(|| runtime.block_on(Cluster::start(&dir)))?;
    let cluster: &'static _ = Box::leak(Box::new(Mutex::new(cluster)));
    all.push(cluster);
    Ok(cluster.try_lock()?)
}
