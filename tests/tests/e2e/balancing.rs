//! The choice of endpoint: load balancing strategies, session affinity, weights, health checks.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};
use switchyard_tests::{
    client::{Connection, get, once},
    echo::Echo,
    manifests::{ingress_route, service},
    wait::until,
    world::{Builder, Source, World},
};

use crate::{
    fixture::{BRANCH, HOSTS, SWITCHED_ROOT, on_both},
    scenarios,
};

scenarios![
    every_strategy_uses_every_endpoint,
    session_stays_on_its_endpoint,
    session_endpoint_survives_switch_and_back,
    services_receive_requests_by_weight,
    unhealthy_endpoint_receives_no_requests,
];

const AFFINITY: &str = "X-Contour-Session-Affinity";

/// Starts backends with these names; returns their addresses as well.
async fn start<const N: usize>(names: [&str; N]) -> Result<([Echo; N], [SocketAddr; N])> {
    let mut backends = Vec::new();
    for name in names {
        backends.push(Echo::start(name).await?);
    }
    let addresses = backends.iter().map(|backend| backend.address).collect::<Vec<_>>();
    let backends = backends.try_into().ok().context("as many as names")?;
    let addresses = addresses.try_into().ok().context("as many as names")?;
    Ok((backends, addresses))
}

async fn installation(source: Source, routes: &Value, services: &str) -> Result<World> {
    let builder = Builder::new(source)?.manifest("routes.yaml", &on_both(routes))?;
    builder.manifest("services.yaml", services)?.start().await
}

/// The number of answers by backend, for `requests` requests on one connection.
async fn tally(world: &World, host: &str, path: &str, requests: usize) -> Result<BTreeMap<String, usize>> {
    world.status(host, path, 200).await?;
    let mut connection = Connection::open(world.http()).await?;
    let mut tally = BTreeMap::new();
    for _ in 0..requests {
        let answer = connection.send(get(host, path)).await?;
        ensure!(answer.status == 200, "{host}{path}: {answer:?}");
        *tally.entry(answer.backend().to_owned()).or_default() += 1;
    }
    Ok(tally)
}

async fn every_strategy_uses_every_endpoint(source: Source) -> Result<()> {
    let (_backends, addresses) = start(["a", "b", "c"]).await?;
    let strategies = [
        "",
        "RoundRobin",
        "WeightedLeastRequest",
        "Random",
        "NoSuchStrategy",
    ];
    let route = |strategy: &&str| {
        let trio = json!({"name": "trio", "port": 80, "strategy": strategy});
        json!({"match": format!("/by{strategy}"), "services": [trio]})
    };
    let routes = strategies.iter().map(route).collect();
    let world = installation(source, &routes, &service("default", "trio", &addresses)).await?;
    for host in HOSTS {
        for strategy in strategies {
            // At random, one of three backends would get none of 200 requests once in 10^34 runs.
            let tally = tally(&world, host, &format!("/by{strategy}"), 200).await?;
            ensure!(tally.len() == 3, "{host}, {strategy:?}: {tally:?}");
        }
    }
    Ok(())
}

/// The cookie and backend of a client.
struct Session {
    cookie: String,
    backend: String,
}

// === impl Session ===

impl Session {
    async fn begin(world: &World, host: &str) -> Result<Self> {
        let answer = world.get(host, "/").await?;
        let cookies = answer.all("set-cookie");
        let [cookie] = cookies[..] else {
            anyhow::bail!("{host}: {answer:?}");
        };
        let (pair, attributes) = cookie.split_once("; ").context("no attributes")?;
        ensure!(pair.starts_with(&format!("{AFFINITY}=")), "{cookie}");
        // A session cookie for all paths of the host.
        ensure!(attributes == "Path=/; SameSite=Lax; HttpOnly", "{cookie}");
        Ok(Self {
            cookie: pair.to_owned(),
            backend: answer.backend().to_owned(),
        })
    }

    /// The backend that answers on a new connection.
    async fn again(&self, world: &World, host: &str) -> Result<String> {
        let answer = once(world.http(), get(host, "/again").header("cookie", &self.cookie)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(answer.all("set-cookie").is_empty(), "{answer:?}");
        Ok(answer.backend().to_owned())
    }
}

/// One route, `/`, to a Service with session affinity.
fn with_affinity(service: &str) -> Value {
    json!([{"match": "/", "services": [{"name": service, "port": 80, "strategy": "Cookie"}]}])
}

const SESSIONS: usize = 60;

async fn sessions(world: &World, host: &str) -> Result<Vec<Session>> {
    world.status(host, "/", 200).await?;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(Session::begin(world, host).await?);
    }
    Ok(sessions)
}

