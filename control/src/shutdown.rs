//! `switchyard shutdown-manager`: drains an Envoy before its end, so that no request fails.

mod drain;

use self::drain::{Drain, End, Limits, Step};
use crate::{
    args::parse_duration,
    bootstrap::STATUS,
    http::Server,
    log::{self, LogFormat},
};
use anyhow::{Context, Result};
use clap::Args;
use hyper::Method;
use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

/// The interval between two checks.
const INTERVAL: Duration = Duration::from_millis(500);
/// The timeout of a request to Envoy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Drain an Envoy before it ends, from a container in the same pod.
///
/// Draining fails Envoy's readiness, so that load balancers send no new connections, and asks clients to disconnect
/// after their current request (`connection: close`, GOAWAY). Envoy serves requests all the while. Draining ends when
/// all connections are closed.
///
/// SIGTERM starts draining, and this program exits after it. In a pod, Envoy has to be a sidecar (an init container
/// with `restartPolicy: Always`), which gets its own SIGTERM when this program has exited. This program listens on no
/// port, so no request can start draining.
#[derive(Debug, Args)]
pub struct ShutdownManager {
    #[command(flatten)]
    envoy: EnvoyArgs,
    /// Minimum duration of draining, until load balancers have seen that Envoy is not ready.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    min_wait: Duration,
    /// Maximum duration of draining. The terminationGracePeriodSeconds of the pod has to be longer.
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = parse_duration)]
    max_wait: Duration,
    /// Number of open connections that need not be waited for.
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_open_connections: u64,
}

/// The address of Envoy's admin interface.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct EnvoyArgs {
    /// Unix domain socket of Envoy's admin interface.
    #[arg(long, value_name = "FILE")]
    envoy_admin_socket: Option<PathBuf>,
    /// TCP address of Envoy's admin interface, if it has one.
    #[arg(long, value_name = "HOST:PORT")]
    envoy_admin_address: Option<String>,
}

/// The Envoy to drain.
struct Envoy {
    admin: Server,
}

// === impl ShutdownManager ===

impl ShutdownManager {
    /// Waits for a signal, and then drains Envoy.
    ///
    /// # Errors
    ///
    /// If it cannot wait for signals.
    pub async fn run(self) -> Result<ExitCode> {
        let Self {
            envoy,
            min_wait,
            max_wait,
            min_open_connections,
        } = self;
        let limits = Limits {
            min_wait,
            max_wait,
            min_open_connections,
        };
        log::start("info", LogFormat::Text)?;
        let envoy = Envoy {
            admin: envoy.server(),
        };
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
        info!("Waiting for SIGTERM to drain Envoy");
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        drain(envoy, limits).await;
        Ok(ExitCode::SUCCESS)
    }
}

// === impl EnvoyArgs ===

impl EnvoyArgs {
    fn server(&self) -> Server {
        let Self {
            envoy_admin_socket,
            envoy_admin_address,
        } = self;
        match (envoy_admin_socket, envoy_admin_address) {
            (Some(socket), _) => Server::at_socket(socket),
            (None, address) => Server::new(&format!("http://{}", address.as_deref().unwrap_or_default())),
        }
    }
}

/// Drains Envoy until the end.
async fn drain(mut envoy: Envoy, limits: Limits) {
    let mut drain = Drain::new(limits, Instant::now());
    info!("Draining");
    let end = loop {
        let open = drain.open();
        match drain.next(Instant::now()) {
            Step::Done(end) => break end,
            Step::Fail => match envoy.fail().await {
                Ok(()) => {
                    drain.told();
                    info!("Envoy fails its health check, and asks clients to close their connections");
                    continue;
                }
                Err(error) => missed(&mut drain, &error),
            },
            Step::Count => match envoy.count().await {
                Ok(connections) => {
                    drain.counted(connections);
                    if open != Some(connections) {
                        info!(connections, "Open connections");
                    }
                }
                Err(error) => missed(&mut drain, &error),
            },
        }
        sleep(INTERVAL).await;
    };
    match end {
        End::Drained => info!("Drain ended: {end}"),
        End::Overdue { .. } | End::Gone => warn!("Drain ended: {end}"),
    }
}

fn missed(drain: &mut Drain, error: &anyhow::Error) {
    drain.unanswered();
    debug!("Envoy's admin interface: {error:#}");
}

// === impl Envoy ===

impl Envoy {
    async fn fail(&mut self) -> Result<()> {
        let asked = self.admin.ask(Method::POST, "/healthcheck/fail");
        timeout(PATIENCE, asked).await?.map(drop)
    }

    /// Counts the connections of clients.
    async fn count(&mut self) -> Result<u64> {
        let target = "/stats?filter=%5Elistener%5C..*%5C.downstream_cx_active$";
        let stats = timeout(PATIENCE, self.admin.ask(Method::GET, target)).await??;
        let stats = String::from_utf8_lossy(&stats);
        // Before there are listeners there is nothing to wait for.
        Ok(drain::connections(&stats, STATUS).unwrap_or_default())
    }
}
