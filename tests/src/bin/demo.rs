//! The demo: two backends, control and an Envoy, with instructions for trying them.
//!
//! Switches under load, prints the outcome counts and exits if `SELFTEST=1` is set.

use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::ExitCode,
    time::Duration,
};
use switchyard_tests::{
    echo::Echo,
    load::{Load, Samples},
    paths,
    world::{Builder, Source, World},
};
use tokio::{signal, time::sleep};

const HOST: &str = "blue-green.bar.com";
const ROOT: &str = "default/blue-green-root";
/// The names and ports of the EndpointSlices in deploy/demo.
const BACKENDS: [(&str, u16); 2] = [("blue", 9101), ("green", 9102)];
const HTTP_PORT: u16 = 8080;
/// The default ports of `switchyard serve`, which `switchyard switch` uses.
const XDS_PORT: u16 = 18000;
const ADMIN_PORT: u16 = 18001;
const TOGGLES: usize = 40;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut backends = Vec::new();
    for (name, port) in BACKENDS {
        backends.push(Echo::start_at(name, preferred(port)?).await?);
    }
    let world = start(&backends).await?;
    if env::var("SELFTEST").is_ok_and(|value| value == "1") {
        return selftest(&world).await;
    }
    println!("{}", what_to_try(&world));
    signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}

async fn start(backends: &[Echo]) -> Result<World> {
    let mut builder = Builder::named(Source::Directory, "demo")?;
    copy(
        &paths::repository().join("deploy/demo"),
        &builder.control.manifests,
        backends,
    )?;
    builder.control.http = preferred(HTTP_PORT)?;
    builder.control.xds = preferred(XDS_PORT)?;
    builder.control.admin = preferred(ADMIN_PORT)?;
    let world = builder.flag("--expose-branch").start().await?;
    world.served_by(HOST, "/", "blue").await?;
    Ok(world)
}

/// Returns this port, or another one if it is in use.
fn preferred(port: u16) -> Result<SocketAddr> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    if TcpListener::bind(address).is_ok() {
        return Ok(address);
    }
    switchyard_tests::control::loopback()
}

/// Copies the manifests to the demo's own folder, so that edits do not change the repository. Replaces the ports of
/// backends that had to use another one.
fn copy(from: &Path, to: &Path, backends: &[Echo]) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let mut text = fs::read_to_string(&path)?;
            for ((_, port), echo) in BACKENDS.iter().zip(backends) {
                text = text.replace(
                    &format!("port: {port}\n"),
                    &format!("port: {}\n", echo.address.port()),
                );
            }
            fs::write(to.join(path.file_name().context("a file's name")?), text)?;
        }
    }
    Ok(())
}

fn what_to_try(world: &World) -> String {
    let http = world.http();
    let manifests = world.manifests().display();
    let switchyard =
        paths::switchyard().map_or_else(|_| "switchyard".into(), |path| path.display().to_string());
    let control = match world.control.options.admin {
        admin if admin.port() == ADMIN_PORT => String::new(),
        admin => format!(" --control http://{admin}"),
    };
    format!(
        "
It runs. Blue serves {HOST}:

  curl -H 'Host: {HOST}' http://{http}/hello

Switch to green, and ask again:

  {switchyard} switch {manifests} {ROOT} green{control}

Or edit `delegate.name` by hand; saving the file switches:

  {manifests}/blue-green.yaml

Ctrl-C ends it all."
    )
}

async fn selftest(world: &World) -> Result<ExitCode> {
    let load = Load::new(world.http(), HOST, "/").start().await?;
    for branch in ["green", "blue"].into_iter().cycle().take(TOGGLES) {
        sleep(Duration::from_millis(100)).await;
        world.switch(&[ROOT, branch]).await?;
    }
    let samples = load.stop().await;
    let failed = samples.failures().count();
    println!(
        "{} requests over {TOGGLES} switches, {failed} failed",
        samples.0.len()
    );
    for (outcome, count) in samples.tally() {
        println!("{count:8}  {outcome}");
    }
    both_served(&samples)?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn both_served(samples: &Samples) -> Result<()> {
    for (name, _) in BACKENDS {
        ensure!(
            samples.0.iter().any(|sample| sample.outcome.backend() == name),
            "{name} answered nothing"
        );
    }
    Ok(())
}
