//! Metrics for Prometheus: `/metrics`, with `/healthz` and `/readyz` for the kubelet.
//!
//! Metrics are read at each scrape, and without the engine: a scrape does not slow down serving, and is answered even
//! while the engine hangs.

pub mod family;
pub mod process;
pub mod propagation;
pub mod timings;

use self::{
    family::{Exposition, Value},
    process::Process,
    timings::Timings,
};
use crate::{
    cache,
    engine::GraphStats,
    health::{self, Health},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Registry};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use switchyard_k8s::{status::writer::Stats, watch::Restarts};
use switchyard_xds::{
    ads::{Proxy, Server},
    resource::ResourceType,
};
use tokio::sync::watch;

/// The classic text format, which every scraper reads.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The sources of all metrics.
#[derive(Debug)]
pub struct Metrics {
    pub server: Server,
    pub graph_stats: Arc<GraphStats>,
    pub timings: Timings,
    pub fetches: Arc<cache::Stats>,
    /// The sources for an API server; `None` if objects come from a directory.
    pub cluster: Option<ClusterMetrics>,
}

/// The sources of metrics about an API server.
#[derive(Clone, Debug)]
pub struct ClusterMetrics {
    pub restarts: Arc<Restarts>,
    pub writes: Arc<Stats>,
    /// True while this replica writes statuses.
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

// === impl Metrics ===

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Exposition(encoder);
        let build = ("version", env!("CARGO_PKG_VERSION"), Value::Integer(1));
        out.gauges(
            "switchyard_build_info",
            "Version of Switchyard; always 1",
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
        let Self {
            graph_stats, timings, ..
        } = self;
        let seconds = &timings.graph_build_seconds;
        out.histogram(
            "switchyard_graph_build_seconds",
            "Duration of graph builds",
            seconds,
        )?;
        let objects = graph_stats
            .objects()
            .map(|(kind, count)| ("kind", kind.as_str(), Value::Integer(count)));
        out.gauges("switchyard_objects", "Objects by kind", objects)?;
        let states = graph_stats
            .states()
            .map(|(state, count)| ("status", state.as_str(), Value::Integer(count)));
        out.gauges("switchyard_ingressroutes", "IngressRoutes by status", states)?;
        out.gauge("switchyard_hosts", "Served hosts", graph_stats.hosts())?;
        out.gauge(
            "switchyard_switches",
            "Delegating routes, counted once for each host that leads to them",
            graph_stats.switches(),
        )?;
        out.counter(
            "switchyard_switched_total",
            "Switches of delegating routes from one branch to another",
            Value::Integer(graph_stats.switched()),
        )
    }

    fn jwks(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let Self { fetches, .. } = self;
        let results = [("success", fetches.successes()), ("failure", fetches.failures())];
        out.counters(
            "switchyard_jwks_fetches_total",
            "Fetches of JWKS by result",
            results.map(|(result, count)| ("result", result, Value::Integer(count))),
        )?;
        out.gauge(
            "switchyard_jwks_failing",
            "JWKS whose last fetch failed",
            fetches.failing(),
        )
    }

    fn xds(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let proxies = self.server.proxies();
        let count = |is: fn(&&Proxy) -> bool| proxies.iter().filter(is).count() as u64;
        out.gauge("switchyard_xds_connections", "Connected proxies", count(|_| true))?;
        out.gauge(
            "switchyard_xds_proxies_behind",
            "Connected proxies that have not yet answered the newest configuration",
            count(|proxy| proxy.silent_for.is_some()),
        )?;
        let types = ResourceType::ALL.map(|kind| (kind, kind.to_string()));
        let refusing = |of: ResourceType| {
            let refuses = |proxy: &&Proxy| proxy.nacks.iter().any(|nack| nack.resource_type == of);
            Value::Integer(proxies.iter().filter(refuses).count() as u64)
        };
        out.gauges(
            "switchyard_xds_proxies_refusing",
            "Connected proxies that reject one of the newest resources, by type",
            types
                .iter()
                .map(|(kind, name)| ("type", name.as_str(), refusing(*kind))),
        )?;
        out.histogram(
            "switchyard_xds_propagation_seconds",
            "Duration from a change of objects until all connected proxies have answered it",
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
            "Resources sent to proxies by type, without removals",
            counts(|one| one.sent),
        )?;
        out.counters(
            "switchyard_xds_acks_total",
            "Responses that proxies acknowledged, by type",
            counts(|one| one.acks),
        )?;
        out.counters(
            "switchyard_xds_nacks_total",
            "Responses that proxies rejected, by type",
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
            "Writes of IngressRoute statuses by result",
            results.map(|(result, count)| ("result", result, Value::Integer(count.load(Relaxed)))),
        )?;
        out.gauge(
            "switchyard_leader",
            "1 if this replica writes statuses, else 0",
            u64::from(*leading.borrow()),
        )?;
        let counts = restarts.counts();
        out.counters(
            "switchyard_watch_restarts_total",
            "Restarts of watches of the API server by kind",
            counts.map(|(kind, count)| ("kind", kind.as_str(), Value::Integer(count))),
        )
    }
}

#[cfg(test)]
mod tests;
