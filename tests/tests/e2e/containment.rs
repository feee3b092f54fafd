//! Values that Envoy rejects although control considers them valid. They affect only the host that contains them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use switchyard_tests::{
    control::ControlOptions,
    echo::Echo,
    envoy::Envoy,
    load::{Load, Running},
    manifests::{ingress_route, service},
    tamper::{SPOILT, Tamper},
    wait::until,
    world::{Builder, Source, World, bootstrap},
};

use crate::{scenarios, status::says};

scenarios![
    host_rejected_by_envoy_does_not_affect_other_hosts,
    restarted_control_finds_the_rejected_host,
];

/// The number of hosts, enough for each bucket to have some.
const HOSTS: usize = 200;
const BAD: usize = 7;

fn host(number: usize) -> String {
    format!("h{number}.bar.com")
}

/// A host with these matches.
fn manifest(number: usize, matches: &[&str]) -> String {
    let leaf = |path: &&str| json!({"match": path, "services": [{"name": "web", "port": 80}]});
    let routes: Vec<Value> = matches.iter().map(leaf).collect();
    let spec = json!({"virtualhost": {"fqdn": host(number)}, "routes": routes});
    ingress_route(&format!("h{number}"), &spec)
}

fn spoilt() -> String {
    manifest(BAD, &["/", &format!("/{SPOILT}")])
}

/// An installation with a proxy between control and the Envoys that corrupts updates.
struct Spoilt {
    world: World,
    _tamper: Tamper,
    _web: Echo,
}

// === impl Spoilt ===

impl Spoilt {
    /// Starts two Envoys, with this manifest for the corrupted host.
    async fn start(source: Source, bad: &str) -> Result<Self> {
        let web = Echo::start("web").await?;
        let others: String = (0..HOSTS)
            .filter(|number| *number != BAD)
            .map(|number| manifest(number, &["/"]))
            .collect();
        let builder = Builder::new(source)?
            .manifest(
                "others.yaml",
                &(others + &service("default", "web", &[web.address])),
            )?
            .manifest("bad.yaml", bad)?
            .envoys(0);
        let mut world = builder.start().await?;
        let tamper = Tamper::start(world.control.options.xds)?;
        let between = ControlOptions {
            xds: tamper.address,
            ..world.control.options.clone()
        };
        for node in ["envoy-0", "envoy-1"] {
            let options = bootstrap(&world.dir, &between, node, 1).await?;
            world.envoys.push(Envoy::start(&options)?);
        }
        world.live().await?;
        Ok(Self {
            world,
            _tamper: tamper,
            _web: web,
        })
    }

    /// Checks that all hosts but the corrupted one are served.
    async fn others_are_served(&self) -> Result<()> {
        for number in (0..HOSTS).filter(|number| *number != BAD) {
            let answer = self.world.get(&host(number), "/").await?;
            ensure!(answer.backend() == "web", "{number}: {answer:?}");
        }
        Ok(())
    }

    /// Waits until all Envoys reject the corrupted host: new connections are spread over both.
    async fn bad_is_refused(&self) -> Result<()> {
        until("it answers 503", async || {
            for _ in 0..20 {
                let answer = self.world.get(&host(BAD), "/").await?;
                ensure!(answer.status == 503, "{answer:?}");
            }
            Ok(())
        })
        .await
    }

    /// Starts load on some of the other hosts.
    async fn load(&self) -> Result<Vec<Running>> {
        let mut running = Vec::new();
        for number in (0..HOSTS).step_by(9) {
            let load = Load {
                connections: 2,
                pause: Duration::from_millis(20),
                ..Load::new(self.world.http(), &host(number), "/")
            };
            running.push(load.start().await?);
        }
        Ok(running)
    }

    /// Waits until the status contains Envoy's error, if there is an API server.
    async fn is_told(&self) -> Result<()> {
        if self.world.cluster.is_none() {
            return Ok(());
        }
        let reason = format!(
            "Envoy refuses VirtualHost {}: :-prefixed or host headers may not be removed",
            host(BAD)
        );
        let told = [("/errors/0", json!(reason)), ("/currentStatus", json!("invalid"))];
        says(&self.world, &format!("h{BAD}"), &told).await?;
        Ok(())
    }
}

async fn all_succeeded(running: Vec<Running>) -> Result<()> {
    for load in running {
        load.stop().await.all_succeeded()?;
    }
    Ok(())
}

async fn host_rejected_by_envoy_does_not_affect_other_hosts(source: Source) -> Result<()> {
    let mut spoilt_world = Spoilt::start(source, &manifest(BAD, &["/"])).await?;
    spoilt_world.world.served_by(&host(BAD), "/", "web").await?;
    let load = spoilt_world.load().await?;
    let begun = Instant::now();
    spoilt_world.world.write("bad.yaml", &spoilt())?;
    spoilt_world.bad_is_refused().await?;
    spoilt_world.is_told().await?;
    let took = begun.elapsed();
    println!("refused, contained and told after {took:?}");
    // Meanwhile, other hosts of the same bucket are added, changed and removed. Names that differ only in characters
    // outside all of the bucket function's sets share a bucket.
    let world = &spoilt_world.world;
    let more = |matches: &[&str]| {
        let numbers = HOSTS..HOSTS + 100;
        numbers
            .map(|number| manifest(number, matches))
            .collect::<String>()
    };
    world.write("more.yaml", &more(&["/"]))?;
    for number in HOSTS..HOSTS + 100 {
        world.served_by(&host(number), "/", "web").await?;
    }
    world.write("more.yaml", &more(&["/only"]))?;
    for number in HOSTS..HOSTS + 100 {
        world.status(&host(number), "/", 404).await?;
    }
    world.remove("more.yaml")?;
    world.status(&host(HOSTS + 50), "/only", 404).await?;
    all_succeeded(load).await?;
    spoilt_world.others_are_served().await?;
    // A restarted Envoy gets the same configuration.
    let fresh = spoilt_world.world.envoys.first_mut().context("an Envoy")?;
    fresh.restart().await?;
    spoilt_world.world.live().await?;
    spoilt_world.others_are_served().await?;
    spoilt_world.bad_is_refused().await?;
    // The host is fixed.
    spoilt_world.world.write("bad.yaml", &manifest(BAD, &["/"]))?;
    spoilt_world.world.served_by(&host(BAD), "/", "web").await?;
    Ok(())
}

async fn restarted_control_finds_the_rejected_host(source: Source) -> Result<()> {
    let mut spoilt_world = Spoilt::start(source, &spoilt()).await?;
    spoilt_world.bad_is_refused().await?;
    spoilt_world.is_told().await?;
    spoilt_world.others_are_served().await?;
    let load = spoilt_world.load().await?;
    spoilt_world.world.control.restart().await?;
    until("control has looked into it", async || {
        let text = std::fs::read_to_string(spoilt_world.world.dir.join("control.log"))?;
        let looked = text.matches("No longer sending what a proxy refuses").count();
        ensure!(looked == 2, "{looked}");
        Ok(())
    })
    .await?;
    spoilt_world.is_told().await?;
    all_succeeded(load).await?;
    spoilt_world.others_are_served().await?;
    spoilt_world.bad_is_refused().await
}
