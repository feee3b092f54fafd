//! What of Envoy's admin interface others may ask: whether it is ready, and its statistics.

use super::{Endpoint, address};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// The name of the listener, in its statistics too.
pub const STATUS: &str = "switchyard-status";
/// Envoy's own admin interface, as an upstream.
const ADMIN_CLUSTER: &str = "switchyard-admin";
/// Nothing else is: the admin interface can end the process.
const PATHS: [&str; 2] = ["/ready", "/stats/prometheus"];

/// A `Listener` on every address.
pub(super) fn listener(port: u16) -> Value {
    let everywhere = Endpoint {
        host: Ipv4Addr::UNSPECIFIED.to_string(),
        port,
    };
    let routes: Vec<_> = PATHS.iter().map(|path| route(path)).collect();
    json!({
        "name": STATUS,
        "stat_prefix": STATUS,
        "address": address(&everywhere),
        // Whoever is short of connections or memory is to be asked what is wrong.
        "ignore_global_conn_limit": true,
        "bypass_overload_manager": true,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": STATUS,
                "route_config": {"virtual_hosts": [{"name": STATUS, "domains": ["*"], "routes": routes}]},
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }],
            },
        }]}],
    })
}

/// A `Cluster`.
pub(super) fn cluster(admin_port: u16) -> Value {
    json!({
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": ADMIN_CLUSTER,
            "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address(&Endpoint::loopback(admin_port))}},
            ]}],
        },
    })
}

fn route(path: &str) -> Value {
    json!({
        "match": {
            "path": path,
            "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
        },
        "route": {"cluster": ADMIN_CLUSTER},
    })
}
