//! One of the two, running.

use anyhow::Result;
use std::net::SocketAddr;
use switchyard_tests::{envoy::Envoy, process::Process};

/// Control and its Envoy. Dropping it kills both.
pub(crate) struct Installation {
    pub(crate) control: Process,
    pub(crate) envoy: Envoy,
    /// Where Envoy takes requests.
    pub(crate) http: SocketAddr,
    pub(crate) routes: Routes,
}

/// The kind of its routes, as its API server knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routes {
    /// The plural, with its group.
    pub(crate) kind: &'static str,
    /// Of the root that delegates.
    pub(crate) root: &'static str,
    /// Where that names the branch.
    pub(crate) delegate: &'static str,
}

/// Envoy's worker threads.
pub(crate) const WORKERS: usize = 2;

// === impl Installation ===

impl Installation {
    /// An error, if it does not run any longer.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.control.check()?;
        self.envoy.process.check()
    }

    /// Control first: it may have a Lease to give back.
    pub(crate) async fn end(self) -> Result<()> {
        self.control.terminate().await?;
        self.envoy.process.terminate().await
    }
}