async fn session_stays_on_its_endpoint(source: Source) -> Result<()> {
    let (_backends, addresses) = start(["a", "b", "c"]).await?;
    let services = service("default", "trio", &addresses);
    let world = installation(source, &with_affinity("trio"), &services).await?;
    for host in HOSTS {
        let sessions = sessions(&world, host).await?;
        for _ in 0..3 {
            for session in &sessions {
                let backend = session.again(&world, host).await?;
                ensure!(
                    backend == session.backend,
                    "{host}: {} then {backend}",
                    session.backend
                );
            }
        }
        // At random, an endpoint with 30 % of the ring would get none of 60 sessions once in two billion runs.
        let used: BTreeSet<_> = sessions.iter().map(|session| &session.backend).collect();
        ensure!(used.len() == 3, "{host}: {used:?}");
    }
    Ok(())
}

async fn session_endpoint_survives_switch_and_back(source: Source) -> Result<()> {
    let (_blue, blue) = start(["a", "b", "c"]).await?;
    let (_green, green) = start(["d", "e", "f"]).await?;
    let services = service("default", "blue", &blue)
        + &service("default", "green", &green)
        + &ingress_route("standby", &json!({"routes": with_affinity("green")}));
    let world = installation(source, &with_affinity("blue"), &services).await?;
    let [_, host] = HOSTS;
    let sessions = sessions(&world, host).await?;

    world.switch(&[SWITCHED_ROOT, "standby"]).await?;
    for session in &sessions {
        let first = until("it is on the other branch", async || {
            let backend = session.again(&world, host).await?;
            ensure!(["d", "e", "f"].contains(&&*backend), "{backend}");
            Ok(backend)
        })
        .await?;
        let second = session.again(&world, host).await?;
        ensure!(first == second, "{first} then {second}");
    }
    world.switch(&[SWITCHED_ROOT, BRANCH]).await?;
    for session in &sessions {
        until("it is back", async || {
            let backend = session.again(&world, host).await?;
            ensure!(backend == session.backend, "{} then {backend}", session.backend);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn services_receive_requests_by_weight(source: Source) -> Result<()> {
    let (_backends, [most, few, none]) = start(["most", "few", "none"]).await?;
    let services = service("default", "most", &[most])
        + &service("default", "few", &[few])
        + &service("default", "none", &[none]);
    let routes = json!([{"match": "/", "services": [
        {"name": "most", "port": 80, "weight": 3},
        {"name": "few", "port": 80, "weight": 1},
        {"name": "none", "port": 80},
    ]}]);
    let world = installation(source, &routes, &services).await?;
    for host in HOSTS {
        let tally = tally(&world, host, "/", 400).await?;
        let few = tally.get("few").copied().unwrap_or_default();
        // The bounds are six standard deviations from 100, exceeded once in 300 million runs.
        ensure!((48..=152).contains(&few), "{host}: {tally:?}");
        ensure!(!tally.contains_key("none"), "{host}: {tally:?}");
    }
    Ok(())
}

/// The fastest possible health checks: intervals are whole seconds, and one check decides.
fn health_checked() -> Value {
    let check = json!({
        "path": "/healthz",
        "intervalSeconds": 1,
        "timeoutSeconds": 1,
        "unhealthyThresholdCount": 1,
        "healthyThresholdCount": 1,
    });
    json!([{"match": "/", "services": [{"name": "duo", "port": 80, "healthCheck": check}]}])
}

async fn unhealthy_endpoint_receives_no_requests(source: Source) -> Result<()> {
    let ([well, ill], addresses) = start(["well", "ill"]).await?;
    let services = service("default", "duo", &addresses);
    let world = installation(source, &health_checked(), &services).await?;
    for host in HOSTS {
        uses(&world, host, &[&ill, &well]).await?;
        ill.set_healthy(false);
        uses(&world, host, &[&well]).await?;
        ill.set_healthy(true);
        uses(&world, host, &[&ill, &well]).await?;
        // With no healthy endpoint, none is used.
        for backend in [&ill, &well] {
            backend.set_healthy(false);
        }
        uses(&world, host, &[]).await?;
        for backend in [&ill, &well] {
            backend.set_healthy(true);
        }
    }
    Ok(())
}

/// Waits until exactly these backends answer. Each of the two workers does round robin by itself, so eight requests on
/// new connections reach both endpoints.
async fn uses(world: &World, host: &str, backends: &[&Echo]) -> Result<()> {
    let expected: BTreeSet<_> = backends.iter().map(|backend| backend.name.to_string()).collect();
    until(&format!("{host} uses {expected:?}"), async || {
        let mut used = BTreeSet::new();
        for _ in 0..8 {
            let answer = world.get(host, "/").await?;
            if answer.status != 503 {
                used.insert(answer.backend().to_owned());
            }
        }
        ensure!(used == expected, "{used:?}");
        Ok(())
    })
    .await
}
