//! Parts that fail, hang, reject updates, or are missing.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use switchyard_tests::{
    client::{Connection, get, once},
    load::Load,
    wait::until,
    world::{Source, World},
};
use tokio::time::{Duration, sleep, timeout};

use crate::{
    fixture::{BlueGreen, HOST, ROOT, damage_filter},
    scenarios,
};

scenarios![
    control_restart_fails_no_request,
    restarted_envoy_gets_its_configuration_again,
    stalled_proxy_is_named_and_delays_no_other,
    switch_time_is_reported_for_each_proxy,
    switch_to_missing_delegate_needs_force,
    proxy_with_nack_is_named_with_its_reason,
];

/// The time for which one proxy hangs after the other has applied a switch.
const LATE: Duration = Duration::from_millis(500);

/// A host that does not depend on the switch.
const OTHER: &str = "apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {namespace: default, name: other}
spec:
  virtualhost: {fqdn: other.bar.com}
  routes:
  - match: /
    services: [{name: green, port: 80}]
";

async fn control_restart_fails_no_request(source: Source) -> Result<()> {
    let mut installation = BlueGreen::start(source).await?;
    let world = &mut installation.world;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    for branch in ["green", "blue"] {
        world.control.restart().await?;
        until_switched(world, branch).await?;
    }
    load.stop().await.all_succeeded()
}

/// Retries `switch`, because right after a restart control may not answer yet or have no proxies.
async fn until_switched(world: &World, branch: &str) -> Result<()> {
    until("the switch is live", async || {
        world.switch(&[ROOT, branch]).await?;
        Ok(())
    })
    .await?;
    world.served_by(HOST, "/", branch).await?;
    Ok(())
}

async fn restarted_envoy_gets_its_configuration_again(source: Source) -> Result<()> {
    let mut installation = BlueGreen::start(source).await?;
    let world = &mut installation.world;
    world.switch(&[ROOT, "green"]).await?;
    world.envoys.first_mut().context("an Envoy")?.restart().await?;
    world.live().await?;
    world.served_by(HOST, "/", "green").await?;
    world.switch(&[ROOT, "blue"]).await?;
    world.served_by(HOST, "/", "blue").await?;
    Ok(())
}

async fn stalled_proxy_is_named_and_delays_no_other(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start_with(source, |builder| Ok(builder.envoys(2))).await?;
    world
        .envoys
        .first()
        .context("an Envoy")?
        .process
        .signal(Signal::STOP)?;
    let mut other = connection_that_answers(world).await?;

    let outcome = world.try_switch(&[ROOT, "green"]).await?;
    ensure!(outcome.code == Some(1), "{outcome:?}");
    ensure!(outcome.text().contains("1/2"), "{outcome:?}");
    ensure!(outcome.text().contains("envoy-0"), "{outcome:?}");
    let answer = other.send(get(HOST, "/")).await?;
    ensure!(answer.backend() == "green", "{answer:?}");

    world
        .envoys
        .first()
        .context("an Envoy")?
        .process
        .signal(Signal::CONT)?;
    let outcome = world.switch(&[ROOT, "blue"]).await?;
    ensure!(outcome.text().contains("live on 2/2 proxies"), "{outcome:?}");
    Ok(())
}

async fn switch_time_is_reported_for_each_proxy(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start_with(source, |builder| Ok(builder.envoys(2))).await?;
    let mut branches = ["green", "blue"].into_iter().cycle();
    // Times are only reported to a request that control gets before the switch. This one may be late, so it is
    // repeated.
    until("both tell how long it took", async || {
        let branch = branches.next().context("endless")?;
        let (told, went_on) = tokio::join!(live(world, branch), switch_with_a_laggard(world, branch));
        went_on?;
        let told = told?;
        let took = |node: &str| {
            let mut proxies = told["proxies"].as_array().into_iter().flatten();
            let proxy = proxies.find(|proxy| proxy["node"] == node);
            let took = proxy.and_then(|proxy| proxy["afterMs"].as_f64());
            took.with_context(|| format!("no time of {node}: {told}"))
        };
        ensure!(told["live"] == 2 && told["of"] == 2, "{told}");
        ensure!(took("envoy-0")? >= LATE.as_secs_f64() * 1e3, "{told}");
        ensure!(took("envoy-1")? > 0.0, "{told}");
        Ok(())
    })
    .await
}

