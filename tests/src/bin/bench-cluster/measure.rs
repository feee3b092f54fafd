//! The measurements, which are the same for both installations.

use anyhow::{Result, ensure};
use serde_json::json;
use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};
use switchyard_tests::{
    client::{Connection, get, once},
    cluster::Cluster,
    probe::{Probe, connect},
    report::{median, quantile},
    wait::{until, within},
};
use tokio::time::sleep;

use crate::{
    backends::{FIRST, SECOND},
    installation::{Installation, Routes},
    manifests::{HOSTS, MOVED, SWITCHED, host, moved_slice},
};

/// The number of edits of each kind in a round.
pub(crate) const EDITS: usize = 60;
/// The number of endpoint changes after the toggles.
const LATE_MOVES: usize = 20;
/// Hosts created in a round.
pub(crate) const NEW_HOSTS: usize = 20;
/// The pause between an edit being live and the next edit.
pub(crate) const APART: Duration = Duration::from_millis(250);
/// The number of connections, each of which requests every host: enough for each of Envoy's workers to have some.
pub(crate) const CONNECTIONS: usize = 8;
/// The delay before looking for rest, in which the installation writes its statuses.
const SETTLE: Duration = Duration::from_secs(6);
/// The CPU time of control and Envoy together below which they count as at rest ...
const REST: Duration = Duration::from_millis(50);
/// ... over a window of this length.
const WINDOW: Duration = Duration::from_secs(1);

/// The measurements of one round.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// The time from the start until the host that was created last is served.
    pub(crate) start: Duration,
    pub(crate) at_rest: Memory,
    pub(crate) after_edits: Memory,
    /// Measured when each worker of Envoy has sent requests to every Service.
    pub(crate) all_asked: Memory,
    /// Endpoint changes before any route was edited.
    pub(crate) moves: Edits,
    pub(crate) toggles: Edits,
    pub(crate) new_hosts: Edits,
    /// Endpoint changes after the edits, when Contour compares all its endpoints at each change.
    pub(crate) late_moves: Edits,
}

/// Resident memory, in megabytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) control: f64,
    pub(crate) envoy: f64,
}

/// The results of one kind of edits.
#[derive(Clone, Debug)]
pub(crate) struct Edits {
    /// Milliseconds from the API server's answer until the intended backend answered the client.
    pub(crate) live: Vec<f64>,
    /// Milliseconds of control's CPU time per edit.
    pub(crate) control_cpu: f64,
    /// The number of answers to the client that were not 2xx, then of all answers.
    pub(crate) failures: usize,
    pub(crate) answers: usize,
}

