//! An Envoy with the filter and without control, as in deploy/static, for tests of the filter alone.
//!
//! | Envoy route | matches |
//! |---|---|
//! | [`PLAIN`] | `/plain`, routed to the cluster `blue` |
//! | `forward` | requests whose path the filter rewrites |
//! | [`SWITCH`] | everything else; the filter chooses the cluster |
//!
//! Each route mirrors requests to the first [`MIRRORS`] mirrors that the filter names.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use switchyard_policy::names;

use crate::{
    control::loopback,
    envoy::{Envoy, EnvoyOptions},
    paths,
    wait::until,
};

/// The only host that is served.
pub const HOST: &str = "bar.com";
/// A route whose cluster is in Envoy's configuration.
pub const PLAIN: &str = "bar.com/plain";
/// A route whose cluster the filter chooses.
pub const SWITCH: &str = "bar.com/";
pub const MIRRORS: usize = 3;

/// The access log fields of a request. Those that the filter did not set are null.
const LOGGED: [(&str, &str); 6] = [
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("status", "%RESPONSE_CODE%"),
    ("policy", "%FILTER_STATE(wasm.switchyard_policy:PLAIN)%"),
    ("reason", "%FILTER_STATE(wasm.switchyard_reason:PLAIN)%"),
    ("branch", "%FILTER_STATE(wasm.switchyard_branch:PLAIN)%"),
    ("route", "%FILTER_STATE(wasm.switchyard_route:PLAIN)%"),
];

/// An upstream cluster of Envoy.
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a> {
    pub name: &'a str,
    pub address: SocketAddr,
    pub is_http2: bool,
}

/// The running Envoy, until it is dropped.
pub struct Static {
    dir: PathBuf,
    pub http: SocketAddr,
    pub envoy: Envoy,
}

// === impl Cluster ===

impl<'a> Cluster<'a> {
    #[must_use]
    pub fn new(name: &'a str, address: SocketAddr) -> Self {
        Self {
            name,
            address,
            is_http2: false,
        }
    }

    #[must_use]
    pub fn http2(name: &'a str, address: SocketAddr) -> Self {
        Self {
            is_http2: true,
            ..Self::new(name, address)
        }
    }

    fn json(&self) -> Value {
        let Self {
            name,
            address,
            is_http2,
        } = self;
        let mut cluster = json!({
            "name": name,
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(*address)}}]}],
            },
        });
        if *is_http2 {
            cluster["typed_extension_protocol_options"] = json!({
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            });
        }
        cluster
    }
}

// === impl Static ===

impl Static {
    /// Starts an Envoy with two workers and this filter configuration.
    pub fn start(name: &str, clusters: &[Cluster<'_>], filter: &Value) -> Result<Self> {
        let dir = paths::scratch(name)?.canonicalize()?;
        let (http, admin) = (loopback()?, loopback()?);
        let options = EnvoyOptions {
            bootstrap: dir.join("envoy.json"),
            admin,
            concurrency: 2,
            log: dir.join("envoy.log"),
        };
        write(&options.bootstrap, &bootstrap(&dir, http, admin, clusters))?;
        write(&dir.join("ecds.json"), &extension(filter)?)?;
        Ok(Self {
            envoy: Envoy::start(&options)?,
            dir,
            http,
        })
    }

    /// Updates the filter's configuration, and waits until Envoy has accepted it.
    ///
    /// # Errors
    /// Envoy rejects it.
    pub async fn configure(&self, filter: &Value) -> Result<()> {
        let (taken, refused) = self.updates().await?;
        write(&self.dir.join("next.json"), &extension(filter)?)?;
        fs::rename(self.dir.join("next.json"), self.dir.join("ecds.json"))?;
        let is_taken = until("Envoy says what it thinks of it", async || {
            let now = self.updates().await?;
            ensure!(now != (taken, refused));
            Ok(now.1 == refused)
        });
        ensure!(is_taken.await?, "Envoy refuses the configuration");
        Ok(())
    }

    /// The numbers of accepted and rejected configurations. (`config_reload` counts both.)
    async fn updates(&self) -> Result<(u64, u64)> {
        let count = async |what| {
            let name = format!("extension_config_discovery.http_filter.switchyard.{what}");
            self.envoy.stat(&name).await
        };
        Ok((count("update_success").await?, count("update_rejected").await?))
    }

    /// The last access log entry for a path.
    pub async fn logged(&self, path: &str) -> Result<Value> {
        until("it is logged", async || {
            let text = fs::read_to_string(self.dir.join("access.log"))?;
            let mut lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
            lines
                .rfind(|entry: &Value| entry["path"] == path)
                .with_context(|| format!("no line of {path}"))
        })
        .await
    }

    /// The number of requests for which a policy had this result.
    pub async fn counted(&self, source: &str, what: &str) -> Result<u64> {
        self.envoy.policy_count(source, what).await
    }
}

fn write(path: &Path, json: &Value) -> Result<()> {
    Ok(fs::write(path, json.to_string())?)
}

/// The filter as a discovery resource.
fn extension(filter: &Value) -> Result<Value> {
    Ok(json!({"resources": [{
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": "switchyard",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "switchyard",
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": paths::wasm()?}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": filter.to_string(),
                },
            },
        },
    }]}))
}

