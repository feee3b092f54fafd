//! Envoy's bootstrap: the address of control, the node's metadata, statistics, and overload limits.
//!
//! Field names and meanings are those of `envoy.config.bootstrap.v3.Bootstrap`.

mod admin;
mod endpoint;
mod status;
mod tls;

pub use self::{
    admin::AdminAddress,
    endpoint::Endpoint,
    status::{STATUS, StatusListener},
    tls::XdsTls,
};

use crate::{wasm::Wasm, yaml};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    fs,
    net::IpAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

/// The name of the filter's code, beside the bootstrap.
pub const WASM_FILE: &str = "switchyard.wasm";

/// The content of the bootstrap, and its path.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    pub out: PathBuf,
    pub node_id: String,
    pub node_cluster: String,
    /// The address at which control serves xDS.
    pub xds: Endpoint,
    /// The TLS settings of the connection to control, if any.
    pub tls: Option<XdsTls>,
    pub admin: AdminAddress,
    /// The listener for readiness and statistics, if any.
    pub status: Option<StatusListener>,
    /// The maximum number of downstream connections, above which new ones are closed.
    pub max_downstream_connections: u64,
    /// The maximum heap size of Envoy in bytes, unlimited if `None`.
    pub max_heap_size: Option<NonZeroU64>,
}

// === impl Bootstrap ===

impl Bootstrap {
    /// Writes the bootstrap and, beside it, the filter's code and the SDS files that name the certificates.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write(&self, wasm: &Wasm) -> Result<()> {
        let folder = self
            .out
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the directory {}", folder.display()))?;
        let folder = folder
            .canonicalize()
            .with_context(|| format!("cannot find {}", folder.display()))?;
        let code = folder.join(WASM_FILE);
        fs::write(&code, &wasm.bytes).with_context(|| format!("cannot write {}", code.display()))?;
        if let Some(tls) = &self.tls {
            for (name, secret) in tls.secrets() {
                write(&folder.join(name), &secret)?;
            }
        }
        write(&self.out, &self.config(&folder, &code, &wasm.sha256)?)
    }

    fn config(&self, folder: &Path, code: &Path, sha256: &str) -> Result<Value> {
        Ok(json!({
            "node": {
                "id": self.node_id,
                "cluster": self.node_cluster,
                "metadata": {"switchyard": self.metadata(code, sha256)},
            },
            "admin": {"address": self.admin.listen(folder)?},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
                },
                "lds_config": from_ads(),
                "cds_config": from_ads(),
            },
            "static_resources": {"clusters": self.clusters(folder)?, "listeners": self.listeners()},
            "cluster_manager": {"enable_deferred_cluster_creation": true},
            "deferred_stat_options": {"enable_deferred_creation_stats": true},
            "stats_config": {
                "stats_matcher": {"exclusion_list": {"patterns": unneeded_stats()}},
                "stats_tags": policy_tags(),
            },
            "overload_manager": self.overload_manager(),
        }))
    }

    /// The node metadata for control.
    fn metadata(&self, code: &Path, sha256: &str) -> Value {
        let mut metadata = json!({"wasm": {"path": code, "sha256": sha256}});
        if self.status.is_some() {
            metadata["readiness_cluster"] = status::READINESS_CLUSTER.into();
        }
        metadata
    }

    fn clusters(&self, folder: &Path) -> Result<Vec<Value>> {
        let mut clusters = vec![self.xds_cluster(folder)];
        if self.status.is_some() {
            clusters.push(status::cluster(&self.admin.connect(folder)?));
        }
        Ok(clusters)
    }

    fn listeners(&self) -> Vec<Value> {
        self.status.iter().map(StatusListener::listener).collect()
    }

    /// The cluster of control. An Envoy that lost its connection retries within a second, and keepalives detect a dead
    /// one.
    fn xds_cluster(&self, folder: &Path) -> Value {
        let kind = if self.xds.host.parse::<IpAddr>().is_ok() {
            "STATIC"
        } else {
            "STRICT_DNS"
        };
        let mut cluster = json!({
            "name": XDS_CLUSTER,
            "type": kind,
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {
                        "connection_keepalive": {"interval": "10s", "timeout": "5s"},
                    }},
                },
            },
            "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 5}},
            "load_assignment": {
                "cluster_name": XDS_CLUSTER,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": self.xds.address()}}]}],
            },
        });
        if let (Some(tls), Some(cluster)) = (&self.tls, cluster.as_object_mut()) {
            cluster.insert("transport_socket".to_owned(), tls.transport_socket(folder));
        }
        cluster
    }

    fn overload_manager(&self) -> Value {
        let connections = json!({
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": self.max_downstream_connections,
            },
        });
        let Some(bytes) = self.max_heap_size else {
            return json!({"resource_monitors": [connections]});
        };
        let heap = json!({
            "name": HEAP,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                "max_heap_size_bytes": bytes,
            },
        });
        // The values of Envoy's "Configuring Envoy as an edge proxy".
        let actions = [("shrink_heap", 0.9), ("stop_accepting_requests", 0.95)];
        json!({
            "resource_monitors": [connections, heap],
            "actions": actions.map(|(name, share)| above(share, name)),
        })
    }
}

