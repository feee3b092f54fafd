//! Values that Envoy rejects: control sends none of them, and an Envoy that rejected its routes is not ready.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use envoy_types::pb::{
    envoy::config::route::v3::{RouteAction, RouteConfiguration, route::Action},
    google::protobuf::Duration,
};
use prost::Message;
use serde_json::{Value, json};
use std::net::SocketAddr;
use switchyard_tests::{
    acceptance::Acceptance,
    client::{get, once},
    control::{ControlOptions, loopback},
    envoy::Envoy,
    paths,
    wait::until,
    world::{Source, bootstrap},
};
use switchyard_xds::{
    ads::{Config, Server, WasmCode, tonic_server_builder},
    resource::{Body, Resource, ResourceType, Update},
    translate::{Settings, Translator},
};

use crate::fixture::{BlueGreen, HOST, HOSTS, ROOT, on_both};

/// Fields of a route to `blue`, each with the field that is invalid.
fn nasty() -> Vec<(Value, &'static str)> {
    let health_check = |path: &str, host: &str| json!({"services": [{"name": "blue", "port": 80, "healthCheck": {"path": path, "host": host}}]});
    vec![
        (
            json!({"timeoutPolicy": {"request": "9223372036s"}}),
            "timeoutPolicy.request",
        ),
        (
            json!({"timeoutPolicy": {"request": "315576000001s"}}),
            "timeoutPolicy.request",
        ),
        (
            json!({"retryPolicy": {"count": 1, "perTryTimeout": "9223372037s"}}),
            "retryPolicy.perTryTimeout",
        ),
        (json!({"prefixRewrite": "/\r"}), "prefixRewrite"),
        (json!({"prefixRewrite": "/x\ny"}), "prefixRewrite"),
        (json!({"prefixRewrite": "/\u{0}"}), "prefixRewrite"),
        (json!({"prefixRewrite": "/\u{7f}"}), "prefixRewrite"),
        (health_check("/\r", ""), "services[0].healthCheck.path"),
        (health_check("/\u{1}", ""), "services[0].healthCheck.path"),
        (health_check("/", "a\n"), "services[0].healthCheck.host"),
        (health_check("/", "a\u{0}"), "services[0].healthCheck.host"),
        (
            json!({"services": [
                {"name": "blue", "port": 80, "weight": u32::MAX},
                {"name": "blue", "port": 80, "weight": 1},
            ]}),
            "services",
        ),
    ]
}

/// All of them as routes with separate matches, and a valid route.
fn routes() -> Value {
    let good = json!({"match": "/", "services": [{"name": "blue", "port": 80}]});
    let bad = nasty().into_iter().enumerate().map(|(number, (fields, _))| {
        let mut route = json!({"match": format!("/bad{number}"), "services": [{"name": "blue", "port": 80}]});
        for (field, value) in fields.as_object().into_iter().flatten() {
            route[field] = value.clone();
        }
        route
    });
    let matches = ["/a?b", "/a#b", "/a\rb", "/a\u{0}b"];
    let unmatched = matches.map(|path| json!({"match": path, "services": [{"name": "blue", "port": 80}]}));
    [good].into_iter().chain(bad).chain(unmatched).collect()
}

/// Uses a directory source only, because the CustomResourceDefinition rejects many of the values.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_rejected_by_envoy_affect_only_their_route() -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(Source::Directory).await?;
    world.write("nasty.yaml", &on_both(&routes()))?;
    for host in HOSTS {
        world.served_by(host, "/", "blue").await?;
        for number in 0..nasty().len() {
            world.status(host, &format!("/bad{number}"), 503).await?;
        }
    }
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/", "green").await?;
    let proxies = once(world.control.options.admin, get("admin", "/proxies")).await?;
    let proxies: Value = serde_json::from_slice(&proxies.body)?;
    ensure!(proxies[0]["refused"] == json!([]), "{proxies}");

    let checked = world.ask("check", &[]).await?.text();
    for (number, (_, field)) in nasty().into_iter().enumerate() {
        let place = format!("spec.routes[{}].{field}: ", number + 1);
        ensure!(checked.contains(&place), "{place}: {checked}");
    }
    Ok(())
}

/// An xDS server whose routes are valid or invalid, as the test chooses.
struct Ads {
    server: Server,
    routes: RouteConfiguration,
    version: u64,
}

