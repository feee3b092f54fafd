//! The cost of asking an external authorization service.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use switchyard_tests::{
    gatekeeper::Gatekeeper,
    manifests::{annotated_service, service},
    report::Figure,
    twins::Twin,
};

use crate::{
    asked::{ASKED, Asked, PLAIN, always, is_refused, twin_way},
    compare::{Row, compare},
};

/// Like [`ASKED`], with the service called by gRPC.
const ASKED_BY_GRPC: &str = "asker.bar.com";
/// The name of the authorization Service, for each protocol.
const HTTP: &str = "gate-http";
const GRPC: &str = "gate-grpc";
const TIMEOUT: &str = "5s";

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let gate = Gatekeeper::start().await?;
    let external = |name: &str, protocol: &str| {
        let external = json!({
            "service": {"name": name, "port": 80},
            "protocol": protocol,
            "timeout": TIMEOUT,
            "requestHeaders": ["authorization"],
            "responseHeaders": ["x-group"],
        });
        json!({"auth": [{"external": external}]})
    };
    let services = service("default", HTTP, &[gate.address])
        + &annotated_service(
            "default",
            GRPC,
            &[gate.address],
            &[("projectcontour.io/upstream-protocol.h2c", "80")],
        );
    let policies = [
        (ASKED, external(HTTP, "http")),
        (ASKED_BY_GRPC, external(GRPC, "grpc")),
    ];
    let mut asked = Asked::start("bench-external", &policies, &services).await?;
    let dump = asked
        .world
        .envoys
        .first()
        .context("an Envoy")?
        .config_dump()
        .await?;
    let twins = [by_http(&cluster(&dump, HTTP)?)?, by_grpc(&cluster(&dump, GRPC)?)?];
    let credentials = || always("authorization", "yes staff");
    let [by_http, by_grpc] = twins.each_ref().map(|twin| twin_way(twin, credentials()));
    let ways = [
        asked.way(ASKED, credentials()),
        by_http,
        asked.way(ASKED_BY_GRPC, credentials()),
        by_grpc,
    ];
    let costs = compare(&mut asked.world, &twins, &ways).await?;
    for host in [ASKED, ASKED_BY_GRPC] {
        is_refused(asked.world.http(), host, 403).await?;
    }
    for twin in &twins {
        is_refused(twin.address, PLAIN, 403).await?;
    }
    let method = costs.method([
        "the filter over HTTP",
        "`ext_authz` over HTTP",
        "the filter over gRPC",
        "`ext_authz` over gRPC",
    ]) + " One service that answers at once, over the same clusters. Both tell it `authorization` and the upstream `x-group` of its answer.";
    let rows = [
        Row {
            way: 0,
            other: 1,
            cpu: "Envoy CPU for a request, a service asked over HTTP against `ext_authz`",
            bar: None,
            time: "99 % of answers, a service asked over HTTP against `ext_authz`",
        },
        Row {
            way: 2,
            other: 3,
            cpu: "Envoy CPU for a request, a service asked over gRPC against `ext_authz`",
            bar: None,
            time: "99 % of answers, a service asked over gRPC against `ext_authz`",
        },
    ];
    Ok(rows.iter().flat_map(|row| costs.figures(*row, &method)).collect())
}

/// The name of the cluster that control made for a Service.
fn cluster(dump: &Value, service: &str) -> Result<String> {
    let configs = dump["configs"].as_array().context("no dump")?;
    let clusters = configs
        .iter()
        .filter_map(|config| config["dynamic_active_clusters"].as_array());
    let mut names = clusters
        .flatten()
        .filter_map(|cluster| cluster["cluster"]["name"].as_str());
    let name = names.find(|name| name.contains(service));
    Ok(name
        .with_context(|| format!("no cluster of {service}"))?
        .to_owned())
}

fn by_http(cluster: &str) -> Result<Twin> {
    let exactly = |name: &str| json!({"patterns": [{"exact": name}]});
    ext_authz(
        "over-http",
        &json!({
            "http_service": {
                "server_uri": {"uri": "http://gate", "cluster": cluster, "timeout": TIMEOUT},
                "authorization_response": {"allowed_upstream_headers": exactly("x-group")},
            },
            "allowed_headers": exactly("authorization"),
        }),
    )
}

fn by_grpc(cluster: &str) -> Result<Twin> {
    ext_authz(
        "over-grpc",
        &json!({
            "grpc_service": {"envoy_grpc": {"cluster_name": cluster, "authority": "gate"}, "timeout": TIMEOUT},
            "allowed_headers": {"patterns": [{"exact": "authorization"}]},
        }),
    )
}

fn ext_authz(name: &'static str, how: &Value) -> Result<Twin> {
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
    });
    if let (Value::Object(config), Value::Object(how)) = (&mut config, how) {
        config.extend(how.clone());
    }
    Twin::with(name, "envoy.filters.http.ext_authz", config)
}
