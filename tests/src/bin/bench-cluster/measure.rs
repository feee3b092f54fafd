//! What is measured of each of the two, in the same way.

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

/// Edits of each kind in a round.
pub(crate) const EDITS: usize = 60;
/// Endpoint changes after the toggles.
const LATE_MOVES: usize = 20;
/// From when one edit was live to the next.
pub(crate) const APART: Duration = Duration::from_millis(250);
/// Each asks for every host: so many that each of Envoy's workers has some.
pub(crate) const CONNECTIONS: usize = 8;
/// How long after its start nobody asks whether it is at rest: what it has to tell of itself, it then has told.
const SETTLE: Duration = Duration::from_secs(6);
/// Control and Envoy together are at rest if they use less CPU time than that ...
const REST: Duration = Duration::from_millis(50);
/// ... in this time.
const WINDOW: Duration = Duration::from_secs(1);

/// Of one round.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// From the start until the host that was made last was answered.
    pub(crate) start: Duration,
    pub(crate) at_rest: Memory,
    pub(crate) after_edits: Memory,
    /// When each worker of Envoy has sent requests to every Service.
    pub(crate) all_asked: Memory,
    /// Endpoint changes, before any route was edited.
    pub(crate) moves: Edits,
    pub(crate) toggles: Edits,
    /// Endpoint changes again: Contour then compares all endpoints that it has at each change.
    pub(crate) late_moves: Edits,
}

/// What is resident, in megabytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) control: f64,
    pub(crate) envoy: f64,
}

/// Edits of a kind.
#[derive(Clone, Debug)]
pub(crate) struct Edits {
    /// Milliseconds from the API server's answer until the client was answered by who was meant.
    pub(crate) live: Vec<f64>,
    /// Milliseconds of control's CPU time for each.
    pub(crate) control_cpu: f64,
    /// Answers to the client that were no 2xx, and all.
    pub(crate) failures: usize,
    pub(crate) answers: usize,
}

/// What is edited, to and fro.
struct Edit {
    host: String,
    /// Of the object, and of the value in it.
    path: String,
    pointer: &'static str,
    /// The value, and the backend that answers then. The first is there already.
    values: [(String, &'static str); 2],
}

/// From its start on.
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
    let after_edits = memory_at_rest(installation).await?;
    ask_for_all(installation.http).await?;
    Ok(Measured {
        start,
        at_rest,
        after_edits,
        all_asked: memory_at_rest(installation).await?,
        moves,
        toggles,
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

/// Asks for each host on each connection: all of them are served, and what Envoy only makes when it is used, it has made
/// then.
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

/// What is resident when nothing goes on any longer.
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

/// All routes have a status that says that they are valid.
fn has_told_all(routes: Routes, cluster: &Cluster) -> Result<()> {
    let path = "jsonpath={range .items[*]}{.status.currentStatus}{'\\n'}{end}";
    let statuses = cluster.kubectl(&["get", routes.kind, "-o", path])?;
    let valid = statuses.lines().filter(|status| *status == "valid").count();
    // And the root, with the branch that it delegates to.
    ensure!(valid == HOSTS + 2, "{}: {valid} are valid", routes.kind);
    Ok(())
}

// === Edits ===

fn toggle(Routes { root, delegate, .. }: Routes) -> Edit {
    Edit {
        host: SWITCHED.to_owned(),
        path: root.to_owned(),
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

/// Each when the one before is live, while one client asks all the time. An even number: at the end all is as before.
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
        // It may be answered before the client of the API server is.
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
            late_moves,
        } = self;
        write!(
            f,
            "started in {:.1} s; {at_rest}, {after_edits} after the edits, {all_asked} with all in use; moves {moves}; toggles \
             {toggles}; moves again {late_moves}",
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