/// Control's report once the branch is live, or after a timeout.
async fn live(world: &World, branch: &str) -> Result<Value> {
    let question = format!("/live?root={ROOT}&match=/&branch=default/{branch}&timeout=15000");
    let answer = once(world.control.options.admin, get("admin", &question)).await?;
    serde_json::from_slice(&answer.body).with_context(|| format!("{answer:?}"))
}

/// Switches while the first Envoy is suspended, so that it applies the switch later than the other.
async fn switch_with_a_laggard(world: &World, branch: &str) -> Result<()> {
    sleep(Duration::from_millis(200)).await;
    let laggard = &world.envoys.first().context("an Envoy")?.process;
    laggard.signal(Signal::STOP)?;
    let mut other = connection_that_answers(world).await?;
    world.switch(&[ROOT, branch, "--no-wait"]).await?;
    until("the other one has it", async || {
        let answer = other.send(get(HOST, "/")).await?;
        ensure!(answer.backend() == branch, "{answer:?}");
        Ok(())
    })
    .await?;
    sleep(LATE).await;
    laggard.signal(Signal::CONT)
}

/// Retries until a connection is accepted by the Envoy that runs. The kernel spreads them over both Envoys.
async fn connection_that_answers(world: &World) -> Result<Connection> {
    until("one Envoy answers", async || {
        let mut connection = Connection::open(world.http()).await?;
        timeout(Duration::from_millis(500), connection.send(get(HOST, "/"))).await??;
        Ok(connection)
    })
    .await
}

async fn switch_to_missing_delegate_needs_force(source: Source) -> Result<()> {
    let BlueGreen { world, .. } =
        &BlueGreen::start_with(source, |builder| builder.manifest("other.yaml", OTHER)).await?;
    let outcome = world.try_switch(&[ROOT, "nowhere"]).await?;
    ensure!(
        outcome.code == Some(1) && outcome.text().contains("nowhere"),
        "{outcome:?}"
    );
    world.served_by(HOST, "/", "blue").await?;

    world.try_switch(&[ROOT, "nowhere", "--force"]).await?;
    world.status(HOST, "/", 503).await?;
    world.served_by("other.bar.com", "/", "green").await?;
    let status = world.ask("check", &[]).await?;
    ensure!(
        status.code == Some(1) && status.text().contains("default/nowhere"),
        "{status:?}"
    );
    world.switch(&[ROOT, "blue"]).await?;
    world.served_by(HOST, "/", "blue").await?;
    Ok(())
}

async fn proxy_with_nack_is_named_with_its_reason(source: Source) -> Result<()> {
    let mut installation = BlueGreen::start(source).await?;
    let world = &mut installation.world;
    damage_filter(world).await?;
    let mut branches = ["green", "blue"].into_iter().cycle();
    let refused = async |branch: &str| {
        let outcome = world.try_switch(&[ROOT, branch]).await?;
        ensure!(outcome.code == Some(1), "{outcome:?}");
        let text = outcome.text();
        ensure!(
            text.contains("envoy-0") && text.contains("Unable to create Wasm"),
            "{text}"
        );
        Ok(())
    };
    let branch = until("the refusal is told", async || {
        let branch = branches.next().context("endless")?;
        refused(branch).await?;
        Ok(branch)
    })
    .await?;
    // Unrelated changes do not make the branch live either.
    world.write("other.yaml", OTHER)?;
    world.served_by("other.bar.com", "/", "green").await?;
    refused(branch).await?;
    let Some(cluster) = &world.cluster else {
        return Ok(());
    };
    until("an Event of control's pod", async || {
        let selector = "regarding.kind=Pod,reason=Refused";
        let events = cluster.kubectl(&[
            "get",
            "events.events.k8s.io",
            "--field-selector",
            selector,
            "-o",
            "yaml",
        ])?;
        ensure!(
            events.contains("envoy-0 rejected") && events.contains("Unable to create Wasm"),
            "{events}"
        );
        Ok(())
    })
    .await
}
