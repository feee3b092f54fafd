//! A listener for readiness and statistics, the only parts of Envoy's admin interface that others can reach.

use super::endpoint::Endpoint;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// The name of the listener, and the prefix of its statistics.
pub const STATUS: &str = "switchyard-status";
/// The cluster of Envoy's own admin interface.
const ADMIN_CLUSTER: &str = "switchyard-admin";
/// The only path of the admin interface that is forwarded: others could stop the process.
const STATISTICS: &str = "/stats/prometheus";
const READY: &str = "/ready";
/// A cluster without endpoints that control sends once this Envoy has accepted its routes: an Envoy without it is not
/// ready.
pub(super) const READINESS_CLUSTER: &str = "switchyard-ready";

/// A listener for the kubelet and Prometheus, on every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusListener {
    pub port: u16,
    /// If true, connections from this host are closed, including those that Envoy makes to an upstream.
    pub external_only: bool,
}

// === impl StatusListener ===

impl StatusListener {
    /// A `Listener`.
    pub(super) fn listener(&self) -> Value {
        let Self { port, external_only } = *self;
        let everywhere = Endpoint {
            host: Ipv4Addr::UNSPECIFIED.to_string(),
            port,
        };
        let from = if external_only { "EXTERNAL" } else { "ANY" };
        json!({
            "name": STATUS,
            "stat_prefix": STATUS,
            "address": everywhere.address(),
            // An Envoy that is short of connections or memory has to report its state.
            "ignore_global_conn_limit": true,
            "bypass_overload_manager": true,
            "filter_chains": [{
                "filter_chain_match": {"source_type": from},
                "filters": [connection_manager()],
            }],
        })
    }
}

fn connection_manager() -> Value {
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": STATUS,
            "route_config": {"virtual_hosts": [{"name": STATUS, "domains": ["*"], "routes": [route(STATISTICS)]}]},
            "http_filters": [readiness(), {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }],
        },
    })
}

/// The `Cluster` of the admin interface at an `Address`.
pub(super) fn cluster(admin: &Value) -> Value {
    json!({
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": ADMIN_CLUSTER,
            "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": admin}},
            ]}],
        },
    })
}

/// A filter that answers 200 while this Envoy is not draining and has the readiness cluster, and 503 otherwise.
fn readiness() -> Value {
    json!({
        "name": "envoy.filters.http.health_check",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
            "pass_through_mode": false,
            "headers": [
                {"name": ":path", "string_match": {"exact": READY}},
                get(),
            ],
            "cluster_min_healthy_percentages": {READINESS_CLUSTER: {"value": 0.0}},
        },
    })
}

fn get() -> Value {
    json!({"name": ":method", "string_match": {"exact": "GET"}})
}

fn route(path: &str) -> Value {
    json!({
        "match": {
            "path": path,
            "headers": [get()],
        },
        "route": {"cluster": ADMIN_CLUSTER},
    })
}
