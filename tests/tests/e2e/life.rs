//! How an Envoy comes to be ready, and how it ends: the parts that a pod has for it.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use std::{net::SocketAddr, time::Duration};
use switchyard_tests::{
    client::{Answer, Connection, get, once},
    control::{Control, ControlOptions, loopback},
    envoy::Envoy,
    load::Load,
    paths,
    process::Process,
    wait::until,
    world::{Source, World, bootstrap},
};
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use crate::fixture::{BlueGreen, HOST};

/// A shutdown manager, for the first Envoy.
pub(crate) struct Manager {
    pub(crate) process: Process,
    address: SocketAddr,
}

// === impl Manager ===

impl Manager {
    pub(crate) async fn start(world: &World, flags: &[&str]) -> Result<Self> {
        let admin = world.envoys.first().context("an Envoy")?.options.admin;
        let address = loopback()?;
        let mut command = Command::new(paths::switchyard()?);
        command
            .args(["shutdown-manager", "--address", &address.to_string()])
            .args(["--envoy-admin-port", &admin.port().to_string()])
            .args(flags);
        let process = Process::spawn(command, &world.dir.join("shutdown-manager.log"))?;
        until("the shutdown manager answers", async || {
            once(address, get("manager", "/healthz")).await.map(drop)
        })
        .await?;
        Ok(Self { process, address })
    }

    /// Asks for the drain, and waits for its end.
    pub(crate) fn drain(&self) -> tokio::task::JoinHandle<Result<String>> {
        let address = self.address;
        tokio::spawn(async move {
            let answer = once(address, get("manager", "/drain")).await?;
            Ok(String::from_utf8(answer.body.into())?)
        })
    }
}

/// Set up with a port for the kubelet.
async fn with_status() -> Result<(BlueGreen, SocketAddr)> {
    let status = loopback()?;
    let port = status.port().to_string();
    let flags = ["--status-port", &port].map(str::to_owned);
    let installation = BlueGreen::start_with(Source::Directory, |mut builder| {
        builder.control.bootstrap_flags = flags.to_vec();
        Ok(builder)
    })
    .await?;
    Ok((installation, status))
}

async fn status_of(status: SocketAddr, method: Method, path: &str) -> Result<Answer> {
    let request = get("status", path).method(method);
    timeout(Duration::from_secs(2), once(status, request)).await?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_is_ready_when_it_has_configuration_and_not_before() -> Result<()> {
    let (installation, _) = with_status().await?;
    let world = &installation.world;
    let status = loopback()?;
    let port = status.port().to_string();
    let options = ControlOptions {
        xds: loopback()?,
        http: loopback()?,
        https: loopback()?,
        admin: loopback()?,
        metrics: loopback()?,
        log: world.dir.join("late.log"),
        bootstrap_flags: ["--status-port", &port].map(str::to_owned).to_vec(),
        ..world.control.options.clone()
    };
    let envoy = Envoy::start(&bootstrap(&world.dir, &options, "early", 1).await?)?;
    // Longer than Envoy waits for its configuration if it is not told otherwise.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(17) {
        let ready = status_of(status, Method::GET, "/ready").await;
        ensure!(
            ready.as_ref().map_or(true, |answer| answer.status != 200),
            "{ready:?}"
        );
        sleep(Duration::from_millis(500)).await;
    }
    ensure!(envoy.admin("/ready").await?.contains("INITIALIZING"));
    let _control = Control::start(&options)?;
    until("it is ready", async || {
        let answer = status_of(status, Method::GET, "/ready").await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await?;
    // Ready is served.
    let answer = once(options.http, get(HOST, "/")).await?;
    ensure!(answer.backend() == "blue", "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_learn_whether_envoy_is_ready_and_its_statistics_and_no_more() -> Result<()> {
    let (installation, status) = with_status().await?;
    let statistics = status_of(status, Method::GET, "/stats/prometheus?usedonly").await?;
    let text = String::from_utf8(statistics.body.into())?;
    ensure!(text.contains("envoy_http_downstream_rq_total"), "{text}");
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/config_dump"),
        (Method::GET, "/stats"),
        (Method::GET, "/ready/../config_dump"),
        (Method::GET, "/ready/%2e%2e/config_dump"),
        (Method::GET, "//config_dump"),
        (Method::POST, "/quitquitquit"),
        (Method::POST, "/ready"),
        (Method::POST, "/stats/prometheus"),
        (Method::POST, "/ready/../quitquitquit"),
    ] {
        let answer = status_of(status, method.clone(), path).await?;
        ensure!(answer.status == 404, "{method} {path}: {answer:?}");
    }
    installation.world.served_by(HOST, "/", "blue").await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_that_drains_is_not_ready_fails_no_request_and_waits_for_the_last() -> Result<()> {
    let (installation, status) = with_status().await?;
    let world = &installation.world;
    let manager = Manager::start(world, &["--min-wait", "1s"]).await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    let mut slow = Connection::open(world.http()).await?;
    let begun = Instant::now();
    let asked = get(HOST, "/").header("echo-delay-ms", "4000");
    let answer = tokio::spawn(async move { slow.send(asked).await });
    sleep(Duration::from_millis(300)).await;

    let drained = manager.drain();
    until("it is not ready", async || {
        let ready = status_of(status, Method::GET, "/ready").await?;
        ensure!(ready.status == 503, "{ready:?}");
        Ok(())
    })
    .await?;
    // Who comes nevertheless is served, and sent away after.
    let late = once(world.http(), get(HOST, "/")).await?;
    ensure!(
        late.status == 200 && late.header("connection") == "close",
        "{late:?}"
    );
    sleep(Duration::from_secs(2)).await;
    load.stop().await.all_succeeded()?;
    ensure!(!drained.is_finished(), "a request is under way");
    ensure!(answer.await??.status == 200);
    let end = drained.await??;
    ensure!(end == "drained\n", "{end}");
    ensure!(begun.elapsed() >= Duration::from_secs(4));
    manager.process.terminate().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stays_keeps_an_envoy_no_longer_than_the_limit() -> Result<()> {
    let (installation, _) = with_status().await?;
    let world = &installation.world;
    let flags = ["--min-wait", "0s", "--max-wait", "2s"];
    let mut idle = Connection::open(world.http()).await?;
    ensure!(idle.send(get(HOST, "/")).await?.status == 200);
    let manager = Manager::start(world, &flags).await?;
    let end = manager.drain().await??;
    ensure!(end.contains("connections are open"), "{end}");
    // One that may be left is not waited for; SIGTERM drains, too.
    let manager = Manager::start(world, &["--min-wait", "0s", "--min-open-connections", "9"]).await?;
    let begun = Instant::now();
    manager.process.terminate().await?;
    ensure!(begun.elapsed() < Duration::from_secs(30));
    drop(idle);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_whose_envoy_is_gone_ends() -> Result<()> {
    let (mut installation, _) = with_status().await?;
    let world = &mut installation.world;
    let manager = Manager::start(world, &[]).await?;
    world
        .envoys
        .first_mut()
        .context("an Envoy")?
        .process
        .kill()
        .await?;
    let end = manager.drain().await??;
    ensure!(end == "Envoy is gone\n", "{end}");
    Ok(())
}
