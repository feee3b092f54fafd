//! Several replicas of control: each serves its proxies, and one writes the statuses for all.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Instant;
use switchyard_tests::{
    control::{Control, loopback},
    envoy::Envoy,
    load::Load,
    metrics::Scrape,
    wait::until,
    world::{Source, World, bootstrap},
};

use crate::{
    fixture::{BlueGreen, HOST, ROOT},
    status::says,
};

/// The name of the root object.
const NAME: &str = "blue-green-root";

/// Starts another control for the same cluster.
fn replica(world: &World) -> Result<Control> {
    let mut options = world.control.options.clone();
    options.xds = loopback()?;
    options.admin = loopback()?;
    options.metrics = loopback()?;
    // This replica's Envoy runs on the same machine.
    options.http = loopback()?;
    options.https = loopback()?;
    options.log = world.dir.join("replica.log");
    Control::start(&options)
}

fn switch_to(world: &World, branch: &str) -> Result<()> {
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let patch = json!([{"op": "replace", "path": "/spec/routes/0/delegate/name", "value": branch}]);
    let patch = patch.to_string();
    cluster.kubectl(&["patch", "ingressroute", NAME, "--type=json", "-p", &patch])?;
    Ok(())
}

fn active(branch: &str, proxies: &str, programmed: &str) -> [(&'static str, Value); 3] {
    [
        ("/switches/0/active", json!(format!("default/{branch}"))),
        ("/switches/0/proxies", json!(proxies)),
        ("/conditions/1/reason", json!(programmed)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_counts_proxies_of_every_replica() -> Result<()> {
    let installation = BlueGreen::start(Source::ApiServer).await?;
    let world = &installation.world;
    let replica = replica(world)?;
    let envoy = Envoy::start(&bootstrap(&world.dir, &replica.options, "elsewhere", 1).await?)?;
    says(world, NAME, &active("blue", "2/2", "Programmed")).await?;
    // An Envoy that does not answer keeps its configuration.
    envoy.process.signal(Signal::STOP)?;
    switch_to(world, "green")?;
    says(world, NAME, &active("green", "1/2", "Pending")).await?;
    envoy.process.signal(Signal::CONT)?;
    says(world, NAME, &active("green", "2/2", "Programmed")).await?;
    // Only the leader writes statuses.
    let of_other = Scrape::of(&replica).await?;
    ensure!(of_other.value("switchyard_leader")? == 0.0, "{of_other:?}");
    for result in ["success", "gone", "failure"] {
        let written = format!("switchyard_status_writes_total{{result=\"{result}\"}}");
        ensure!(of_other.value(&written)? == 0.0, "{of_other:?}");
    }
    switch_to(world, "blue")?;
    says(world, NAME, &active("blue", "2/2", "Programmed")).await?;
    // A replica that leaves the set takes its proxies with it.
    replica.process.terminate().await?;
    says(world, NAME, &active("blue", "1/1", "Programmed")).await?;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let leases = cluster.kubectl(&["get", "leases", "-l", "switchyard/replica-of", "-o", "name"])?;
    ensure!(leases.lines().count() == 1, "{leases}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn previous_branch_survives_control_restart() -> Result<()> {
    let mut installation = BlueGreen::start(Source::ApiServer).await?;
    let world = &mut installation.world;
    world.switch(&[ROOT, "green"]).await?;
    let previous = [("/switches/0/previous", json!("default/blue"))];
    says(world, NAME, &previous).await?;
    world.control.restart().await?;
    let control = &world.control;
    until("control is heard", async || Scrape::of(control).await.map(drop)).await?;
    world.switch(&[ROOT, "--undo"]).await?;
    says(world, NAME, &[("/switches/0/active", json!("default/blue"))]).await?;
    // Control does not see this switch.
    world.control.process.kill().await?;
    switch_to(world, "green")?;
    world.control.restart().await?;
    says(world, NAME, &active("green", "1/1", "Programmed")).await?;
    says(world, NAME, &previous).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_replica_leads_after_the_leader_dies() -> Result<()> {
    let mut installation = BlueGreen::start(Source::ApiServer).await?;
    let world = &mut installation.world;
    says(world, NAME, &[("/activeBranch", json!("default/blue"))]).await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    let replica = replica(world)?;
    world.control.process.kill().await?;
    let begun = Instant::now();
    until("the other one leads", async || {
        ensure!(
            replica.process.log()?.contains("Acquired the leader lease"),
            "{}",
            replica.process.log()?
        );
        Ok(())
    })
    .await?;
    println!("another replica leads after {:?}", begun.elapsed());
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let patch = r#"[{"op": "replace", "path": "/spec/routes/0/delegate/name", "value": "green"}]"#;
    cluster.kubectl(&["patch", "ingressroute", NAME, "--type=json", "-p", patch])?;
    says(world, NAME, &[("/activeBranch", json!("default/green"))]).await?;
    load.stop().await.all_succeeded()
}
