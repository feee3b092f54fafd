//! `switchyard serve`: wiring.

mod tls;

use self::tls::{Incoming, Transport};
use crate::{
    admin::{self, Admin},
    args::{ADMIN_ADDRESS, GraphArgs},
    dns,
    engine::Engine,
    health::Health,
    jwks::JwksArgs,
    leader::LeaderArgs,
    log::{self, LogFormat},
    metrics::{self, Metrics, timings::Timings},
    proxies::ProxyArgs,
    source::{Source, SourceArgs},
    tls_files::TlsArgs,
    wasm::Wasm,
};
use anyhow::{Context, Result};
use axum::Router;
use clap::Args;
use futures_util::Stream;
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use switchyard_core::{Graph, object::Batch};
use switchyard_xds::{
    ads::{self, Server, WasmCode},
    translate::Translator,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
};
use tonic::transport::server::{Connected, TcpIncoming};
use tracing::{error, info};

/// The time for connected proxies to disconnect when control stops.
const GRACE: Duration = Duration::from_secs(5);

/// Serve Envoy's configuration from an API server or a directory of manifests, and watch it for changes.
///
/// JWKS that IngressRoutes reference by URI are fetched by this process, and refreshed periodically.
///
/// From an API server, it watches IngressRoutes, TLSCertificateDelegations, Services, EndpointSlices, and the Secrets
/// that IngressRoutes reference. While the API server is unavailable, the last known state stays in effect.
///
/// From a directory, it reads the same kinds and Endpoints, in *.yaml, *.yml and *.json files. A file that cannot be
/// parsed is reported with its line, and its last good state stays in effect.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    source: SourceArgs,
    /// Address at which to serve xDS.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:18000")]
    xds_address: SocketAddr,
    #[command(flatten)]
    tls: TlsArgs,
    /// Serve xDS without TLS on an address that others can reach: they can read all private keys.
    #[arg(long, conflicts_with = "xds_ca_file")]
    insecure: bool,
    /// Address of /metrics, for Prometheus, and of /healthz and /readyz, for the kubelet.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8000")]
    metrics_address: SocketAddr,
    /// Address of the admin interface, best on loopback: `switchyard switch`, /proxies, /debug/graph, /debug/explain
    /// and /log-level.
    #[arg(long, value_name = "IP:PORT", default_value_t = ADMIN_ADDRESS)]
    admin_address: SocketAddr,
    /// File of the filter's code [default: switchyard.wasm beside this program].
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Log level, or levels by module as in `info,switchyard_xds=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: String,
    /// Log format.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    #[command(flatten)]
    graph: GraphArgs,
    #[command(flatten)]
    proxies: ProxyArgs,
    #[command(flatten)]
    jwks: JwksArgs,
    #[command(flatten)]
    leader: LeaderArgs,
}

// === impl Serve ===

impl Serve {
    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    ///
    /// If it cannot start: an address is in use, or the directory or the filter cannot be read.
    pub async fn run(self) -> Result<ExitCode> {
        let Self {
            source,
            xds_address,
            tls,
            insecure,
            metrics_address,
            admin_address,
            wasm,
            log_level,
            log_format,
            graph,
            proxies,
            jwks,
            leader,
        } = self;
        let log_level = log::start(&log_level, log_format)?;
        let transport = Transport::new(xds_address, tls.files(), insecure)?;
        let server = server(wasm.as_deref())?;
        let timings = Timings::default();
        let proxies = proxies.settings();
        let told = proxies.clone();
        let graph = graph.settings(source.is_local());
        let resolves = graph.allow_external_names;
        let mut engine =
            Engine::new(Graph::new(graph), Translator::new(proxies), server.clone()).timed(timings.clone());
        let jwks = jwks.fetching(source.is_local())?;
        let fetches = jwks.stats();
        let (seen_sender, seen) = mpsc::channel(64);
        let (batch_sender, mut batches) = mpsc::channel(64);
        let (question_sender, questions) = mpsc::channel(64);
        let xds = listen(xds_address).await?;
        let metrics = listen(metrics_address).await?;
        let admin = listen(admin_address).await?;
        let (files, leader) = match source.start(seen_sender).await? {
            Source::Files(files) => (Some(files), None),
            Source::Cluster(cluster) => {
                let (news, leader) = leader.start(cluster, server.clone());
                engine = engine.with_status_events(news);
                (None, Some(leader))
            }
        };
        let health = Health {
            engine: question_sender.clone(),
            ready: engine.readiness(),
        };
        let to_scrape = Metrics {
            server: server.clone(),
            graph_stats: engine.graph_stats(),
            timings,
            fetches,
            cluster: leader.as_ref().map(|leader| leader.metrics.clone()),
        };
        let to_ask = Admin {
            server: server.clone(),
            engine: question_sender,
            files,
            log_level,
            proxies: told,
        };
        // Port 0 on the command line is an actual port by now.
        let [xds_at, metrics_at, admin_at] = [&xds, &metrics, &admin].map(TcpListener::local_addr);
        let fetching = tokio::spawn(jwks.run(seen, batch_sender));
        if resolves {
            batches = resolved(batches);
        }
        let tasks = [
            fetching,
            tokio::spawn(engine.run(batches, questions)),
            spawn_http(metrics, metrics::router(to_scrape, health.clone())),
            spawn_http(admin, admin::router(to_ask, health)),
        ];
        info!(version = env!("CARGO_PKG_VERSION"), xds = %xds_at?, metrics = %metrics_at?, admin = %admin_at?, "Serving");
        let served = serve_over(transport, server, xds).await;
        tasks.iter().for_each(JoinHandle::abort);
        if let Some(leader) = leader {
            leader.stop().await;
        }
        served.map(|()| ExitCode::SUCCESS)
    }
}

/// Creates the xDS server, with the filter's code.
fn server(wasm: Option<&Path>) -> Result<Server> {
    let Wasm { bytes, sha256 } = Wasm::read(wasm)?;
    Ok(Server::new(ads::Config::new(WasmCode {
        bytes: bytes.into(),
        sha256,
    })))
}

/// Returns the same batches, with the addresses of the names in them.
fn resolved(batches: mpsc::Receiver<Batch>) -> mpsc::Receiver<Batch> {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(dns::run(batches, sender));
    receiver
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

fn spawn_http(listener: TcpListener, router: Router) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            error!(%error, "The metrics or admin server failed");
        }
    })
}

async fn serve_over(transport: Transport, server: Server, listener: TcpListener) -> Result<()> {
    match transport {
        Transport::Plain => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            serve_xds(server, incoming).await
        }
        Transport::Tls(credentials) => serve_xds(server, Incoming::new(listener, credentials)).await,
    }
}

/// Serves until a signal, and then for a grace period to proxies that are still connected.
async fn serve_xds<C>(server: Server, incoming: impl Stream<Item = io::Result<C>>) -> Result<()>
where
    C: AsyncRead + AsyncWrite + Connected + Send + Unpin + 'static,
{
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let closing = server.clone();
    let stop = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        info!("Stopping");
        closing.close();
        drop(stopping);
    };
    let serving = ads::tonic_server_builder()
        .add_service(server.service())
        .serve_with_incoming_shutdown(incoming, stop);
    // A proxy that does not disconnect is dropped after a while.
    let patience = async {
        // The dropped sender is the signal.
        drop(stopped.await);
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served.context("cannot serve xDS"),
        () = patience => Ok(()),
    }
}
