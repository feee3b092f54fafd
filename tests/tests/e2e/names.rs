//! Services with DNS names: the destinations that tenants can reach with them, and those that they cannot.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use switchyard_tests::{
    client::{get, once},
    control::switchyard,
    echo::Echo,
    load::Load,
    manifests::{object, service},
    tls::Authority,
    wait::until,
    world::{Builder, Source, World},
};

use crate::scenarios;

scenarios![
    external_name_cannot_reach_localhost,
    name_resolving_to_forbidden_address_is_unreachable,
    endpoint_slice_cannot_reach_special_addresses,
];

const HOST: &str = "names.bar.com";
const TCP_HOST: &str = "tcp.bar.com";

/// An ExternalName Service; `port` is the port to connect to.
fn external_name(name: &str, external_name: &str, port: u16) -> String {
    let spec = json!({"type": "ExternalName", "externalName": external_name, "ports": [{"port": port}]});
    object("v1", "Service", name, json!({"spec": spec}))
}

fn ingress_route(name: &str, spec: &Value) -> String {
    object(
        "contour.heptio.com/v1beta1",
        "IngressRoute",
        name,
        json!({"spec": spec}),
    )
}

/// A route for each way to use a Service, here the Service `local`. Unless `local` is the upstream, `ok` is.
fn users(port: u16) -> Value {
    let local = json!({"name": "local", "port": port});
    let ok = json!([{"name": "ok", "port": 80}]);
    let global = json!({
        "service": local, "domain": "shop", "descriptors": [{"entries": [{"key": "a", "value": "b"}]}],
    });
    json!([
        {"match": "/ok", "services": ok},
        {"match": "/route", "services": [local]},
        {"match": "/mirror", "services": ok, "mirror": [{"service": "local", "port": port}]},
        {"match": "/auth", "services": ok, "auth": [{"external": {"service": local, "onFailure": "allow"}}]},
        {"match": "/global", "services": ok, "rateLimits": [{"global": global}]},
    ])
}

const PATHS: [&str; 4] = ["/route", "/mirror", "/auth", "/global"];

struct Names {
    world: World,
    /// A server on loopback, which no tenant may reach.
    private: Echo,
    _ok: Echo,
}

// === impl Names ===

impl Names {
    async fn start(source: Source, name: &str, at: &str, flags: &[&str]) -> Result<Self> {
        let private = Echo::start_on_loopback("private").await?;
        let ok = Echo::start("ok").await?;
        let port = private.address.port();
        let tcp = json!({
            "virtualhost": {"fqdn": TCP_HOST, "tls": {"passthrough": true}},
            "tcpproxy": {"services": [{"name": "local", "port": port}]},
        });
        let root = json!({"virtualhost": {"fqdn": HOST}, "routes": users(port)});
        let mut builder = Builder::named(source, name)?
            .manifest("ok.yaml", &service("default", "ok", &[ok.address]))?
            .manifest("local.yaml", &external_name("local", at, port))?
            .manifest("tcp.yaml", &ingress_route("tcp", &tcp))?
            .manifest("root.yaml", &ingress_route("names", &root))?;
        for flag in flags {
            builder = builder.flag(flag);
        }
        let world = builder.start().await?;
        world.served_by(HOST, "/ok", "ok").await?;
        Ok(Self {
            world,
            private,
            _ok: ok,
        })
    }

    /// Checks that no use reaches the server, that everything else is served, and that the errors contain the reason.
    async fn reaches_nothing(&self, why: &str) -> Result<()> {
        let Self { world, private, .. } = self;
        for path in PATHS {
            let answer = world.get(HOST, path).await?;
            ensure!(answer.status == 503, "{path}: {answer:?}");
        }
        let opened = Authority::new()?.connect(world.https(), TCP_HOST).await;
        ensure!(opened.is_err(), "something answers");
        world.served_by(HOST, "/ok", "ok").await?;
        ensure!(private.requests() == 0, "something is reached");
        let graph = once(world.control.options.admin, get("admin", "/debug/graph")).await?;
        let graph = String::from_utf8(graph.body.into())?;
        // Five uses, in two objects.
        let told = graph.matches(why).count();
        ensure!(told >= 5, "{told}: {graph}");
        Ok(())
    }
}

async fn external_name_cannot_reach_localhost(source: Source) -> Result<()> {
    let off = Names::start(source, &format!("names-off-{source:?}"), "localhost", &[]).await?;
    off.reaches_nothing("--allow-external-names allows such Services")
        .await?;
    let on = Names::start(
        source,
        &format!("names-on-{source:?}"),
        "localhost",
        &["--allow-external-names"],
    )
    .await?;
    on.reaches_nothing("is a name of this machine or its link").await
}