fn bootstrap(dir: &Path, http: SocketAddr, admin: SocketAddr, clusters: &[Cluster<'_>]) -> Value {
    json!({
        "node": {"id": "static", "cluster": "switchyard"},
        "admin": {"address": socket(admin)},
        "static_resources": {
            "listeners": [{
                "name": "http",
                "address": socket(http),
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager(dir),
                }]}],
            }],
            "clusters": clusters.iter().map(Cluster::json).collect::<Vec<_>>(),
        },
    })
}

fn manager(dir: &Path) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "use_remote_address": true,
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "early_header_mutation_extensions": [{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                "mutations": [{"remove_on_match": {"key_matcher": {"prefix": "x-switchyard-", "ignore_case": true}}}],
            },
        }],
        "access_log": [{
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": dir.join("access.log"),
                "log_format": {"json_format": Value::from_iter(LOGGED)},
            },
        }],
        "route_config": {"name": "http", "virtual_hosts": [{
            "name": HOST,
            "domains": [HOST],
            "routes": [
                route("forward", &json!({
                    "prefix": "/",
                    "headers": [{"name": names::ROUTE, "string_match": {"exact": "forward"}}],
                }), json!({"cluster_header": names::CLUSTER})),
                route(PLAIN, &json!({"path_separated_prefix": "/plain"}), json!({"cluster": "blue"})),
                route(SWITCH, &json!({"prefix": "/"}), json!({"cluster_header": names::CLUSTER})),
            ],
        }]},
        "http_filters": [
            // Delays requests with `x-envoy-fault-delay-request` before they reach the filter.
            {"name": "envoy.filters.http.fault", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                "delay": {"header_delay": {}, "percentage": {"numerator": 100}},
            }},
            {"name": "switchyard", "config_discovery": {
                "config_source": {
                    "resource_api_version": "V3",
                    "path_config_source": {
                        "path": dir.join("ecds.json"),
                        "watched_directory": {"path": dir},
                    },
                },
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            }},
            {"name": "envoy.filters.http.router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            }},
        ],
    })
}

fn route(name: &str, r#match: &Value, mut action: Value) -> Value {
    let mirrors = (0..MIRRORS).map(|number| json!({"cluster_header": names::mirror(number)}));
    action["request_mirror_policies"] = mirrors.collect();
    action["path_rewrite"] = "%FILTER_STATE(wasm.switchyard_path:PLAIN)%".into();
    json!({
        "name": name,
        "match": r#match,
        "route": action,
        "request_headers_to_remove": [names::ROUTE, names::CLUSTER],
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}
