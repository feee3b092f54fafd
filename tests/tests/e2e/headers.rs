//! Internal headers in clients' requests: they reach neither the routing nor the upstream.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fs, net::SocketAddr};
use switchyard_tests::{
    client::get,
    control::loopback,
    envoy::{Envoy, EnvoyOptions},
    raw,
    wait::until,
    world::{Source, World},
};
use tokio::net::TcpListener;

use crate::{
    fixture::{BlueGreen, HOST},
    scenarios,
};

scenarios![
    client_internal_headers_are_removed,
    filter_without_configuration_rejects_requests,
];

/// A host with only a plain route, to blue.
const PLAIN: &str = "apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {namespace: default, name: plain}
spec:
  virtualhost: {fqdn: plain.bar.com}
  routes:
  - match: /
    services: [{name: blue, port: 80}]
";

async fn client_internal_headers_are_removed(source: Source) -> Result<()> {
    let BlueGreen { world, .. } =
        &BlueGreen::start_with(source, |builder| builder.manifest("plain.yaml", PLAIN)).await?;
    world.served_by("plain.bar.com", "/", "blue").await?;
    let green = cluster_of(world, "green").await?;
    for host in [HOST, "plain.bar.com"] {
        for route in internal_route_names(world).await? {
            for lines in attempts(&route, &green) {
                let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n");
                let answer = raw::text(world.http(), &request).await?;
                unharmed(&answer).with_context(|| format!("{host}: {lines}"))?;
            }
        }
    }
    Ok(())
}

/// Header lines that would steer a request to green if Envoy or the filter trusted them.
fn attempts(route: &str, cluster: &str) -> Vec<String> {
    let plain = format!("x-switchyard-route: {route}\r\nx-switchyard-cluster: {cluster}\r\n");
    vec![
        plain
            .to_uppercase()
            .replace(&route.to_uppercase(), route)
            .replace(&cluster.to_uppercase(), cluster),
        format!("{plain}{plain}"),
        format!("connection: x-switchyard-route, x-switchyard-cluster\r\n{plain}"),
        format!("x-switchyard-branch: default/green\r\nx-switchyard-active: default/green\r\n{plain}"),
        format!("x-switchyard-route:{route}\r\nx-switchyard-cluster:\t{cluster}\r\n"),
        plain,
    ]
}

fn unharmed(answer: &str) -> Result<()> {
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    ensure!(answer.contains("\"backend\":\"blue\""), "{answer}");
    ensure!(!answer.contains("x-switchyard"), "{answer}");
    Ok(())
}

/// The name of a Service's cluster in Envoy.
pub(crate) async fn cluster_of(world: &World, service: &str) -> Result<String> {
    let clusters = world
        .envoys
        .first()
        .context("an Envoy")?
        .admin("/clusters?format=json")
        .await?;
    let clusters: Value = serde_json::from_str(&clusters)?;
    let names = clusters["cluster_statuses"]
        .as_array()
        .context("no clusters")?
        .iter();
    names
        .filter_map(|cluster| cluster["name"].as_str())
        .find(|name| name.contains(&format!("/{service}/")))
        .map(str::to_owned)
        .context("no cluster of that service")
}

/// All values of the internal route header that routes match.
pub(crate) async fn internal_route_names(world: &World) -> Result<Vec<String>> {
    let dump = world.envoys.first().context("an Envoy")?.config_dump().await?;
    let mut names = vec!["guessed".to_owned()];
    collect_names(&dump, &mut names);
    names.sort();
    names.dedup();
    Ok(names)
}

