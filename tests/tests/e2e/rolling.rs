//! Rolling updates: a new process starts and the old one ends while traffic flows. The tests direct connections to one
//! of them, like a Service in a cluster.

use anyhow::{Context, Result, ensure};
use std::time::Duration;
use switchyard_tests::{
    client::{Connection, get, once},
    control::{Control, ControlOptions, loopback},
    echo::Echo,
    envoy::Envoy,
    forwarder::Forwarder,
    load::Load,
    manifests::root,
    wait::until,
    world::{Builder, Source, World, bootstrap},
};
use tokio::time::sleep;

use crate::{
    fixture::{BlueGreen, HOST, ROOT, branch},
    life::Manager,
    scenarios, scenarios_of_files,
};

scenarios![control_replacement_fails_no_request,];
scenarios_of_files![envoy_replacement_fails_no_request,];

/// The options of another control that serves the same objects.
fn beside(world: &World, log: &str) -> Result<ControlOptions> {
    Ok(ControlOptions {
        xds: loopback()?,
        admin: loopback()?,
        metrics: loopback()?,
        log: world.dir.join(log),
        ..world.control.options.clone()
    })
}

async fn control_replacement_fails_no_request(source: Source) -> Result<()> {
    let (blue, green) = (Echo::start("blue").await?, Echo::start("green").await?);
    let world = &mut Builder::new(source)?
        .manifest("root.yaml", &root("default", "blue-green-root", HOST, "blue"))?
        .manifest("blue.yaml", &branch("blue", &blue))?
        .manifest("green.yaml", &branch("green", &green))?
        .envoys(0)
        .start()
        .await?;
    let service = Forwarder::start(world.control.options.xds).await?;
    let seen = ControlOptions {
        xds: service.address,
        ..world.control.options.clone()
    };
    world
        .envoys
        .push(Envoy::start(&bootstrap(&world.dir, &seen, "envoy-0", 2).await?)?);
    world.live().await?;
    world.served_by(HOST, "/", "blue").await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    for branch in ["green", "blue", "green"] {
        let next = Control::start(&beside(world, &format!("control-{branch}.log"))?)?;
        until("the new one is ready", async || {
            let ready = once(next.options.metrics, get("kubelet", "/readyz")).await?;
            ensure!(ready.status == 200, "{ready:?}");
            Ok(())
        })
        .await?;
        service.lead_to(next.options.xds);
        std::mem::replace(&mut world.control, next)
            .process
            .terminate()
            .await?;
        until("the proxy has it of the new one", async || {
            let outcome = world.switch(&[ROOT, branch]).await?;
            ensure!(outcome.text().contains("live on 1/1 proxies"), "{outcome:?}");
            Ok(())
        })
        .await?;
        world.served_by(HOST, "/", branch).await?;
    }
    load.stop().await.all_succeeded()
}

async fn envoy_replacement_fails_no_request(source: Source) -> Result<()> {
    let installation = BlueGreen::start(source).await?;
    let world = &installation.world;
    let service = Forwarder::start(world.http()).await?;
    let load = Load::new(service.address, HOST, "/").start().await?;
    let mut slow = Connection::open(service.address).await?;
    let asked = get(HOST, "/").header("echo-delay-ms", "3000");
    let answer = tokio::spawn(async move { slow.send(asked).await });

    // In a cluster, it would have the same ports on another node.
    let options = ControlOptions {
        http: loopback()?,
        https: loopback()?,
        ..beside(world, "control-of-new.log")?
    };
    let _control = Control::start(&options)?;
    let new = Envoy::start(&bootstrap(&world.dir, &options, "new", 2).await?)?;
    until("the new one is ready", async || {
        ensure!(new.admin("/ready").await?.contains("LIVE"));
        Ok(())
    })
    .await?;
    let manager = Manager::start(world, &["--min-wait", "1s"]).await?;
    let drained = manager.drain();
    let old = world.envoys.first().context("an Envoy")?;
    until("the old one is not ready", async || {
        ensure!(!old.admin("/ready").await?.contains("LIVE"));
        Ok(())
    })
    .await?;
    service.lead_to(options.http);
    ensure!(drained.await??.contains("Drain ended: drained"));
    ensure!(answer.await??.status == 200, "what was under way is finished");
    ensure!(old.stat("http.ingress_http.downstream_cx_active").await? == 0);
    sleep(Duration::from_millis(500)).await;
    load.stop().await.all_succeeded()
}
