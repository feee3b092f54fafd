//! The time for which a worker that updates the filter's configuration cannot serve requests.

use anyhow::{Context, Result, ensure};
use std::time::Duration;
use switchyard_tests::{
    envoy::Envoy,
    report::{Figure, median, quantile},
    wait::until,
};
use tokio::time::sleep;

use crate::{
    awake::Awake,
    installation::{BLUE, GREEN, Installation, switch},
};

const SWITCHES: usize = 10_000;
const UPDATES: usize = 40;
/// The wait after an update is accepted, long enough for a worker to finish with it.
const SETTLE: Duration = Duration::from_millis(100);
/// The interval at which Envoy flushes its statistics.
const FLUSH: Duration = Duration::from_secs(5);
/// The reload counters of each filter.
const RELOADS: &str = r"^extension_config_discovery\.http_filter\.switchyard-.*\.config_reload$";
const LOOP: &str = "listener_manager.worker_0.dispatcher.loop_duration_us";

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let installation = Installation::start("bench-stall", 1, &manifests()).await?;
    let Installation { world, .. } = &installation;
    world.served_by(&host(0), "/", "blue").await?;
    world.served_by(&host(SWITCHES - 1), "/", "blue").await?;
    let envoy = installation.envoy()?;

    // The first interval of the statistics includes the start.
    let _awake = Awake::start()?;
    sleep(FLUSH * 2).await;
    let (idle, idle_loop) = windows(envoy, async |_| Ok(())).await?;
    let (updates, busy_loop) = windows(envoy, async |number| {
        update(&installation, if number % 2 == 0 { GREEN } else { BLUE }).await
    })
    .await?;
    let method = format!(
        "One worker, otherwise idle, on CPUs that a thread of the lowest priority keeps from going idle; {UPDATES} edits of one root among {SWITCHES}, each of which sends the configuration of a filter. The value is \
         the most CPU time that the worker thread (`schedstat`) used for an update, from before the edit until {} ms after Envoy accepted it: all that it \
         did, less the median of as many idle windows; so no stall was longer. (CPU time, because on a busy machine wall time also counts what others took.) Median {:.3} ms; \
         idle windows: median {:.3} ms, most {:.3} ms. Longest turn of the worker's event loop in wall time, by Envoy's own \
         `dispatcher.loop_duration_us`: {busy_loop} us with the updates, {idle_loop} us without.",
        SETTLE.as_millis(),
        median(&updates),
        median(&idle),
        quantile(&idle, 1.0),
    );
    let most = (quantile(&updates, 1.0) - median(&idle)).max(0.0);
    Ok(vec![Figure::new(
        "Longest stall of a worker at an update, 10,000 switches",
        most,
        1.0,
        "ms",
        method,
    )])
}

fn host(number: usize) -> String {
    format!("h{number:05}.bar.com")
}

/// The root that is edited has its own file.
fn manifests() -> Vec<(String, String)> {
    let name = |number| format!("root-{number:05}");
    let rest = (1..SWITCHES)
        .map(|number| switch(&name(number), &host(number), BLUE))
        .collect();
    vec![
        ("edited.yaml".to_owned(), switch(&name(0), &host(0), BLUE)),
        ("rest.yaml".to_owned(), rest),
    ]
}

/// Edits the root, and waits until Envoy has accepted the update.
async fn update(installation: &Installation, branches: [&str; 2]) -> Result<()> {
    let envoy = installation.envoy()?;
    let before = reloads(envoy).await?;
    installation
        .world
        .write("edited.yaml", &switch("root-00000", &host(0), branches))?;
    until("the update is accepted", async || {
        ensure!(reloads(envoy).await? > before);
        Ok(())
    })
    .await
}

async fn reloads(envoy: &Envoy) -> Result<u64> {
    let text = envoy.admin(&format!("/stats?filter={RELOADS}")).await?;
    let counts = text.lines().map(|line| match line.rsplit_once(": ") {
        Some((_, count)) => Ok(count.parse::<u64>()?),
        None => anyhow::bail!("no count: {line}"),
    });
    counts.sum()
}

/// Repeats `work`. Returns the worker's CPU time for each repetition in milliseconds, and the longest turn of its event
/// loop in microseconds of wall time.
async fn windows(envoy: &Envoy, mut work: impl AsyncFnMut(usize) -> Result<()>) -> Result<(Vec<f64>, f64)> {
    let (mut cpu, mut longest) = (Vec::new(), 0.0_f64);
    for number in 0..UPDATES {
        let before = envoy.worker_cpu(0)?;
        work(number).await?;
        sleep(SETTLE).await;
        cpu.push((envoy.worker_cpu(0)? - before).as_secs_f64() * 1e3);
        longest = longest.max(longest_loop(envoy).await?);
    }
    sleep(FLUSH).await;
    Ok((cpu, longest.max(longest_loop(envoy).await?)))
}

/// The longest turn in the last complete interval: the upper bound of the highest non-empty histogram bucket.
async fn longest_loop(envoy: &Envoy) -> Result<f64> {
    let text = envoy
        .admin(&format!("/stats?filter={}", LOOP.replace('.', "\\.")))
        .await?;
    let (_, highest) = text.rsplit_once("P100(").context("no such histogram")?;
    let (interval, _) = highest.split_once(',').context("no cumulative value")?;
    // Envoy reports `nan` if the worker was idle.
    Ok(interval.parse::<f64>()?.max(0.0))
}
