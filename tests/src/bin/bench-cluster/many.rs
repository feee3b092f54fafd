//! The cost of changing one host among 10,000, and of serving that many.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use switchyard_tests::{
    client::{Connection, get},
    cluster::Cluster,
    control::{Control, ControlOptions},
    envoy::Envoy,
    metrics::Scrape,
    probe::{Probe, connect},
    report::{Figure, median, quantile},
    wait::within,
    world::bootstrap,
};
use tokio::time::sleep;

use crate::{
    backends::Backends,
    installation::WORKERS,
    manifests::{self, host, name},
    measure::APART,
};

const HOSTS: usize = 10_000;
/// The number of edits of each kind.
const EDITS: usize = 40;
/// The interval between hosts requested to see that all are served. Envoy builds a host's data at its first request.
const SAMPLE: usize = 50;
const KIND: &str = "/apis/contour.heptio.com/v1beta1/namespaces/default/ingressroutes";
/// The time until everything is at rest after the statuses are written.
const REST: Duration = Duration::from_secs(10);

/// A control process and its Envoy.
struct Running {
    control: Control,
    envoy: Envoy,
}

/// The results of one kind of edits.
struct Edits {
    /// Milliseconds from the API server's answer until the intended backend answered the client.
    live: Vec<f64>,
    /// Milliseconds of CPU time of Envoy per edit; likewise of control.
    envoy: f64,
    control: f64,
}

pub(crate) async fn measure(dir: &Path, backends: &Backends) -> Result<Vec<Figure>> {
    let cluster = cluster(dir, backends).await?;
    let cluster_cpu = cluster.cpu()?;
    let started = Instant::now();
    let mut running = Running::start(dir, &cluster).await?;
    let served = running.all_served(started).await?;
    let told = running.all_told(started).await?;
    let cluster_cpu = cluster.cpu()? - cluster_cpu;
    let control_cpu = running.control.process.cpu()?;
    sleep(REST).await;
    let [control, envoy] = running.memory()?;
    let hosts = running.new_hosts(&cluster).await?;
    let routes = running.edited_routes(&cluster).await?;
    let [control_after, envoy_after] = running.memory()?;
    ask(running.http(), 0..HOSTS).await?;
    sleep(REST).await;
    let [_, envoy_asked] = running.memory()?;
    running.control.process.terminate().await?;
    running.envoy.process.terminate().await?;
    let mut figures = edits(
        [
            "New host among 10,000, accepted to first answer, median",
            "New host among 10,000, CPU time of Envoy",
        ],
        "An IngressRoute of a new host is created",
        &hosts,
    );
    figures.extend(edits(
        [
            "Route of one host of 10,000 edited, accepted to first answer, median",
            "Route of one host of 10,000 edited, CPU time of Envoy",
        ],
        "The Service of a host's only route is replaced",
        &routes,
    ));
    let at_rest = |after: f64| {
        format!(
            "`VmRSS` of the process {} s after all statuses were written; {after:.0} MB after all edits.",
            REST.as_secs()
        )
    };
    figures.extend([
        Figure::new(
            "Start of control and Envoy to all of 10,000 hosts served",
            served.as_secs_f64(),
            8.0,
            "s",
            format!("Until a client has got 200 from the last host, and then from every {SAMPLE}th on one connection."),
        ),
        Figure::new(
            "Start of control to 10,000 statuses written",
            told.as_secs_f64(),
            15.0,
            "s",
            format!(
                "As `switchyard_status_writes_total` counts those that the API server has taken. CPU time from the start until then: {:.1} s of the API server and \
                 etcd, which run on the same cores, and {:.1} s of control.",
                cluster_cpu.as_secs_f64(),
                control_cpu.as_secs_f64(),
            ),
        ),
        Figure::new(
            "Control's resident memory, 10,000 hosts",
            control,
            200.0,
            "MB",
            at_rest(control_after),
        ),
        Figure::new(
            "Envoy's resident memory, 10,000 hosts",
            envoy,
            450.0,
            "MB",
            at_rest(envoy_after) + &format!(" {envoy_asked:.0} MB when each host was asked for on one connection."),
        ),
    ]);
    Ok(figures)
}

/// Starts a cluster with a route, a Service and an EndpointSlice for each host.
async fn cluster(dir: &Path, backends: &Backends) -> Result<Cluster> {
    let cluster = Cluster::start(&dir.join("cluster")).await?;
    let manifests = dir.join("manifests");
    fs::create_dir(&manifests)?;
    for (file, objects) in manifests::many(HOSTS, backends) {
        fs::write(manifests.join(file), objects)?;
    }
    cluster.hold(&manifests)?;
    Ok(cluster)
}

