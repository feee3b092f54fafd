//! The control binary: `serve` and its other commands.

use anyhow::{Result, ensure};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Output,
};
use tokio::process::Command;

use crate::{paths, ports, process::Process};

/// The options of `switchyard serve`, which can be started several times with them.
#[derive(Clone, Debug)]
pub struct ControlOptions {
    /// The manifests folder to serve, unless there is a kubeconfig.
    pub manifests: PathBuf,
    /// The kubeconfig of the cluster to serve.
    pub kubeconfig: Option<PathBuf>,
    pub xds: SocketAddr,
    pub admin: SocketAddr,
    pub metrics: SocketAddr,
    /// The addresses of Envoy's HTTP and HTTPS listeners.
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub wasm: PathBuf,
    pub log: PathBuf,
    /// Further flags of `serve`.
    pub flags: Vec<String>,
    /// Further flags of `switchyard bootstrap` for the Envoys.
    pub bootstrap_flags: Vec<String>,
}

/// A running `switchyard serve`. Dropping it kills it.
#[derive(Debug)]
pub struct Control {
    pub process: Process,
    pub options: ControlOptions,
}

/// The outcome of a command.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

// === impl ControlOptions ===

impl ControlOptions {
    /// Options for serving a folder, with free ports.
    pub fn new(manifests: &Path, log: &Path) -> Result<Self> {
        Ok(Self {
            manifests: manifests.to_owned(),
            kubeconfig: None,
            xds: loopback()?,
            admin: loopback()?,
            metrics: loopback()?,
            http: loopback()?,
            https: loopback()?,
            wasm: paths::wasm()?,
            log: log.to_owned(),
            flags: Vec::new(),
            bootstrap_flags: Vec::new(),
        })
    }
}

// === impl Control ===

impl Control {
    pub fn start(options: &ControlOptions) -> Result<Self> {
        let ControlOptions {
            manifests,
            kubeconfig,
            xds,
            admin,
            metrics,
            http,
            https,
            wasm,
            log,
            flags,
            bootstrap_flags: _,
        } = options;
        let mut command = Command::new(paths::switchyard()?);
        command.arg("serve");
        match kubeconfig {
            None => command.arg("--manifests").arg(manifests),
            Some(kubeconfig) => command.arg("--kubeconfig").arg(kubeconfig),
        };
        // The same setting as in the image.
        command.env("MALLOC_ARENA_MAX", "2");
        command
            .arg("--wasm")
            .arg(wasm)
            .args(["--xds-address", &xds.to_string()])
            .args(["--admin-address", &admin.to_string()])
            .args(["--metrics-address", &metrics.to_string()])
            .args(["--listen-address", &http.ip().to_string()])
            .args(["--http-port", &http.port().to_string()])
            .args(["--https-port", &https.port().to_string()])
            .args(flags);
        Ok(Self {
            process: Process::spawn(command, log)?,
            options: options.clone(),
        })
    }

    /// Kills control and starts it again.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill().await?;
        *self = Self::start(&self.options)?;
        Ok(())
    }
}

// === impl Outcome ===

impl Outcome {
    /// Returns an error with the output unless the command succeeded.
    pub fn succeeded(self) -> Result<Self> {
        ensure!(self.code == Some(0), "{self:?}");
        Ok(self)
    }

    /// Both outputs, as seen on a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl From<Output> for Outcome {
    fn from(
        Output {
            status,
            stdout,
            stderr,
        }: Output,
    ) -> Self {
        Self {
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }
}

/// Runs `switchyard` with these arguments until it exits.
pub async fn switchyard(arguments: &[&str]) -> Result<Outcome> {
    let output = Command::new(paths::switchyard()?)
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(output.into())
}

/// A loopback address with a free port.
pub fn loopback() -> Result<SocketAddr> {
    Ok(([127, 0, 0, 1], ports::free()?).into())
}