/// An overload action above a share of the maximum heap size.
fn above(share: f64, action: &str) -> Value {
    json!({
        "name": format!("envoy.overload_actions.{action}"),
        "triggers": [{"name": HEAP, "threshold": {"value": share}}],
    })
}

/// A `ConfigSource` without timeout: Envoy is not ready before control has answered.
fn from_ads() -> Value {
    json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"})
}

/// Writes JSON or YAML, depending on the file's extension.
fn write(path: &Path, config: &Value) -> Result<()> {
    let json = path.extension().is_some_and(|extension| extension == "json");
    let text = if json {
        serde_json::to_string_pretty(config)? + "\n"
    } else {
        yaml::to_string(config)
    };
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

const XDS_CLUSTER: &str = "switchyard-xds";
const HEAP: &str = "envoy.resource_monitors.fixed_heap";

/// Per-cluster statistics that no dashboard reads, which are most of the memory of a cluster. Kept are requests with
/// their codes, times and retries, connections, circuit breakers, and membership.
const UNNEEDED_STATS: [&str; 17] = [
    "assignment_",
    "bind_errors",
    "circuit_breakers\\.high",
    "default\\.",
    "external\\.",
    "http[12]\\.",
    "init_fetch_timeout",
    "internal\\.",
    "lb_(local|recalculate|subsets|zone)",
    "max_host_weight",
    "original_dst",
    "retry_or_shadow_abandoned",
    "update_",
    "upstream_(flow_control|http3|internal_redirect)",
    "upstream_cx_(connect_with_0_rtt|http|pool_overflow|preconnect|rx_bytes_buffered|tx_bytes_buffered)",
    "upstream_rq_(0rtt|retry_backoff)",
    "version",
];

/// A single expression, because each one is tried on the name of every statistic. It matches clusters named
/// `namespace_service_port`, which excludes those of the bootstrap, and the statistics of each of some hundred route
/// configurations, for which control has better metrics.
fn unneeded_stats() -> Value {
    let names = UNNEEDED_STATS.join("|");
    json!([{"safe_regex": {"regex": format!("(cluster\\.[^.]+_[0-9]+\\.({names})|http\\.[a-z_]+\\.rds\\.).*")}}])
}

/// The tags that make the filter's counters, `switchyard.policy=<policy>.route=<route>.branch=<branches>.<result>`, one
/// family with four labels. The first group of an expression is removed from the name, the second is the label's value.
fn policy_tags() -> Value {
    let tag = |name: &str, rest: &str| json!({"tag_name": name, "regex": format!("^wasmcustom\\.switchyard\\.policy{rest}$")});
    json!([
        tag("policy", "(=(.+))\\.route=.+\\.branch=.*\\.[a-z_]+"),
        tag("route", "=.+(\\.route=(.+))\\.branch=.*\\.[a-z_]+"),
        tag("branch", "=.+\\.route=.+(\\.branch=(.*))\\.[a-z_]+"),
        tag("result", "=.+\\.route=.+\\.branch=.*(\\.([a-z_]+))")
    ])
}