/// An edit that is made back and forth.
struct Edit {
    host: String,
    /// The path of the object, then the JSON pointer to the value in it.
    path: String,
    pointer: &'static str,
    /// The values, each with the backend that answers then. The first value is the current one.
    values: [(String, &'static str); 2],
}

/// Makes all measurements, starting with the startup time.
pub(crate) async fn all(installation: &mut Installation, cluster: &Cluster) -> Result<Measured> {
    let started = Instant::now();
    serves_the_last(installation).await?;
    let start = started.elapsed();
    let at_rest = memory_at_rest(installation).await?;
    let routes = installation.routes;
    has_told_all(routes, cluster)?;
    let moves = edits(installation, cluster, &move_pod(), EDITS).await?;
    let toggles = edits(installation, cluster, &toggle(routes), EDITS).await?;
    let late_moves = edits(installation, cluster, &move_pod(), LATE_MOVES).await?;
    let new_hosts = new_hosts(installation, cluster).await?;
    let after_edits = memory_at_rest(installation).await?;
    ask_for_all(installation.http).await?;
    Ok(Measured {
        start,
        at_rest,
        after_edits,
        all_asked: memory_at_rest(installation).await?,
        moves,
        toggles,
        new_hosts,
        late_moves,
    })
}

// === Start ===

async fn serves_the_last(installation: &mut Installation) -> Result<()> {
    until("the last host is served", async || {
        installation.check()?;
        let answer = once(installation.http, get(&host(HOSTS - 1), "/")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await
}

/// Requests each host on each connection: this checks that all are served, and makes Envoy allocate what it only
/// allocates on use.
async fn ask_for_all(server: SocketAddr) -> Result<()> {
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(server).await?;
        for number in 0..HOSTS {
            let answer = connection.send(get(&host(number), "/")).await?;
            ensure!(answer.status == 200, "{}: {answer:?}", host(number));
        }
    }
    Ok(())
}

/// Waits until the installation is at rest, and returns its resident memory.
async fn memory_at_rest(installation: &mut Installation) -> Result<Memory> {
    sleep(SETTLE).await;
    let Installation { control, envoy, .. } = installation;
    within(Duration::from_secs(60), "it is at rest", async || {
        let cpu = async || anyhow::Ok(control.cpu()? + envoy.process.cpu()?);
        let before = cpu().await?;
        sleep(WINDOW).await;
        let used = cpu().await? - before;
        ensure!(used < REST, "{used:?} in {WINDOW:?}");
        Ok(())
    })
    .await?;
    Ok(Memory {
        control: megabytes(control.resident()?),
        envoy: megabytes(envoy.process.resident()?),
    })
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Checks that all routes have the status `valid`.
fn has_told_all(routes: Routes, cluster: &Cluster) -> Result<()> {
    let path = "jsonpath={range .items[*]}{.status.currentStatus}{'\\n'}{end}";
    let statuses = cluster.kubectl(&["get", routes.kind, "-o", path])?;
    let valid = statuses.lines().filter(|status| *status == "valid").count();
    // The additional two are the root and the branch that it delegates to.
    ensure!(valid == HOSTS + 2, "{}: {valid} are valid", routes.kind);
    Ok(())
}

// === Edits ===

fn toggle(
    Routes {
        collection, delegate, ..
    }: Routes,
) -> Edit {
    Edit {
        host: SWITCHED.to_owned(),
        path: format!("{collection}/switched"),
        pointer: delegate,
        values: ["blue", "green"].map(|branch| (branch.to_owned(), branch)),
    }
}

fn move_pod() -> Edit {
    Edit {
        host: host(MOVED),
        path: moved_slice(),
        pointer: "/endpoints/0/addresses/0",
        values: [(FIRST.to_string(), "first"), (SECOND.to_string(), "second")],
    }
}

/// Makes each edit once the last is live, while one client keeps sending requests. `times` is even, so that the end
/// state is the initial one.
async fn edits(
    installation: &mut Installation,
    cluster: &Cluster,
    edit: &Edit,
    times: usize,
) -> Result<Edits> {
    let mut probe = Probe::start(connect(installation.http)?, &edit.host);
    let [(_, before), _] = &edit.values;
    probe.answered_by(before).await?;
    let mut live = Vec::new();
    let cpu = installation.control.cpu()?;
    for (value, backend) in edit.values.iter().cycle().skip(1).take(times) {
        let patch = json!([{"op": "replace", "path": edit.pointer, "value": value}]);
        cluster.patch(&edit.path, &patch).await?;
        let accepted = Instant::now();
        let answered = probe.answered_by(backend).await?;
        // Envoy may answer before the API server's response arrives.
        live.push(answered.saturating_duration_since(accepted).as_secs_f64() * 1e3);
        sleep(APART).await;
    }
    let control_cpu = (installation.control.cpu()? - cpu).as_secs_f64() * 1e3 / times as f64;
    installation.check()?;
    let seen = probe.stop()?;
    Ok(Edits {
        live,
        control_cpu,
        failures: seen.failures(),
        answers: seen.answers.values().sum(),
    })
}

/// Creates hosts of the branch blue, each when the one before is served, and deletes them at the end. The client that asks
/// for a host gets 404 until it is served, so failures are not counted.
async fn new_hosts(installation: &mut Installation, cluster: &Cluster) -> Result<Edits> {
    let routes = installation.routes;
    let names: Vec<_> = (0..NEW_HOSTS).map(|number| format!("new-{number}")).collect();
    let mut live = Vec::new();
    let mut answers = 0;
    let cpu = installation.control.cpu()?;
    for name in &names {
        let fqdn = format!("{name}.bar.com");
        let object = json!({
            "apiVersion": routes.api_version,
            "kind": routes.kind_name,
            "metadata": {"name": name, "namespace": "default"},
            "spec": (routes.spec)(&fqdn, "blue"),
        });
        let mut probe = Probe::start(connect(installation.http)?, &fqdn);
        probe.answered_by("").await?;
        cluster.create(routes.collection, &object).await?;
        let accepted = Instant::now();
        let answered = probe.answered_by("blue").await?;
        live.push(answered.saturating_duration_since(accepted).as_secs_f64() * 1e3);
        answers += probe.stop()?.answers.values().sum::<usize>();
        sleep(APART).await;
    }
    let control_cpu = (installation.control.cpu()? - cpu).as_secs_f64() * 1e3 / NEW_HOSTS as f64;
    let mut delete = vec!["delete", routes.kind];
    delete.extend(names.iter().map(String::as_str));
    cluster.kubectl(&delete)?;
    Ok(Edits {
        live,
        control_cpu,
        failures: 0,
        answers,
    })
}

// === impl Measured ===

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            start,
            at_rest,
            after_edits,
            all_asked,
            moves,
            toggles,
            new_hosts,
            late_moves,
        } = self;
        write!(
            f,
            "started in {:.1} s; {at_rest}, {after_edits} after the edits, {all_asked} with all in use; moves {moves}; toggles \
             {toggles}; moves again {late_moves}; new hosts {new_hosts}",
            start.as_secs_f64()
        )
    }
}

// === impl Memory ===

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} + {:.0} MB", self.control, self.envoy)
    }
}

// === impl Edits ===

impl fmt::Display for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            live,
            control_cpu,
            failures,
            answers,
        } = self;
        let [median, most] = [median(live), quantile(live, 1.0)];
        write!(
            f,
            "{median:.1} ms (most {most:.1}), {control_cpu:.2} ms CPU, {failures} of {answers} failed"
        )
    }
}
