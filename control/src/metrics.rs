//! What Prometheus is told, and where: `/metrics`, with `/healthz` and `/readyz` for the kubelet.
//!
//! Everything is read when it is asked for, and nothing of it asks the engine: a scrape costs no path that serves, and is
//! answered even while the engine hangs.

pub mod family;
pub mod process;
pub mod propagation;

use self::{
    family::{Exposition, Value},
    process::Process,
};
use crate::{
    engine::Tally,
    health::{self, Health},
    jwks,
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::{
    collector::Collector, encoding::DescriptorEncoder, metrics::histogram::Histogram, registry::Registry,
};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use switchyard_k8s::{status::writer::Stats, watch::Restarts};
use switchyard_xds::ads::{Proxy, Server};
use tokio::sync::watch;

/// The classic text format, which every scraper reads.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds. A commit takes microseconds where one root is derived, and a second or more where all of a big cluster are.
const BUILD_BUCKETS: [f64; 11] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Seconds. A switch takes milliseconds; a new cluster that has to warm up may take 15 s, and a proxy that is silent for a
/// minute is no longer waited for.
const PROPAGATION_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// What is observed as it happens.
#[derive(Clone, Debug)]
pub struct Timings {
    pub graph_build_seconds: Histogram,
    pub propagation_seconds: Histogram,
}

/// What there is to read from.
#[derive(Debug)]
pub struct Metrics {
    pub server: Server,
    pub tally: Arc<Tally>,
    pub timings: Timings,
    pub fetches: Arc<jwks::Stats>,
    /// None: objects come from a directory.
    pub cluster: Option<ClusterMetrics>,
}

/// What there is to read from where objects come from an API server.
#[derive(Clone, Debug)]
pub struct ClusterMetrics {
    pub restarts: Arc<Restarts>,
    pub writes: Arc<Stats>,
    /// Whether this replica writes statuses.
    pub leading: watch::Receiver<bool>,
}

/// The routes of the metrics address.
pub fn router(metrics: Metrics, health: Health) -> Router {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics));
    Router::new()
        .route("/metrics", get(scrape))
        .with_state(Arc::new(registry))
        .merge(health::router(health))
}

async fn scrape(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode_registry(&mut text, &registry) {
        Ok(()) => Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text)),
        Err(fmt::Error) => Err((StatusCode::INTERNAL_SERVER_ERROR, "cannot be written\n")),
    }
}

// === impl Timings ===

impl Default for Timings {
    fn default() -> Self {
        Self {
            graph_build_seconds: Histogram::new(BUILD_BUCKETS),
            propagation_seconds: Histogram::new(PROPAGATION_BUCKETS),
        }
    }
}

// === impl Metrics ===

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Exposition(encoder);
        let build = ("version", env!("CARGO_PKG_VERSION"), Value::Integer(1));
        out.gauges(
            "switchyard_build_info",
            "Which Switchyard this is; always 1",
            [build],
        )?;
        self.graph(&mut out)?;
        self.jwks(&mut out)?;
        self.xds(&mut out)?;
        self.traffic(&mut out)?;
        if let Some(cluster) = &self.cluster {
            cluster.encode(&mut out)?;
        }
        match Process::read() {
            Some(process) => process.encode(&mut out),
            None => Ok(()),
        }
    }
}

impl Metrics {
    fn graph(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let Self { tally, timings, .. } = self;
        let seconds = &timings.graph_build_seconds;
        out.histogram(
            "switchyard_graph_build_seconds",
            "How long it took to derive what a change of objects reaches",
            seconds,
        )?;
        let objects = tally
            .objects()
            .map(|(kind, count)| ("kind", kind.as_str(), Value::Integer(count)));
        out.gauges("switchyard_objects", "Objects that are known", objects)?;
        let states = tally
            .states()
            .map(|(state, count)| ("status", state.as_str(), Value::Integer(count)));
        out.gauges("switchyard_ingressroutes", "IngressRoutes by status", states)?;
        out.gauge("switchyard_hosts", "Hosts that are served", tally.hosts())?;
        out.gauge(
            "switchyard_switches",
            "Delegating routes, once for each host that they are reached from",
            tally.switches(),
        )?;
        out.counter(
            "switchyard_switched_total",
            "How often a switch moved from one branch to another",
            Value::Integer(tally.switched()),
        )
    }

    fn jwks(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let Self { fetches, .. } = self;
        let results = [("success", fetches.successes()), ("failure", fetches.failures())];
        out.counters(
            "switchyard_jwks_fetches_total",
            "JWKS that were fetched, or were not to be had",
            results.map(|(result, count)| ("result", result, Value::Integer(count))),
        )?;
        out.gauge(
            "switchyard_jwks_failing",
            "JWKS that could not be fetched the last time",
            fetches.failing(),
        )
    }

    fn xds(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let proxies = self.server.proxies();
        let count = |is: fn(&&Proxy) -> bool| proxies.iter().filter(is).count() as u64;
        out.gauge(
            "switchyard_xds_connections",
            "Proxies that are connected",
            count(|_| true),
        )?;
        out.gauge(
            "switchyard_xds_proxies_behind",
            "Connected proxies that have not yet taken the newest configuration",
            count(|proxy| proxy.silent_for.is_some()),
        )?;
        out.gauge(
            "switchyard_xds_proxies_refusing",
            "Connected proxies that refuse some of the newest configuration",
            count(|proxy| !proxy.nacks.is_empty()),
        )?;
        out.histogram(
            "switchyard_xds_propagation_seconds",
            "How long it took from a change of objects until the last connected proxy had taken it",
            &self.timings.propagation_seconds,
        )
    }

    fn traffic(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let traffic = self.server.traffic();
        let kinds: Vec<_> = traffic.iter().map(|one| one.resource_type.to_string()).collect();
        let counts = |count: fn(&switchyard_xds::ads::Traffic) -> u64| {
            let pairs = kinds.iter().zip(&traffic);
            pairs.map(move |(kind, one)| ("type", kind.as_str(), Value::Integer(count(one))))
        };
        out.counters(
            "switchyard_xds_resources_sent_total",
            "Resources that were sent to proxies, removals not counted",
            counts(|one| one.sent),
        )?;
        out.counters(
            "switchyard_xds_acks_total",
            "Responses that proxies accepted",
            counts(|one| one.acks),
        )?;
        out.counters(
            "switchyard_xds_nacks_total",
            "Responses that proxies refused",
            counts(|one| one.nacks),
        )
    }
}

// === impl ClusterMetrics ===

impl ClusterMetrics {
    fn encode(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let Self {
            restarts,
            writes,
            leading,
        } = self;
        let Stats { done, gone, failed } = &**writes;
        let results = [("success", done), ("gone", gone), ("failure", failed)];
        out.counters(
            "switchyard_status_writes_total",
            "Statuses of IngressRoutes that were written, and what came of it",
            results.map(|(result, count)| ("result", result, Value::Integer(count.load(Relaxed)))),
        )?;
        out.gauge(
            "switchyard_leader",
            "Whether this replica writes statuses",
            u64::from(*leading.borrow()),
        )?;
        let counts = restarts.counts();
        out.counters(
            "switchyard_watch_restarts_total",
            "How often a watch of the API server broke, and began anew",
            counts.map(|(kind, count)| ("kind", kind.as_str(), Value::Integer(count))),
        )
    }
}

#[cfg(test)]
mod tests;
