//! A pool of clusters that tests share, because starting one costs more than most scenarios.

use anyhow::{Context, Result};
use std::sync::{LazyLock, PoisonError};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Mutex, MutexGuard},
};

use crate::{cluster::Cluster, paths};

/// A cluster lent to one test. Dropping it returns it to the pool unchanged.
pub type Lent = MutexGuard<'static, Cluster>;

/// The runtime of the clusters' processes, which outlive the tests and their runtimes. The network namespace of
/// `scripts/netns.sh` ends those that still run after the last test.
static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build());

/// All clusters that were started.
static CLUSTERS: std::sync::Mutex<Vec<&Mutex<Cluster>>> = std::sync::Mutex::new(Vec::new());

/// Takes an idle cluster, or starts one. It has the CRDs and no objects.
pub fn take() -> Result<Lent> {
    let all = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let idle = all.iter().filter_map(|cluster| cluster.try_lock().ok());
    // A cluster whose API server a test has killed is not reused.
    let usable = |cluster: Lent| cluster.clear().is_ok().then_some(cluster);
    match idle.filter_map(usable).next() {
        Some(cluster) => Ok(cluster),
        None => start(),
    }
}

/// Starts a cluster in a folder named by its index.
fn start() -> Result<Lent> {
    let runtime = RUNTIME.as_ref().context("a runtime for clusters")?;
    let mut all = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = paths::scratch(&format!("cluster-{}", all.len()))?.canonicalize()?;
    let cluster = tokio::task::block_in_place(|| runtime.block_on(Cluster::start(&dir)))?;
    let cluster: &'static _ = Box::leak(Box::new(Mutex::new(cluster)));
    all.push(cluster);
    Ok(cluster.try_lock()?)
}