// === impl Ads ===

impl Ads {
    /// Serves on the address of `xds`, starting with routes that Envoy rejects.
    fn start(options: &ControlOptions) -> Result<Self> {
        let settings = Settings {
            http: options.http,
            https: options.https,
            ..Settings::default()
        };
        let update = Translator::new(settings).start();
        let mut set = update.set.iter();
        let routes = set.find(|(kind, name, _)| *kind == ResourceType::Route && &**name == ROUTES);
        let (_, _, routes) = routes.context("no routes")?;
        let Body::Encoded(routes) = &routes.body else {
            anyhow::bail!("routes are no sections");
        };
        let routes = RouteConfiguration::decode(routes.clone())?;
        let server = Server::new(Config::new(WasmCode {
            bytes: Bytes::from(std::fs::read(paths::wasm()?)?),
            sha256: String::new(),
        }));
        server.publish(update);
        let mut ads = Self {
            server,
            routes,
            version: 0,
        };
        ads.publish(false)?;
        ads.server.ready();
        let serving = tonic_server_builder()
            .add_service(ads.server.service())
            .serve(options.xds);
        tokio::spawn(serving);
        Ok(ads)
    }

    fn publish(&mut self, good: bool) -> Result<()> {
        self.version += 1;
        let mut routes = self.routes.clone();
        let refused = RouteAction {
            timeout: Some(Duration {
                seconds: -1,
                nanos: 0,
            }),
            ..Default::default()
        };
        let hosts = routes.virtual_hosts.iter_mut();
        for route in hosts.flat_map(|host| &mut host.routes).filter(|_| !good) {
            route.action = Some(Action::Route(refused.clone()));
        }
        let mut bytes = Vec::new();
        routes.encode(&mut bytes)?;
        let resource = Resource {
            version: self.version,
            body: Body::Encoded(bytes.into()),
        };
        self.server.publish(Update {
            set: vec![(ResourceType::Route, ROUTES.into(), resource)],
            removed: vec![],
        });
        Ok(())
    }

    /// Waits until Envoy has rejected the routes.
    async fn refused(&self) -> Result<()> {
        until("Envoy refuses its routes", async || {
            let proxies = self.server.proxies();
            let mut nacks = proxies.iter().flat_map(|proxy| &proxy.nacks);
            ensure!(
                nacks.any(|nack| nack.resource_type == ResourceType::Route),
                "{proxies:?}"
            );
            Ok(())
        })
        .await
    }
}

const ROUTES: &str = "ingress_http";

/// The status of the status listener, once it answers.
async fn ready(address: SocketAddr) -> Result<u16> {
    until("the status listener answers", async || {
        let answer = once(address, get("status", "/ready")).await?;
        Ok(answer.status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_with_rejected_initial_routes_is_not_ready() -> Result<()> {
    let dir = paths::scratch("constraints/readiness")?.canonicalize()?;
    let status = loopback()?;
    let mut options = ControlOptions::new(&dir, &dir.join("control.log"))?;
    options.bootstrap_flags = vec!["--status-port".to_owned(), status.port().to_string()];
    let mut ads = Ads::start(&options)?;
    let mut envoy = Envoy::start(&bootstrap(&dir, &options, "envoy", 1).await?)?;
    ads.refused().await?;
    ensure!(ready(status).await? == 503);

    ads.publish(true)?;
    until("it is ready", async || {
        ensure!(ready(status).await? == 200);
        Ok(())
    })
    .await?;

    // Envoy keeps its current routes.
    ads.publish(false)?;
    ads.refused().await?;
    ensure!(ready(status).await? == 200);

    envoy.restart().await?;
    ensure!(ready(status).await? == 503);
    ads.refused().await?;
    ensure!(ready(status).await? == 503);
    Ok(())
}

/// Tries values at and beyond the limits of what Envoy accepts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_accepts_configuration_of_random_specs() -> Result<()> {
    let mut acceptance = Acceptance::start("constraints/acceptance").await?;
    for seed in 0..200u64 {
        acceptance
            .try_specs(&random(seed))
            .await
            .with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}

/// 512 pseudorandom bytes (xorshift).
fn random(seed: u64) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    (0..64).flat_map(|_| next()).collect()
}
