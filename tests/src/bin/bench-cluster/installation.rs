//! A running installation of Switchyard or Contour.

use anyhow::Result;
use serde_json::Value;
use std::net::SocketAddr;
use switchyard_tests::{envoy::Envoy, process::Process};

/// A control plane and its Envoy. Dropping it kills both.
pub(crate) struct Installation {
    pub(crate) control: Process,
    pub(crate) envoy: Envoy,
    /// The address of Envoy's HTTP listener.
    pub(crate) http: SocketAddr,
    pub(crate) routes: Routes,
}

/// The kind of the installation's routes, in terms of the API server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routes {
    /// The plural, with its group.
    pub(crate) kind: &'static str,
    pub(crate) api_version: &'static str,
    pub(crate) kind_name: &'static str,
    /// The path of the objects.
    pub(crate) collection: &'static str,
    /// The spec of a host with one Service.
    pub(crate) spec: fn(&str, &str) -> Value,
    /// The JSON pointer to the name of the branch in the root.
    pub(crate) delegate: &'static str,
}

/// Envoy's worker threads.
pub(crate) const WORKERS: usize = 2;

// === impl Installation ===

impl Installation {
    /// Returns an error if a process has exited.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.control.check()?;
        self.envoy.process.check()
    }

    /// Ends control first, because it may have a Lease to release.
    pub(crate) async fn end(self) -> Result<()> {
        self.control.terminate().await?;
        self.envoy.process.terminate().await
    }
}