fn collect_names(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(map)) = fields.get("exact_match_map").and_then(|map| map.get("map")) {
                names.extend(map.keys().cloned());
            }
            fields.values().for_each(|field| collect_names(field, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}

/// Runs control's listener and routes in an Envoy whose ADS server accepts connections and never answers.
async fn filter_without_configuration_rejects_requests(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let http = loopback()?;
    let envoy = orphan(world, silent.local_addr()?, http).await?;
    let answer = until("the orphan answers", async || {
        switchyard_tests::client::once(http, get(HOST, "/")).await
    })
    .await?;
    ensure!(answer.status == 403, "{answer:?}");
    ensure!(
        envoy
            .stat("extension_config_discovery.http_filter.switchyard-0.init_fetch_timeout")
            .await?
            > 0
    );
    Ok(())
}

async fn orphan(world: &World, ads: SocketAddr, http: SocketAddr) -> Result<Envoy> {
    let dump = world.envoys.first().context("an Envoy")?.config_dump().await?;
    let admin = loopback()?;
    let options = EnvoyOptions {
        bootstrap: world.dir.join("orphan.json"),
        admin,
        concurrency: 2,
        log: world.dir.join("orphan.log"),
    };
    fs::write(
        &options.bootstrap,
        orphan_bootstrap(&dump, ads, http, admin)?.to_string(),
    )?;
    Envoy::start(&options)
}

fn orphan_bootstrap(dump: &Value, ads: SocketAddr, http: SocketAddr, admin: SocketAddr) -> Result<Value> {
    let mut listener = active_listener(dump, "HttpConnectionManager").context("no HTTP listener")?;
    listener
        .as_object_mut()
        .context("a listener is an object")?
        .remove("@type");
    listener["address"] = address(http);
    inline_routes(&mut listener, dump);
    Ok(json!({
        "node": {"id": "orphan", "cluster": "switchyard"},
        "admin": {"address": address(admin)},
        "dynamic_resources": {"ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "silent"}}],
        }},
        "static_resources": {
            "listeners": [listener],
            "clusters": [silent_cluster(ads)],
        },
    }))
}

fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}

fn silent_cluster(ads: SocketAddr) -> Value {
    json!({
        "name": "silent",
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }},
        "load_assignment": {
            "cluster_name": "silent",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(ads)}}]}],
        },
    })
}

/// The HTTP listener in a config dump.
fn active_listener(dump: &Value, contains: &str) -> Option<Value> {
    dump["configs"].as_array()?.iter().find_map(|config| {
        config["dynamic_listeners"]
            .as_array()?
            .iter()
            .find_map(|listener| {
                let listener = &listener["active_state"]["listener"];
                let text = listener.to_string();
                (text.contains(contains) && !text.contains("tls_inspector")).then(|| listener.clone())
            })
    })
}

/// Removes the type of a resource, which a dump contains and a bootstrap must not.
fn untyped(mut resource: Value) -> Value {
    if let Some(fields) = resource.as_object_mut() {
        fields.remove("@type");
    }
    resource
}

/// Inlines the routes into the listener, in place of ADS, and shortens the timeout for the filter's configuration.
fn inline_routes(value: &mut Value, dump: &Value) {
    match value {
        Value::Object(fields) => {
            if fields.remove("scoped_routes").is_some() {
                fields.insert("route_config".to_owned(), route_config(dump));
            }
            if let Some(Value::Object(source)) = fields.get_mut("config_source") {
                source.insert("initial_fetch_timeout".to_owned(), json!("1s"));
            }
            fields.values_mut().for_each(|field| inline_routes(field, dump));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| inline_routes(item, dump)),
        _ => {}
    }
}

/// The route configuration of the HTTP listener that contains the host.
fn route_config(dump: &Value) -> Value {
    let serves = |config: &Value| {
        let mut hosts = config["virtual_hosts"].as_array().into_iter().flatten();
        hosts.any(|host| host["name"] == HOST)
    };
    let configs = dump["configs"].as_array().into_iter().flatten();
    configs
        .filter_map(|config| config["dynamic_route_configs"].as_array())
        .flatten()
        .map(|config| &config["route_config"])
        .find(|config| serves(config))
        .cloned()
        .map(untyped)
        .unwrap_or_default()
}