async fn name_resolving_to_forbidden_address_is_unreachable(source: Source) -> Result<()> {
    for (at, why) in [
        ("rebound.example", "resolves to 127.0.0.1, which is not allowed"),
        (
            "metadata.example",
            "resolves to 169.254.169.254, which is not allowed",
        ),
    ] {
        let name = format!("{at}-{source:?}");
        let names = Names::start(source, &name, at, &["--allow-external-names"]).await?;
        names.reaches_nothing(why).await?;
    }
    Ok(())
}

/// A manually created EndpointSlice, as a tenant may write it.
async fn endpoint_slice_cannot_reach_special_addresses(source: Source) -> Result<()> {
    let private = Echo::start_on_loopback("private").await?;
    let ok = Echo::start("ok").await?;
    // The API server rejects loopback and link-local addresses, but does not recognize NAT64.
    let address = match source {
        Source::Directory => "169.254.169.254",
        Source::ApiServer => "64:ff9b::7f00:1",
    };
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "default",
            "name": "local",
            "labels": {"kubernetes.io/service-name": "local"},
        },
        "addressType": family,
        "ports": [{"port": private.address.port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [address]}],
    });
    let routes = json!([
        {"match": "/ok", "services": [{"name": "ok", "port": 80}]},
        {"match": "/local", "services": [{"name": "local", "port": 80}]},
    ]);
    let root = json!({"virtualhost": {"fqdn": HOST}, "routes": routes});
    let local = object(
        "v1",
        "Service",
        "local",
        json!({"spec": {"ports": [{"port": 80}]}}),
    );
    let world = Builder::new(source)?
        .manifest("ok.yaml", &service("default", "ok", &[ok.address]))?
        .manifest("local.yaml", &(local + &format!("---\n{slice:#}\n")))?
        .manifest("root.yaml", &ingress_route("names", &root))?
        .start()
        .await?;
    world.served_by(HOST, "/ok", "ok").await?;
    until("it is told", async || {
        let graph = once(world.control.options.admin, get("admin", "/debug/graph")).await?;
        let graph = String::from_utf8(graph.body.into())?;
        ensure!(graph.contains("no requests are sent to"), "{graph}");
        Ok(())
    })
    .await?;
    let answer = world.get(HOST, "/local").await?;
    ensure!(answer.status == 503, "{answer:?}");
    ensure!(private.requests() == 0);
    Ok(())
}

/// A backend with a DNS name is served while control restarts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_restart_fails_no_request_to_external_name() -> Result<()> {
    let backend = Echo::start("backend").await?;
    let port = backend.address.port();
    let routes = json!([{"match": "/", "services": [{"name": "local", "port": port}]}]);
    let root = json!({"virtualhost": {"fqdn": HOST}, "routes": routes});
    let mut world = Builder::new(Source::Directory)?
        .flag("--allow-external-names")
        .manifest("local.yaml", &external_name("local", "upstream.example", port))?
        .manifest("root.yaml", &ingress_route("names", &root))?
        .start()
        .await?;
    world.served_by(HOST, "/", "backend").await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    world.control.restart().await?;
    // An update shows that the new control is connected.
    let routes = json!([
        {"match": "/", "services": [{"name": "local", "port": port}]},
        {"match": "/new", "prefixRewrite": "/rewritten", "services": [{"name": "local", "port": port}]},
    ]);
    let root = json!({"virtualhost": {"fqdn": HOST}, "routes": routes});
    fs::write(world.manifests().join("root.yaml"), ingress_route("names", &root))?;
    until("the new control is heard", async || {
        let seen = world.get(HOST, "/new").await?.seen()?;
        ensure!(seen.path == "/rewritten", "{seen:?}");
        Ok(())
    })
    .await?;
    load.stop().await.all_succeeded()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_report_forbidden_external_names() -> Result<()> {
    let routes = json!([{"match": "/", "services": [{"name": "local", "port": 80}]}]);
    let root = json!({"virtualhost": {"fqdn": HOST}, "routes": routes});
    for (number, (at, flags, want)) in [
        ("db.example.com", &[][..], Some("--allow-external-names")),
        ("db.example.com", &["--allow-external-names"], None),
        (
            "0x7f.1",
            &["--allow-external-names"],
            Some("127.0.0.1, which is not allowed: it is loopback"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let builder = Builder::named(Source::Directory, &format!("names-check-{number}"))?
            .manifest("root.yaml", &ingress_route("names", &root))?
            .manifest("local.yaml", &external_name("local", at, 80))?;
        let dir = builder
            .control
            .manifests
            .to_str()
            .context("a path that is text")?
            .to_owned();
        for command in ["check", "translate", "tree"] {
            let outcome = switchyard(&[&[command, dir.as_str()], flags].concat()).await?;
            let told = outcome.text().contains(want.unwrap_or("Service default/local"));
            ensure!(told == want.is_some(), "{command} {at}: {outcome:?}");
        }
    }
    Ok(())
}
