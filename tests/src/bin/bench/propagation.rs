//! The time from an edit until the new branch answers on every worker.

use anyhow::{Context, Result, ensure};
use std::{net::TcpStream, time::Duration};
use switchyard_tests::{
    manifests::leaf,
    probe::{Change, Probe, connect},
    report::{Figure, median, quantile},
    wait::until,
};
use tokio::time::sleep;

use crate::installation::{BLUE, GREEN, Installation, switch};

const ROUTES: usize = 1_000;
const EDITS: usize = 200;
const COMMANDS: usize = 50;
const OTHERS: [&str; 2] = ["current", "next"];
const WORKERS: usize = 2;

/// A switch: the time of the edit, and the new branch.
struct Switched {
    begun: std::time::Instant,
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
    let edited = toggle(EDITS, async |branch| {
        let branches = if branch == "green" { GREEN } else { BLUE };
        world.write(&file(0), &switch("root-00000", &host(0), branches))
    })
    .await?;
    let commanded = toggle(COMMANDS, async |branch| {
        world.switch(&["default/root-00000", branch]).await?;
        Ok(())
    })
    .await?;
    let changes = probes.into_iter().map(changes).collect::<Result<Vec<_>>>()?;
    let live = |switched: &[Switched]| {
        switched
            .iter()
            .map(|switch| live_everywhere(switch, &changes))
            .collect::<Result<Vec<_>>>()
    };
    Ok(figures(&live(&edited)?, &live(&commanded)?))
}

/// All changes that a probe saw; an error if any request failed.
fn changes(probe: Probe) -> Result<Vec<Change>> {
    let seen = probe.stop()?;
    ensure!(seen.failures() == 0, "{:?}", seen.answers);
    Ok(seen.changes)
}

fn host(number: usize) -> String {
    format!("h{number:05}.bar.com")
}

fn file(number: usize) -> String {
    format!("root-{number:05}.yaml")
}

/// A file for each root, as in a repository of manifests; all roots but the first delegate to branches of their own.
fn manifests() -> Vec<(String, String)> {
    let root = |number| {
        let branches = if number == 0 { BLUE } else { OTHERS };
        (
            file(number),
            switch(&format!("root-{number:05}"), &host(number), branches),
        )
    };
    let others = OTHERS.map(|name| leaf("default", name, "/", "blue")).concat();
    (0..ROUTES)
        .map(root)
        .chain([("others.yaml".to_owned(), others)])
        .collect()
}

/// Connects until each worker has accepted a connection, and keeps one for each worker.
async fn one_per_worker(installation: &Installation) -> Result<Vec<TcpStream>> {
    let mut kept = Vec::new();
    let mut seen = connections(installation).await?;
    for _ in 0..200 {
        let stream = connect(installation.world.http())?;
        let now = until("it is accepted", async || {
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

/// The number of connections that each worker has accepted.
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

/// The listener's address as Envoy spells it in the name of a stat.
fn listener(installation: &Installation) -> String {
    installation.world.http().to_string().replace(':', "_")
}

/// Switches back and forth `times` times.
async fn toggle(times: usize, to: impl AsyncFn(&'static str) -> Result<()>) -> Result<Vec<Switched>> {
    let mut switched = Vec::new();
    for branch in ["green", "blue"].into_iter().cycle().take(times) {
        switched.push(Switched {
            begun: std::time::Instant::now(),
            branch,
        });
        to(branch).await?;
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_millis(500)).await;
    Ok(switched)
}

/// Milliseconds until the last worker first answered from the new branch.
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

/// The figures for an edit of the file and for the whole command, which also has to find the file; both have the same
/// bounds.
fn figures(edited: &[f64], commanded: &[f64]) -> Vec<Figure> {
    let method = |count, what: &str, from: &str| {
        format!(
            "{ROUTES} roots in as many files, {WORKERS} workers; {count} {what}, 100 ms apart. From {from} until a \
             connection of each worker, which asks every 0.5 ms, has been answered by the new branch: the slower worker \
             counts."
        )
    };
    let edits = method(EDITS, "edits of a root's `delegate.name`", "the edit");
    let commands = method(
        COMMANDS,
        "runs of `switchyard switch`",
        "the start of the command",
    );
    let figure = |name, value, bar, method: &String| Figure::new(name, value, bar, "ms", method.clone());
    vec![
        figure(
            "Edit to live on every worker, 1,000 routes, median",
            median(edited),
            15.0,
            &edits,
        ),
        figure(
            "Edit to live on every worker, 1,000 routes, 99 %",
            quantile(edited, 0.99),
            60.0,
            &edits,
        ),
        figure(
            "`switch` command to live on every worker, 1,000 routes, median",
            median(commanded),
            15.0,
            &commands,
        ),
        figure(
            "`switch` command to live on every worker, 1,000 routes, 99 %",
            quantile(commanded, 0.99),
            60.0,
            &commands,
        ),
    ]
}
