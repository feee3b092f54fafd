//! The CPU cost of a request in Envoy: one route against 10,000, and a switch against a plain route.

use anyhow::{Result, ensure};
use std::time::Duration;
use switchyard_tests::{
    load::Load,
    report::{Figure, median},
};
use tokio::time::sleep;

use crate::installation::{BLUE, Installation, plain, switch};

const ROUTES: usize = 10_000;
/// The number of Envoys, started in turn: memory layout makes one some percent slower than the next.
const STARTS: usize = 5;
/// The number of rounds with each Envoy.
const ROUNDS: usize = 12;
const ROUND: Duration = Duration::from_millis(300);

const ONE: &str = "one.bar.com";
const MANY: &str = "many.bar.com";
const SWITCHED: &str = "switched.bar.com";

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let mut rounds = Vec::new();
    for _ in 0..STARTS {
        rounds.extend(with_one_envoy().await?);
    }
    Ok(figures(&rounds))
}

/// The costs of each round: one plain route, many routes, a switch.
async fn with_one_envoy() -> Result<Vec<[f64; 3]>> {
    let middle = prefix(ROUTES / 2);
    let installation = Installation::start(
        "bench-request-cpu",
        1,
        &[
            (
                "one.yaml".to_owned(),
                plain("one", ONE, [middle.clone()].into_iter())?,
            ),
            (
                "many.yaml".to_owned(),
                plain("many", MANY, (0..ROUTES).map(prefix))?,
            ),
            ("switched.yaml".to_owned(), switch("switched", SWITCHED, BLUE)),
        ],
    )
    .await?;
    let path = format!("{middle}/item");
    for host in [ONE, MANY, SWITCHED] {
        installation.world.served_by(host, &path, "blue").await?;
        cpu_per_request(&installation, host, &path).await?;
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = [0.0; 3];
        for (cost, host) in round.iter_mut().zip([ONE, MANY, SWITCHED]) {
            *cost = cpu_per_request(&installation, host, &path).await?;
        }
        rounds.push(round);
    }
    Ok(rounds)
}

fn prefix(number: usize) -> String {
    format!("/section-{number:05}")
}

/// CPU microseconds of Envoy's worker per request, over one round.
pub(crate) async fn cpu_per_request(installation: &Installation, host: &str, path: &str) -> Result<f64> {
    let mut load = Load::new(installation.world.http(), host, path);
    load.connections = 8;
    load.pause = Duration::ZERO;
    let running = load.start().await?;
    let before = installation.envoy()?.worker_cpu(0)?;
    sleep(ROUND).await;
    let samples = running.stop().await;
    let used = installation.envoy()?.worker_cpu(0)? - before;
    samples.all_succeeded()?;
    ensure!(samples.0.len() > 100, "only {} requests", samples.0.len());
    Ok(used.as_secs_f64() * 1e6 / samples.0.len() as f64)
}

fn figures(rounds: &[[f64; 3]]) -> Vec<Figure> {
    let [one, many, switched] = [0, 1, 2].map(|n| median(&column(rounds, |round| round[n])));
    let method = format!(
        "CPU time of Envoy's one worker thread (`schedstat`) for each request, 8 connections, a real upstream; {ROUNDS} \
         rounds with each of {STARTS} Envoys, each measuring all three hosts one after the other; the median of the rounds' ratios. Medians: one plain route {one:.1} us, \
         {ROUTES} plain routes {many:.1} us, a switch {switched:.1} us."
    );
    let ratio = |n: usize| median(&column(rounds, |round| round[n] / round[0]));
    vec![
        Figure::new(
            "Envoy CPU for a request, 10,000 plain routes in a host against 1",
            ratio(1),
            1.10,
            "x",
            method.clone(),
        ),
        Figure::new(
            "Envoy CPU for a request, through a switch against a plain route",
            ratio(2),
            1.4,
            "x",
            method,
        ),
    ]
}

fn column(rounds: &[[f64; 3]], of: impl Fn(&[f64; 3]) -> f64) -> Vec<f64> {
    rounds.iter().map(of).collect()
}
