//! `switchyard serve`: wiring.

mod tls;

use self::tls::{Incoming, Transport};
use crate::{
    admin::{self, Admin},
    cli::{ADMIN_ADDRESS, GraphArgs},
    engine::Engine,
    leader::LeaderArgs,
    paint::Paint,
    proxies::ProxyArgs,
    source::{Source, SourceArgs},
    tls_files::TlsArgs,
    wasm::Wasm,
};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use futures_util::Stream;
use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};
use switchyard_core::Graph;
use switchyard_xds::{
    ads::{self, Server, WasmCode},
    translate::Translator,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tonic::transport::server::{Connected, TcpIncoming};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// How long connected proxies have to leave when control stops.
const GRACE: Duration = Duration::from_secs(5);

/// Serve Envoy's configuration from an API server or a directory of manifests, and follow the changes.
///
/// From an API server: IngressRoute, TLSCertificateDelegation, Service, EndpointSlice, and those Secrets that
/// IngressRoutes name. While it is away, what it last said goes on.
///
/// From a directory: the same kinds and Endpoints, from its *.yaml, *.yml and *.json files. A file that cannot be read is
/// reported with its line, and what it last said goes on.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    source: SourceArgs,
    /// Where to serve xDS.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:18000")]
    xds_address: SocketAddr,
    #[command(flatten)]
    tls: TlsArgs,
    /// Serve xDS in plain text, also where others reach it: they can read every private key.
    #[arg(long, conflicts_with = "xds_ca_file")]
    insecure: bool,
    /// Where to answer /healthz, /readyz, /proxies, and `switchyard switch`.
    #[arg(long, value_name = "IP:PORT", default_value_t = ADMIN_ADDRESS)]
    admin_address: SocketAddr,
    /// The filter's code [default: switchyard.wasm beside this program].
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// What to log: a level, or levels by module as in `info,switchyard_xds=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: String,
    /// How to log.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    #[command(flatten)]
    graph: GraphArgs,
    #[command(flatten)]
    proxies: ProxyArgs,
    #[command(flatten)]
    leader: LeaderArgs,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

// === impl Serve ===

impl Serve {
    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    ///
    /// If it cannot start: an address is taken, the directory or the filter cannot be read.
    pub async fn run(self) -> Result<ExitCode> {
        let Self {
            source,
            xds_address,
            tls,
            insecure,
            admin_address,
            wasm,
            log_level,
            log_format,
            graph,
            proxies,
            leader,
        } = self;
        start_log(&log_level, log_format)?;
        let transport = Transport::new(xds_address, tls.files(), insecure)?;
        let Wasm { bytes, sha256 } = Wasm::read(wasm.as_deref())?;
        let server = Server::new(ads::Config::new(WasmCode {
            bytes: bytes.into(),
            sha256,
        }));
        let mut engine = Engine::new(
            Graph::new(graph.settings()),
            Translator::new(proxies.settings()),
            server.clone(),
        );
        let (batch_sender, batches) = mpsc::channel(64);
        let (question_sender, questions) = mpsc::channel(64);
        let xds = listen(xds_address).await?;
        let admin = listen(admin_address).await?;
        let (files, leader) = match source.start(batch_sender).await? {
            Source::Files(files) => (Some(files), None),
            Source::Cluster(cluster) => {
                let (news, leader) = leader.start(cluster, server.clone());
                engine = engine.telling(news);
                (None, Some(leader))
            }
        };
        let ready = engine.readiness();
        let engine = tokio::spawn(engine.run(batches, questions));
        let router = admin::router(Admin {
            server: server.clone(),
            engine: question_sender,
            files,
            ready,
        });
        // A port that is 0 on the command line is another one by now.
        info!(xds = %xds.local_addr()?, admin = %admin.local_addr()?, "Serving");
        let admin = tokio::spawn(async move { axum::serve(admin, router).await });
        let served = serve_over(transport, server, xds).await;
        engine.abort();
        admin.abort();
        if let Some(leader) = leader {
            leader.stop().await;
        }
        served.map(|()| ExitCode::SUCCESS)
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
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

/// Serves until a signal ends it, and then for a while more to those that are still connected.
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
    // A proxy that does not hang up is left behind.
    let patience = async {
        // Dropping the other end is what tells.
        stopped.await.unwrap_or_default();
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served.context("cannot serve xDS"),
        () = patience => Ok(()),
    }
}

pub(crate) fn start_log(level: &str, format: LogFormat) -> Result<()> {
    // kube tells of each try that failed; the watches tell of what comes of it.
    let filter = format!("kube_client=off,{level}");
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log-level: {level:?}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(Paint::of(&io::stderr()).is_on())
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