fn edits([live, cpu]: [&'static str; 2], what: &str, edits: &Edits) -> Vec<Figure> {
    let method = format!(
        "{HOSTS} hosts with a route, a Service and an EndpointSlice each; one Envoy of {WORKERS} workers. {what}, {EDITS} times, {} ms after the last \
         change was live. From the API server's answer until the first answer of who was meant to one client, which asks every 0.5 ms: 99 % within {:.1} ms. CPU time of \
         all threads, of {EDITS} more such edits while nobody asks: {:.1} ms of Envoy's each, {:.1} ms of control's.",
        APART.as_millis(),
        quantile(&edits.live, 0.99),
        edits.envoy,
        edits.control,
    );
    vec![
        Figure::new(live, median(&edits.live), 25.0, "ms", method.clone()),
        Figure::new(cpu, edits.envoy, 20.0, "ms", method),
    ]
}

/// Sends one request to each of the given hosts.
async fn ask(server: SocketAddr, numbers: impl Iterator<Item = usize>) -> Result<()> {
    let mut connection = Connection::open(server).await?;
    for number in numbers {
        let answer = connection.send(get(&host(number), "/")).await?;
        ensure!(answer.status == 200, "{}: {answer:?}", host(number));
    }
    Ok(())
}

// === impl Running ===

impl Running {
    async fn start(dir: &Path, cluster: &Cluster) -> Result<Self> {
        let mut options = ControlOptions::new(dir, &dir.join("control.log"))?;
        options.kubeconfig = Some(cluster.kubeconfig());
        let control = Control::start(&options)?;
        let envoy = Envoy::start(&bootstrap(dir, &options, "envoy", WORKERS).await?)?;
        Ok(Self { control, envoy })
    }

    fn http(&self) -> SocketAddr {
        self.control.options.http
    }

    async fn all_served(&mut self, started: Instant) -> Result<Duration> {
        within(Duration::from_secs(120), "all hosts are served", async || {
            self.control.process.check()?;
            ask(self.http(), [HOSTS - 1].into_iter()).await?;
            ask(self.http(), (0..HOSTS).step_by(SAMPLE)).await
        })
        .await?;
        Ok(started.elapsed())
    }

    async fn all_told(&self, started: Instant) -> Result<Duration> {
        within(Duration::from_secs(120), "all statuses are written", async || {
            let scrape = Scrape::of(&self.control).await?;
            let written = scrape.value("switchyard_status_writes_total{result=\"success\"}")?;
            ensure!(written >= HOSTS as f64, "{written}");
            Ok(())
        })
        .await?;
        Ok(started.elapsed())
    }

    /// The resident memory of control and of Envoy, in megabytes.
    fn memory(&self) -> Result<[f64; 2]> {
        let bytes = [self.control.process.resident()?, self.envoy.process.resident()?];
        Ok(bytes.map(|bytes| bytes as f64 / 1e6))
    }

    async fn new_hosts(&self, cluster: &Cluster) -> Result<Edits> {
        let object = |number: usize| -> (String, Value) {
            let fqdn = format!("new-{number}.bar.com");
            let object = json!({
                "apiVersion": "contour.heptio.com/v1beta1",
                "kind": "IngressRoute",
                "metadata": {"name": format!("new-{number}"), "namespace": "default"},
                "spec": manifests::spec(&fqdn, "blue"),
            });
            (fqdn, object)
        };
        let mut live = Vec::new();
        for number in 0..EDITS {
            let (fqdn, object) = object(number);
            let mut probe = Probe::start(connect(self.http())?, &fqdn);
            probe.answered_by("").await?;
            cluster.create(KIND, &object).await?;
            live.push(since(Instant::now(), probe.answered_by("blue").await?));
            probe.stop()?;
            sleep(APART).await;
        }
        let cost = self.cost(async |number| cluster.create(KIND, &object(EDITS + number).1).await);
        let [control, envoy] = cost.await?;
        Ok(Edits { live, envoy, control })
    }

    async fn edited_routes(&self, cluster: &Cluster) -> Result<Edits> {
        let edited = HOSTS / 2;
        let services = ["blue", "green"];
        let edit = async |number: usize| {
            let service = services.get(number % 2).context("one of two")?;
            let patch =
                json!([{"op": "replace", "path": "/spec/routes/0/services/0/name", "value": service}]);
            cluster.patch(&manifests::path(&name(edited)), &patch).await?;
            anyhow::Ok(*service)
        };
        let mut probe = Probe::start(connect(self.http())?, &host(edited));
        let mut live = Vec::new();
        for number in 0..EDITS {
            let service = edit(number).await?;
            live.push(since(Instant::now(), probe.answered_by(service).await?));
            sleep(APART).await;
        }
        ensure!(probe.stop()?.failures() == 0, "requests failed");
        let cost = self.cost(async |number| edit(number).await.map(drop));
        let [control, envoy] = cost.await?;
        Ok(Edits { live, envoy, control })
    }

    /// Milliseconds of CPU time of control and of Envoy per edit, minus their idle use over the same time.
    async fn cost(&self, edit: impl AsyncFn(usize) -> Result<()>) -> Result<[f64; 2]> {
        let idle = self.spent(async |_| Ok(())).await?;
        let edits = self.spent(edit).await?;
        let [control, envoy] = edits;
        let [control_idle, envoy_idle] = idle;
        Ok([control - control_idle, envoy - envoy_idle])
    }

    async fn spent(&self, edit: impl AsyncFn(usize) -> Result<()>) -> Result<[f64; 2]> {
        let cpu = || anyhow::Ok([self.control.process.cpu()?, self.envoy.process.cpu()?]);
        let [control, envoy] = cpu()?;
        for number in 0..EDITS {
            edit(number).await?;
            sleep(APART).await;
        }
        let [control_after, envoy_after] = cpu()?;
        let spent = [control_after - control, envoy_after - envoy];
        Ok(spent.map(|spent| spent.as_secs_f64() * 1e3 / EDITS as f64))
    }
}

/// Milliseconds between the two; 0 if Envoy answered before the API server's response arrived.
fn since(accepted: Instant, answered: Instant) -> f64 {
    answered.saturating_duration_since(accepted).as_secs_f64() * 1e3
}
