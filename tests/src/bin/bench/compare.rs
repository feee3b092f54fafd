//! Compares several ways of serving the same requests with one Envoy.

use anyhow::{Context, Result, ensure};
use std::time::Duration;
use switchyard_tests::{
    client::once,
    envoy::Envoy,
    load::{Load, Samples},
    report::{Figure, median, quantile},
    twins::{self, Twin},
    wait::until,
    world::World,
};
use tokio::time::sleep;

/// The number of starts of Envoy: memory layout makes one some percent slower than the next.
const STARTS: usize = 9;
/// The number of rounds with each start.
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_millis(200);
const CONNECTIONS: usize = 8;
/// The pause between an answer and the next request of a connection when latency is measured.
const PAUSE: Duration = Duration::from_millis(3);

/// A way of serving requests. All requests succeed.
#[derive(Clone, Debug)]
pub(crate) struct Way(Load);

/// A comparison of two ways, given by index, for the report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) way: usize,
    pub(crate) other: usize,
    pub(crate) cpu: &'static str,
    /// The upper bound for the ratio of CPU time.
    pub(crate) bar: Option<f64>,
    pub(crate) time: &'static str,
}

/// The costs of the ways.
#[derive(Debug)]
pub(crate) struct Costs<const N: usize> {
    /// CPU microseconds per request, by round and way.
    cpu: Vec<[f64; N]>,
    /// The 99th percentile of latency in microseconds, by round and way.
    times: Vec<[f64; N]>,
}

// === impl Way ===

impl Way {
    pub(crate) fn new(mut load: Load) -> Self {
        load.connections = CONNECTIONS;
        Self(load)
    }

    /// Waits until this way serves requests.
    async fn ready(&self) -> Result<()> {
        let Load {
            server, host, path, ..
        } = &self.0;
        until(&format!("{host}{path} at {server} answers"), async || {
            let answer = once(*server, self.0.next()).await?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(())
        })
        .await
    }

    /// CPU microseconds of Envoy's worker per request.
    async fn cpu(&self, envoy: &Envoy) -> Result<f64> {
        let (samples, used) = self.run(envoy, Duration::ZERO).await?;
        ensure!(samples.0.len() > 50, "only {} requests", samples.0.len());
        Ok(used.as_secs_f64() * 1e6 / samples.0.len() as f64)
    }

    /// The 99th percentile of latency in microseconds, while Envoy is not saturated.
    async fn time(&self, envoy: &Envoy) -> Result<f64> {
        let (samples, _) = self.run(envoy, PAUSE).await?;
        let times = samples.0.iter().map(|sample| sample.done - sample.sent);
        let times = times.map(|time| time.as_secs_f64() * 1e6);
        Ok(quantile(&times.collect::<Vec<_>>(), 0.99))
    }

    async fn run(&self, envoy: &Envoy, pause: Duration) -> Result<(Samples, Duration)> {
        let load = Load {
            pause,
            ..self.0.clone()
        };
        let running = load.start().await?;
        let before = envoy.worker_cpu(0)?;
        sleep(ROUND).await;
        let samples = running.stop().await;
        let used = envoy.worker_cpu(0)? - before;
        samples.all_succeeded()?;
        Ok((samples, used))
    }
}

/// Measures each way with an Envoy of one worker, in turns. `twins` are the listeners that ways use besides control's
/// own.
pub(crate) async fn compare<const N: usize>(
    world: &mut World,
    twins: &[Twin],
    ways: &[Way; N],
) -> Result<Costs<N>> {
    twins::add(world.envoys.first_mut().context("an Envoy")?, twins).await?;
    let mut costs = Costs {
        cpu: Vec::new(),
        times: Vec::new(),
    };
    for start in 0..STARTS {
        if start > 0 {
            world.envoys.first_mut().context("an Envoy")?.restart().await?;
        }
        world.live().await?;
        let envoy = world.envoys.first().context("an Envoy")?;
        for way in ways {
            way.ready().await?;
            way.cpu(envoy).await?;
        }
        for round in 0..ROUNDS {
            costs.add(round, envoy, ways).await?;
        }
    }
    Ok(costs)
}

// === impl Costs ===

impl<const N: usize> Costs<N> {
    /// Adds a round. Every other round reverses the order, so that no way always comes first. CPU costs are measured in
    /// order and back again, so that slow changes in the machine's load affect all ways equally.
    async fn add(&mut self, round: usize, envoy: &Envoy, ways: &[Way; N]) -> Result<()> {
        let mut order: Vec<_> = ways.iter().enumerate().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let (mut cpu, mut times) = ([0.0; N], [0.0; N]);
        for (number, way) in order.iter().chain(order.iter().rev()) {
            if let Some(cpu) = cpu.get_mut(*number) {
                *cpu += way.cpu(envoy).await? / 2.0;
            }
        }
        for (number, way) in order {
            if let Some(time) = times.get_mut(number) {
                *time = way.time(envoy).await?;
            }
        }
        self.cpu.push(cpu);
        self.times.push(times);
        Ok(())
    }

    /// Compares a way with another.
    pub(crate) fn figures(&self, row: Row, method: &str) -> [Figure; 2] {
        let Row {
            way,
            other,
            cpu,
            bar,
            time,
        } = row;
        let ratio = |rounds: &[[f64; N]]| {
            let ratio = |round: &[f64; N]| Some(round.get(way)? / round.get(other)?);
            median(&rounds.iter().filter_map(ratio).collect::<Vec<_>>())
        };
        let method = || method.to_owned();
        let of_cpu = match bar {
            Some(bar) => Figure::new(cpu, ratio(&self.cpu), bar, "x", method()),
            None => Figure::told(cpu, ratio(&self.cpu), "x", method()),
        };
        let of_time = Figure::told(time, ratio(&self.times), "x", method());
        [of_cpu, of_time]
    }

    /// The medians, for the method; `names` are those of the ways.
    pub(crate) fn method(&self, names: [&str; N]) -> String {
        let median = |rounds: &[[f64; N]], way: usize| {
            let of_way = rounds.iter().filter_map(|round| round.get(way)).copied();
            median(&of_way.collect::<Vec<_>>())
        };
        let told = names.iter().enumerate().map(|(way, name)| {
            let (cpu, time) = (median(&self.cpu, way), median(&self.times, way));
            format!("{name} {cpu:.1} us, 99 % within {time:.0} us")
        });
        format!("Compared. Medians: {}.", told.collect::<Vec<_>>().join("; "))
    }
}

/// The method of all comparisons.
pub(crate) fn method() -> String {
    format!(
        "Compared are ways through one Envoy, on listeners with the same settings, routes and upstream: CPU time of its one worker \
         thread (`schedstat`) for each request, {CONNECTIONS} connections, a real upstream; {ROUNDS} rounds with each of {STARTS} \
         starts, in turns; the median of the rounds' ratios. Times of answers are of as many further rounds, with {} ms between an \
         answer and the next request of a connection.",
        PAUSE.as_millis(),
    )
}
