//! Outages and slowness of the API server while traffic flows.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};
use switchyard_tests::{
    client::{Connection, get},
    control::switchyard,
    echo::Echo,
    forwarder::Forwarder,
    load::Load,
    manifests::{leaf, root, service},
    metrics::Scrape,
    wait::until,
    world::{Source, World},
};
use tokio::time::sleep;

use crate::fixture::{BlueGreen, HOST, ROOT, branch};

/// The duration of the API server's outage.
const AWAY: Duration = Duration::from_secs(60);
/// The number of hosts, each with a root, a branch, a Service and an EndpointSlice: a thousand objects.
const HOSTS: usize = 250;

/// Switches to a branch with `kubectl patch`.
fn patch(world: &World, branch: &str) -> Result<()> {
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let patch =
        format!(r#"[{{"op": "replace", "path": "/spec/routes/0/delegate/name", "value": {branch:?}}}]"#);
    let name = ROOT.rsplit('/').next().context("a name")?;
    cluster
        .kubectl(&["patch", "ingressroute", name, "--type=json", "--patch", &patch])
        .map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_patch_switches_without_failed_requests() -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(Source::ApiServer).await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    for branch in ["green", "blue", "green", "blue", "green"] {
        patch(world, branch)?;
        world.served_by(HOST, "/", branch).await?;
    }
    load.stop().await.all_succeeded()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_print_the_same_for_cluster_and_directory() -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(Source::ApiServer).await?;
    let manifests = world.manifests().to_str().context("a path that is text")?;
    for command in ["tree", "translate", "check"] {
        let of_cluster = world.ask(command, &["-o", "json"]).await?.succeeded()?;
        let of_directory = switchyard(&[command, manifests, "-o", "json"])
            .await?
            .succeeded()?;
        let [of_cluster, of_directory]: [Value; 2] = [
            serde_json::from_str(&of_cluster.stdout)?,
            serde_json::from_str(&of_directory.stdout)?,
        ];
        ensure!(
            of_cluster == of_directory,
            "{command}: {of_cluster:#}\n{of_directory:#}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_and_watches_survive_api_server_outage() -> Result<()> {
    let mut installation = BlueGreen::start(Source::ApiServer).await?;
    let world = &mut installation.world;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    world
        .cluster
        .as_mut()
        .context("a cluster")?
        .kill_api_server()
        .await?;
    sleep(AWAY).await;
    world.served_by(HOST, "/", "blue").await?;
    world
        .cluster
        .as_mut()
        .context("a cluster")?
        .start_api_server()
        .await?;
    patch(world, "green")?;
    world.served_by(HOST, "/", "green").await?;
    load.stop().await.all_succeeded()
}

/// Restarts control so that it reaches the API server through a forwarder.
async fn reach_by(world: &mut World, way: &Forwarder) -> Result<()> {
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let mut config: Value = serde_json::from_slice(&fs::read(cluster.kubeconfig())?)?;
    config["clusters"][0]["cluster"]["server"] = format!("https://{}", way.address).into();
    let kubeconfig = world.dir.join("kubeconfig");
    fs::write(&kubeconfig, config.to_string())?;
    world.control.options.kubeconfig = Some(kubeconfig);
    world.control.restart().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_relist_keeps_existing_hosts() -> Result<()> {
    const MANY: usize = 300;
    let mut installation = BlueGreen::start_with(Source::ApiServer, |builder| {
        let one = |number| {
            root(
                "default",
                &format!("root-{number}"),
                &format!("host-{number}.bar.com"),
                "blue",
            )
        };
        builder.manifest("many.yaml", &(0..MANY).map(one).collect::<String>())
    })
    .await?;
    let world = &mut installation.world;
    let server = world.cluster.as_ref().context("a cluster")?.address();
    let way = Forwarder::start(server).await?;
    reach_by(world, &way).await?;
    world.write("other.yaml", &root("default", "other", "other.bar.com", "green"))?;
    world.served_by("other.bar.com", "/", "green").await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;

    world.control.process.signal(rustix::process::Signal::STOP)?;
    world.remove("other.yaml")?;
    let cluster = world.cluster.as_mut().context("a cluster")?;
    cluster.compact().await?;
    cluster.kill_api_server().await?;
    cluster.start_api_server().await?;
    way.slow_down(Duration::from_millis(100));
    world.control.process.signal(rustix::process::Signal::CONT)?;

    let begun = Instant::now();
    let objects = "switchyard_objects{kind=\"IngressRoute\"}";
    until("the list is whole", async || {
        let there = Scrape::of(&world.control).await?.value(objects)?;
        assert!(there >= (MANY + 3) as f64, "{there} while the list is under way");
        let answer = world.get("host-299.bar.com", "/").await?;
        assert_eq!(answer.backend(), "blue", "while the list is under way");
        ensure!(world.get("other.bar.com", "/").await?.status == 404);
        Ok(())
    })
    .await?;
    println!("the list took {:?}", begun.elapsed());
    patch(world, "green")?;
    world.served_by(HOST, "/", "green").await?;
    load.stop().await.all_succeeded()
}

/// The watches cannot resume from their versions, and list again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relist_removes_only_deleted_objects() -> Result<()> {
    let mut installation = BlueGreen::start(Source::ApiServer).await?;
    let third = Echo::start("third").await?;
    let world = &mut installation.world;
    world.write("other.yaml", &root("default", "other", "other.bar.com", "green"))?;
    world.served_by("other.bar.com", "/", "green").await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;

    world.control.process.signal(rustix::process::Signal::STOP)?;
    world.remove("other.yaml")?;
    world.write("green.yaml", &branch("green", &third))?;
    let cluster = world.cluster.as_mut().context("a cluster")?;
    cluster.compact().await?;
    cluster.kill_api_server().await?;
    cluster.start_api_server().await?;
    world.control.process.signal(rustix::process::Signal::CONT)?;

    world.status("other.bar.com", "/", 404).await?;
    patch(world, "green")?;
    world.served_by(HOST, "/", "third").await?;
    load.stop().await.all_succeeded()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_sends_no_config_before_first_list() -> Result<()> {
    let mut installation = BlueGreen::start(Source::ApiServer).await?;
    let world = &mut installation.world;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    world
        .cluster
        .as_mut()
        .context("a cluster")?
        .kill_api_server()
        .await?;
    world.control.restart().await?;
    sleep(Duration::from_secs(3)).await;
    world.served_by(HOST, "/", "blue").await?;
    world
        .cluster
        .as_mut()
        .context("a cluster")?
        .start_api_server()
        .await?;
    patch(world, "green")?;
    world.served_by(HOST, "/", "green").await?;
    load.stop().await.all_succeeded()
}

/// Manifests in an order in which every object precedes those it refers to.
fn many_hosts(pod: SocketAddr) -> String {
    let all = |one: &dyn Fn(usize) -> String| (0..HOSTS).map(one).collect::<String>();
    let [fqdn, branch] = [host, |number| format!("branch-{number}")];
    all(&|number| {
        root(
            "default",
            &format!("root-{number}"),
            &fqdn(number),
            &branch(number),
        )
    }) + &all(&|number| leaf("default", &branch(number), "/", &branch(number)))
        + &all(&|number| service("default", &branch(number), &[pod]))
}

fn host(number: usize) -> String {
    format!("host-{number}.bar.com")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_objects_applied_at_once_are_served() -> Result<()> {
    let mut installation = BlueGreen::start(Source::ApiServer).await?;
    let world = &mut installation.world;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    let file = world.dir.join("many.yaml");
    fs::write(&file, many_hosts(installation.blue.address))?;
    let file = file.to_str().context("a path that is text")?;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    cluster.kubectl(&["apply", "--server-side", "-f", file])?;

    until("all hosts are served", async || {
        let mut connection = Connection::open(world.http()).await?;
        for number in 0..HOSTS {
            let answer = connection.send(get(&host(number), "/")).await?;
            ensure!(answer.backend() == "blue", "{}: {answer:?}", host(number));
        }
        Ok(())
    })
    .await?;
    until("all statuses say so", async || {
        let path = "jsonpath={range .items[*]}{.status.currentStatus}{'\\n'}{end}";
        let statuses = cluster.kubectl(&["get", "ingressroutes", "-o", path])?;
        let valid = statuses.lines().filter(|status| *status == "valid").count();
        // The additional two are the fixture's root and its active branch.
        ensure!(valid == 2 * HOSTS + 2, "{valid}");
        Ok(())
    })
    .await?;
    load.stop().await.all_succeeded()?;
    // Neither would have been restarted after a crash.
    world.control.process.check()?;
    world.envoys.first_mut().context("an Envoy")?.process.check()
}
