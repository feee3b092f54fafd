//! Mirrors with a low percentage, for which Envoy samples the requests that go through the filter.

use super::Recorder;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use switchyard_tests::{
    client::{Connection, get},
    echo::Echo,
    manifests::{ingress_route, service},
    wait::until,
    world::{Builder, Source, World},
};
use tokio::task::JoinSet;

use crate::policy_metrics::scrape;

const REQUESTS: usize = 10_000;
const CONNECTIONS: usize = 8;
/// The tolerance, 1 % of the requests, which is four standard deviations.
const SLACK: usize = 100;
const FEW: &str = "few.bar.com";
const LEVELS: &str = "levels.bar.com";

fn mirror(name: &str, percent: usize) -> Value {
    json!({"service": name, "port": 80, "percent": percent})
}

/// A root with one plain route to `web`.
fn root(name: &str, virtualhost: &Value, mirrors: &[Value]) -> String {
    let route = json!({"match": "/", "mirror": mirrors, "services": [{"name": "web", "port": 80}]});
    ingress_route(name, &json!({"virtualhost": virtualhost, "routes": [route]}))
}

fn few(percent: usize, auth: &[Value]) -> String {
    let virtualhost = json!({"fqdn": FEW, "mirror": [mirror("tenth", percent)], "auth": auth});
    root("few", &virtualhost, &[])
}

/// A host with mirrors on two levels.
fn levels() -> String {
    let gets = json!({"service": "gets", "port": 80, "percent": 10, "match": {"methods": ["GET"]}});
    let virtualhost = json!({"fqdn": LEVELS, "mirror": [mirror("quarter", 25)]});
    root("levels", &virtualhost, &[mirror("one", 1), gets])
}

/// Starts with the host of the low percentage, and additional manifests.
async fn start(web: &Echo, mirrors: &[(&str, &Recorder)], more: &str) -> Result<World> {
    let services = mirrors
        .iter()
        .map(|(name, mirror)| service("default", name, &[mirror.address]));
    let services: String = services.collect();
    let builder = Builder::new(Source::Directory)?;
    let log = format!("--access-log={}", builder.dir.join("access.log").display());
    let world = builder
        .flag(&log)
        .manifest("few.yaml", &few(10, &[]))?
        .manifest("more.yaml", more)?
        .manifest(
            "services.yaml",
            &(services + &service("default", "web", &[web.address])),
        )?
        .start()
        .await?;
    world.served_by(FEW, "/", "web").await?;
    Ok(world)
}

async fn ask(world: &World, host: &'static str) -> Result<()> {
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(world.http()).await?;
        clients.spawn(async move {
            for number in 0..REQUESTS / CONNECTIONS {
                let method = ["GET", "POST"][number % 2];
                let answer = connection.send(get(host, "/").method(method)).await?;
                ensure!(answer.status == 200, "{answer:?}");
            }
            Ok(())
        });
    }
    clients.join_all().await.into_iter().collect()
}

/// The number of mirrored requests that Envoy has counted for the policy.
async fn counted(world: &World, policy: &str, route: &str) -> Result<usize> {
    let samples = scrape(world).await?;
    let labels = format!(r#"policy="{policy}",route="{route}",branch="",result="mirrored"}} "#);
    let count = samples.iter().find_map(|sample| sample.split_once(&labels));
    let (_, count) = count.with_context(|| format!("not counted: {samples:#?}"))?;
    Ok(count.parse()?)
}

/// Sampled requests have another route in Envoy, but are logged and counted with the route of the host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn low_percentage_mirrors_get_their_share() -> Result<()> {
    let web = Echo::start("web").await?;
    let [tenth, quarter, one, gets] = [(); 4].map(|()| Recorder::start());
    let (tenth, quarter, one, gets) = (tenth.await?, quarter.await?, one.await?, gets.await?);
    let mirrors = [
        ("tenth", &tenth),
        ("quarter", &quarter),
        ("one", &one),
        ("gets", &gets),
    ];
    let world = start(&web, &mirrors, &levels()).await?;
    world.served_by(LEVELS, "/", "web").await?;
    for host in [FEW, LEVELS] {
        ask(&world, host).await?;
    }
    until("each has its share", async || {
        for ((name, mirror), want) in mirrors.iter().zip([1_000, 2_500, 100, 500]) {
            let copies = mirror.heads().len();
            ensure!(copies.abs_diff(want) <= SLACK, "{name}: {copies}, not {want}");
        }
        Ok(())
    })
    .await?;
    let other = gets
        .heads()
        .into_iter()
        .find(|(head, _)| !head.starts_with("get "));
    ensure!(other.is_none(), "{other:?}");
    for (policy, host, mirror) in [
        ("default/few_virtualhost", FEW, &tenth),
        ("default/levels_virtualhost", LEVELS, &quarter),
    ] {
        let route = format!("{host}/");
        let copies = mirror.heads().len();
        let count = counted(&world, policy, &route).await?;
        ensure!(count == copies, "{host}: {count} counted, {copies} came");
    }
    until("all are logged, by the routes of their hosts", async || {
        let log = fs::read_to_string(world.dir.join("access.log"))?;
        for host in [FEW, LEVELS] {
            let route = format!(r#""route":"{host}/""#);
            let logged = log.lines().filter(|line| line.contains(&route)).count();
            ensure!(logged > REQUESTS, "{logged} of {host}");
        }
        ensure!(!log.contains("sample"), "a sample is logged");
        Ok(())
    })
    .await
}

/// Sends this many requests, one after the other.
async fn all(world: &World, count: usize, status: u16) -> Result<()> {
    for _ in 0..count {
        let answer = world.get(FEW, "/").await?;
        ensure!(answer.status == status, "{answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_added_later_applies_to_sampled_requests() -> Result<()> {
    let web = Echo::start("web").await?;
    let tenth = Recorder::start().await?;
    let world = start(&web, &[("tenth", &tenth)], "").await?;
    all(&world, 100, 200).await?;
    let denied = json!({"ip": {"deny": ["127.0.0.0/8"]}});
    world.write("few.yaml", &few(10, &[denied]))?;
    until("it is live", async || all(&world, 100, 403).await).await?;
    let served = web.requests();
    all(&world, 500, 403).await?;
    ensure!(web.requests() == served, "the upstream was asked");
    world.write("few.yaml", &few(100, &[]))?;
    until("it is live", async || all(&world, 100, 200).await).await?;
    until("all are copied", async || {
        let (before, served) = (tenth.heads().len(), web.requests());
        all(&world, 100, 200).await?;
        until("as many copies have come", async || {
            let (copies, asked) = (tenth.heads().len() - before, web.requests() - served);
            ensure!((copies, asked) == (100, 100), "{copies} of {asked}");
            Ok(())
        })
        .await
    })
    .await
}
