//! The cost of computing a request's bucket: 64 buckets against one, which needs no computation.

use anyhow::Result;
use switchyard_tests::{
    report::{Figure, median},
    world::Builder,
};

use crate::{
    installation::{Installation, plain},
    request_cpu::cpu_per_request,
};

/// The number of pairs of Envoys, started in turn: memory layout makes one some percent slower than the next.
const STARTS: usize = 5;
/// The number of rounds with each pair.
const ROUNDS: usize = 12;
const HOST: &str = "one.bar.com";
const BUCKETS: [&str; 2] = ["1", "64"];

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let mut rounds = Vec::new();
    for _ in 0..STARTS {
        rounds.extend(with_one_pair().await?);
    }
    let [one, many] = [0, 1].map(|n| median(&rounds.iter().map(|round| round[n]).collect::<Vec<_>>()));
    let ratios: Vec<_> = rounds.iter().map(|[one, many]| many / one).collect();
    Ok(vec![Figure::new(
        "Envoy CPU for a request on a plain route, hosts in 64 buckets against 1",
        median(&ratios),
        1.10,
        "x",
        format!(
            "CPU time of Envoy's one worker thread (`schedstat`) for each request, 8 connections, a real upstream; {ROUNDS} rounds with each of {STARTS} \
             pairs of Envoys, one with `--route-buckets 1` and one with 64, each measured one after the other; the median of the rounds' ratios. Medians: \
             {one:.1} us with 1, {many:.1} us with 64. What is paid for is the calculation of the bucket from the host, 6 regular expressions."
        ),
    )])
}

/// The costs of each round, with one bucket and with 64.
async fn with_one_pair() -> Result<Vec<[f64; 2]>> {
    let mut pair = Vec::new();
    for buckets in BUCKETS {
        let manifest = plain("one", HOST, ["/".to_owned()].into_iter())?;
        let flags = |builder: Builder| builder.flag("--route-buckets").flag(buckets);
        let name = format!("bench-buckets-{buckets}");
        let installation = Installation::with(&name, 1, &[("one.yaml".to_owned(), manifest)], flags).await?;
        installation.world.served_by(HOST, "/", "blue").await?;
        cpu_per_request(&installation, HOST, "/").await?;
        pair.push(installation);
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = [0.0; 2];
        for (cost, installation) in round.iter_mut().zip(&pair) {
            *cost = cpu_per_request(installation, HOST, "/").await?;
        }
        rounds.push(round);
    }
    Ok(rounds)
}
