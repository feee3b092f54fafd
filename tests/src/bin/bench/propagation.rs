//! From `switchyard switch` to the new branch answering on every worker.

use anyhow::{Context, Result, ensure};
use std::{net::TcpStream, time::Duration};
use tokio::time::sleep;

use crate::{
    installation::{Installation, switch},
    probe::{Change, Probe, connect},
    report::{Figure, median, quantile},
};

const ROUTES: usize = 1_000;
const SWITCHES: usize = 200;
const WORKERS: usize = 2;

/// One switch: when it began, and to which branch.
struct Switched {
    begun: std::time::Instant,
    /// Until the command returned, in milliseconds.
    returned: f64,
    branch: &'static str,
}

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let installation = Installation::start("bench-propagation", WORKERS, &manifests()).await?;
    let Installation { world, .. } = &installation;
    world.served_by(&host(0), "/", "blue").await?;
    world.served_by(&host(ROUTES - 1), "/", "blue").await?;
    let probes = one_per_worker(&installation)
        .await?
        .into_iter()
        .map(|stream| Probe::start(stream, &host(0)));
    let probes: Vec<_> = probes.collect();
    let switched = toggle(&installation).await?;
    let changes = probes.into_iter().map(Probe::stop).collect::<Result<Vec<_>>>()?;
    let live = switched
        .iter()
        .map(|switch| live_everywhere(switch, &changes))
        .collect::<Result<Vec<_>>>()?;
    Ok(figures(&live, &switched))
}

fn host(number: usize) -> String {
    format!("h{number:05}.bar.com")
}

/// A file for each root, as in a repository of manifests.
fn manifests() -> Vec<(String, String)> {
    let root = |number| {
        (
            format!("root-{number:05}.yaml"),
            switch(&format!("root-{number:05}"), &host(number), "blue"),
        )
    };
    (0..ROUTES).map(root).collect()
}

/// Connects until each worker has accepted a connection, and keeps one of each.
async fn one_per_worker(installation: &Installation) -> Result<Vec<TcpStream>> {
    let mut kept = Vec::new();
    let mut seen = connections(installation).await?;
    for _ in 0..200 {
        let stream = connect(installation.world.http())?;
        let now = switchyard_tests::wait::until("it is accepted", async || {
            let now = connections(installation).await?;
            ensure!(now != seen);
            Ok(now)
        })
        .await?;
        let worker = now
            .iter()
            .zip(&seen)
            .position(|(now, before)| now > before)
            .context("no worker took it")?;
        seen = now;
        if !kept.iter().any(|(taken, _)| *taken == worker) {
            kept.push((worker, stream));
        }
        if kept.len() == WORKERS {
            return Ok(kept.into_iter().map(|(_, stream)| stream).collect());
        }
    }
    anyhow::bail!("a worker accepts no connection")
}

/// How many connections each worker ever accepted.
async fn connections(installation: &Installation) -> Result<[u64; WORKERS]> {
    let envoy = installation.envoy()?;
    let mut counts = [0; WORKERS];
    for (worker, count) in counts.iter_mut().enumerate() {
        let stat = format!(
            "listener.{}.worker_{worker}.downstream_cx_total",
            listener(installation)
        );
        *count = envoy.stat(&stat).await?;
    }
    Ok(counts)
}

/// As Envoy spells an address in a stat's name.
fn listener(installation: &Installation) -> String {
    installation.world.http().to_string().replace(':', "_")
}

async fn toggle(installation: &Installation) -> Result<Vec<Switched>> {
    let mut switched = Vec::new();
    for branch in ["green", "blue"].into_iter().cycle().take(SWITCHES) {
        sleep(Duration::from_millis(100)).await;
        let begun = std::time::Instant::now();
        installation.world.switch(&["default/root-00000", branch]).await?;
        switched.push(Switched {
            begun,
            returned: milliseconds(begun.elapsed()),
            branch,
        });
    }
    sleep(Duration::from_millis(500)).await;
    Ok(switched)
}

/// Milliseconds until the last worker answered from the new branch for the first time.
fn live_everywhere(switch: &Switched, changes: &[Vec<Change>]) -> Result<f64> {
    let first = |changes: &Vec<Change>| {
        let change = changes
            .iter()
            .find(|change| change.at >= switch.begun && change.backend == switch.branch);
        change.map(|change| milliseconds(change.at - switch.begun))
    };
    let workers = changes
        .iter()
        .map(first)
        .collect::<Option<Vec<_>>>()
        .context("a worker never switched")?;
    Ok(quantile(&workers, 1.0))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn figures(live: &[f64], switched: &[Switched]) -> Vec<Figure> {
    let returned: Vec<_> = switched.iter().map(|switch| switch.returned).collect();
    let method = format!(
        "{ROUTES} roots in as many files, {WORKERS} workers; {SWITCHES} runs of `switchyard switch`, 100 ms apart. From starting the command \
         until a connection of each worker, which asks every 0.5 ms, has been answered by the new branch: the slower worker counts. The command \
         itself returned after {:.1} ms (median) and {:.1} ms (99 %).",
        median(&returned),
        quantile(&returned, 0.99),
    );
    vec![
        Figure::new(
            "`switch` to live on every worker, 1,000 routes, median",
            median(live),
            15.0,
            "ms",
            method.clone(),
        ),
        Figure::new(
            "`switch` to live on every worker, 1,000 routes, 99 %",
            quantile(live, 0.99),
            60.0,
            "ms",
            method,
        ),
    ]
}
