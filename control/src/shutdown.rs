//! `switchyard shutdown-manager`: ends an Envoy so that no request fails.

mod drain;

use self::drain::{Drain, End, Limits, Step};
use crate::{
    bootstrap::STATUS,
    cli::parse_duration,
    http::Server,
    log::{self, LogFormat},
};
use anyhow::{Context, Result};
use axum::{Router, extract::State, routing::get};
use clap::Args;
use hyper::Method;
use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// For one answer of Envoy.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long those who wait for the end have to read that it came.
const FAREWELL: Duration = Duration::from_secs(1);

/// Drain an Envoy before it ends: in its pod, beside it.
///
/// Draining has Envoy's readiness fail, so that balancers send nothing new, and has it tell clients to go elsewhere
/// after the request under way (`connection: close`, GOAWAY). It goes on serving all the while, and is over when the
/// connections are.
///
/// It begins with a GET of /drain, which is answered when it is over: the preStop hook of Envoy's container. SIGTERM
/// begins it, too, and this program ends after it.
#[derive(Debug, Args)]
pub struct ShutdownManager {
    /// Where to answer /drain and /healthz.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:8090")]
    address: SocketAddr,
    /// The port of Envoy's admin interface, on loopback.
    #[arg(long, value_name = "PORT", default_value_t = 9901)]
    envoy_admin_port: u16,
    /// How long draining takes at least: until balancers have seen that Envoy is not ready.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    min_wait: Duration,
    /// How long draining takes at most. Pods need a terminationGracePeriodSeconds above it.
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = parse_duration)]
    max_wait: Duration,
    /// How many connections need not be waited for.
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_open_connections: u64,
}

/// When draining begins, and that it has ended.
#[derive(Debug)]
struct Signals {
    begin: Notify,
    ended: watch::Sender<Option<End>>,
}

/// The Envoy that ends.
struct Envoy {
    admin: Server,
}

// === impl ShutdownManager ===

impl ShutdownManager {
    /// Waits until Envoy is to end, and drains it.
    ///
    /// # Errors
    ///
    /// If it cannot listen.
    pub async fn run(self) -> Result<ExitCode> {
        let Self {
            address,
            envoy_admin_port,
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
        let signals = Arc::new(Signals {
            begin: Notify::new(),
            ended: watch::Sender::new(None),
        });
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        info!(address = %listener.local_addr()?, "Waiting to drain Envoy");
        let router = router(signals.clone());
        let answering = tokio::spawn(async move { axum::serve(listener, router).await });
        let envoy = Envoy {
            admin: Server::new(&format!("http://127.0.0.1:{envoy_admin_port}")),
        };
        let draining = tokio::spawn(drain(envoy, limits, signals.clone()));
        terminated().await?;
        signals.begin.notify_one();
        draining.await.context("draining broke off")?;
        // Whoever waits for it is to hear of it.
        sleep(FAREWELL).await;
        answering.abort();
        Ok(ExitCode::SUCCESS)
    }
}

fn router(signals: Arc<Signals>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/drain", get(drained))
        .with_state(signals)
}

/// Begins, and answers at the end.
async fn drained(State(signals): State<Arc<Signals>>) -> String {
    signals.begin.notify_one();
    let mut ended = signals.ended.subscribe();
    let end = ended.wait_for(Option::is_some).await;
    end.ok()
        .and_then(|end| *end)
        .map_or_else(String::new, |end| format!("{end}\n"))
}

async fn terminated() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    Ok(())
}

/// When it is to begin, until its end.
async fn drain(mut envoy: Envoy, limits: Limits, signals: Arc<Signals>) {
    signals.begin.notified().await;
    let mut drain = Drain::new(limits, Instant::now());
    info!("Draining");
    let end = loop {
        let open = drain.open();
        match drain.next(Instant::now()) {
            Step::Done(end) => break end,
            Step::Fail => match envoy.fail().await {
                Ok(()) => {
                    drain.told();
                    info!("Envoy is not ready any more, and tells clients to go");
                    continue;
                }
                Err(error) => missed(&mut drain, &error),
            },
            Step::Count => match envoy.count().await {
                Ok(connections) => {
                    drain.counted(connections);
                    if open != Some(connections) {
                        info!(connections, "Open");
                    }
                }
                Err(error) => missed(&mut drain, &error),
            },
        }
        sleep(INTERVAL).await;
    };
    match end {
        End::Drained => info!("Over: {end}"),
        End::Overdue { .. } | End::Gone => warn!("Over: {end}"),
    }
    signals.ended.send_replace(Some(end));
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

    /// How many connections clients have.
    async fn count(&mut self) -> Result<u64> {
        let target = "/stats?filter=%5Elistener%5C..*%5C.downstream_cx_active$";
        let stats = timeout(PATIENCE, self.admin.ask(Method::GET, target)).await??;
        let stats = String::from_utf8_lossy(&stats);
        // Before there are listeners there is nothing to wait for.
        Ok(drain::connections(&stats, STATUS).unwrap_or_default())
    }
}
