//! The share of requests that a mirror gets.

use super::{HOSTS, Recorder};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use switchyard_tests::{
    client::{Connection, get},
    echo::Echo,
    envoy::Envoy,
    manifests::{ingress_route, service},
    wait::until,
    world::{Builder, Source, World},
};
use tokio::task::{JoinSet, yield_now};

const REQUESTS: usize = 10_000;
const CONNECTIONS: usize = 16;
/// The tolerance. Each worker mirrors an exact number of any hundred requests of each host, but may be between two
/// mirrored ones at both ends of the test.
const SLACK: usize = 8;
/// The number of mirrored requests in flight, below the proxy's limit for a mirror, above which it would skip some.
const MOST_UNDER_WAY: usize = 64;

/// The mirrors: name, percentage, and the requests they match.
const MIRRORS: [(&str, usize, Which); 7] = [
    ("one", 1, Which::All),
    ("tenth", 10, Which::All),
    ("third", 33, Which::All),
    ("most", 99, Which::All),
    ("all", 100, Which::All),
    ("gets", 40, Which::Gets),
    ("posts", 25, Which::PostsOfA),
];

#[derive(Clone, Copy)]
enum Which {
    All,
    Gets,
    PostsOfA,
}

/// A request by its number. Each host gets requests of each kind.
#[derive(Clone, Copy)]
struct Numbered(usize);

// === impl Which ===

impl Which {
    fn when(self) -> Value {
        match self {
            Self::All => json!({}),
            Self::Gets => json!({"methods": ["GET"]}),
            Self::PostsOfA => json!({"methods": ["POST"], "headers": [{"name": "x-kind", "value": "a"}]}),
        }
    }

    fn has(self, request: Numbered) -> bool {
        match self {
            Self::All => true,
            Self::Gets => request.method() == "GET",
            Self::PostsOfA => request.method() == "POST" && request.kind() == "a",
        }
    }

    /// The start of every mirrored request, if known.
    fn start(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Gets => "get ",
            Self::PostsOfA => "post ",
        }
    }
}

// === impl Numbered ===

impl Numbered {
    fn host(self) -> &'static str {
        HOSTS[self.0 % 2]
    }

    fn method(self) -> &'static str {
        ["GET", "POST"][self.0 / 2 % 2]
    }

    fn kind(self) -> &'static str {
        ["a", "b"][self.0 / 4 % 2]
    }

    async fn ask(self, connection: &mut Connection) -> Result<()> {
        let request = get(self.host(), "/").method(self.method());
        let answer = connection.send(request.header("x-kind", self.kind())).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }
}

/// Mirrors on every level: the virtualhost, a delegating route, a route with services.
async fn world(web: &Echo, mirrors: &[Recorder]) -> Result<World> {
    let mirror = |(name, percent, which): (&str, usize, Which)| json!({"service": name, "port": 80, "percent": percent, "match": which.when()});
    let all: Vec<_> = MIRRORS.into_iter().map(mirror).collect();
    let [host, delegating, leaf] = [&all[..3], &all[3..4], &all[4..]];
    let to_web = |mirror: &[Value]| json!([{"match": "/", "mirror": mirror, "services": [{"name": "web", "port": 80}]}]);
    let root =
        |fqdn: &str, routes: Value| json!({"virtualhost": {"fqdn": fqdn, "mirror": host}, "routes": routes});
    let switch = json!([{"match": "/", "mirror": delegating, "delegate": {"name": "branch"}}]);
    let services = MIRRORS.iter().zip(mirrors);
    let services = services.map(|((name, ..), mirror)| service("default", name, &[mirror.address]));
    let yaml = ingress_route("plain", &root(HOSTS[0], to_web(&all[3..])))
        + &ingress_route("switched", &root(HOSTS[1], switch))
        + &ingress_route("branch", &json!({"routes": to_web(leaf)}))
        + &service("default", "web", &[web.address])
        + &services.collect::<String>();
    let world = Builder::new(Source::Directory)?
        .manifest("all.yaml", &yaml)?
        .start()
        .await?;
    for host in HOSTS {
        world.served_by(host, "/", "web").await?;
    }
    Ok(world)
}

/// Opens connections such that each worker has some.
async fn connections(world: &World) -> Result<Vec<Connection>> {
    until("both workers have connections", async || {
        let before = accepted(&world.envoys[0]).await?;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(world.http()).await?);
        }
        let is_more = |(before, now): (&u64, &u64)| now > before;
        until("all are accepted", async || {
            let now = accepted(&world.envoys[0]).await?;
            let new: u64 = now.iter().sum::<u64>() - before.iter().sum::<u64>();
            ensure!(new == CONNECTIONS as u64, "{now:?}");
            Ok(())
        })
        .await?;
        let now = accepted(&world.envoys[0]).await?;
        ensure!(before.iter().zip(&now).all(is_more), "{before:?}, {now:?}");
        Ok(connections)
    })
    .await
}

/// The number of connections that each worker has accepted on the HTTP port.
async fn accepted(envoy: &Envoy) -> Result<[u64; 2]> {
    let stats = envoy
        .admin(r"/stats?filter=listener\..*worker_.*downstream_cx_total")
        .await?;
    let of = |worker: &str| {
        let lines = stats.lines().filter_map(|line| line.rsplit_once(": "));
        let lines = lines.filter(|(name, _)| name.contains(worker) && !name.contains("admin"));
        lines.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
    };
    Ok(["worker_0", "worker_1"].map(of))
}

fn count(mirror: &Recorder) -> usize {
    mirror.seen.lock().map_or(0, |seen| seen.len())
}

async fn ask_all(world: &World, all: &Recorder) -> Result<()> {
    let asked = Arc::new(AtomicUsize::new(count(all)));
    let mut clients = JoinSet::new();
    for (first, mut connection) in connections(world).await?.into_iter().enumerate() {
        let (asked, seen) = (Arc::clone(&asked), Arc::clone(&all.seen));
        clients.spawn(async move {
            for number in 0..REQUESTS / CONNECTIONS {
                while asked.load(Ordering::Relaxed)
                    > MOST_UNDER_WAY + seen.lock().map_or(0, |seen| seen.len())
                {
                    yield_now().await;
                }
                asked.fetch_add(1, Ordering::Relaxed);
                Numbered(first + number).ask(&mut connection).await?;
            }
            anyhow::Ok(())
        });
    }
    clients.join_all().await.into_iter().collect()
}

/// Several mirrors on several levels each get their percentage of the requests that they match.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror_gets_its_percentage_of_ten_thousand_requests() -> Result<()> {
    let web = Echo::start("web").await?;
    let mut mirrors = Vec::new();
    for _ in MIRRORS {
        mirrors.push(Recorder::start().await?);
    }
    let world = world(&web, &mirrors).await?;
    let settled = until("what asked whether they are there is copied", async || {
        let (copies, requests) = (count(&mirrors[4]), web.requests());
        ensure!(copies == requests, "{copies} of {requests}");
        Ok(requests)
    })
    .await?;
    let before: Vec<_> = mirrors.iter().map(count).collect();
    ask_all(&world, &mirrors[4]).await?;
    ensure!(web.requests() == settled + REQUESTS);
    let asked = |which: Which| {
        let numbers =
            (0..CONNECTIONS).flat_map(|first| (0..REQUESTS / CONNECTIONS).map(move |number| first + number));
        numbers.filter(|number| which.has(Numbered(*number))).count()
    };
    until("each has its share", async || {
        for (((name, percent, which), mirror), before) in MIRRORS.iter().zip(&mirrors).zip(&before) {
            let (copies, want) = (count(mirror) - before, asked(*which) * percent / 100);
            ensure!(
                copies.abs_diff(want) <= SLACK,
                "{name}: {copies} copies, not {want}"
            );
        }
        Ok(())
    })
    .await?;
    for ((name, _, which), mirror) in MIRRORS.iter().zip(&mirrors) {
        let heads = mirror.heads();
        let other = heads.iter().find(|(head, _)| !head.starts_with(which.start()));
        ensure!(other.is_none(), "{name}: {other:?}");
        let other = heads.iter().find(|(head, _)| head.contains("x-kind: b"));
        ensure!(
            other.is_none() || !matches!(which, Which::PostsOfA),
            "{name}: {other:?}"
        );
    }
    Ok(())
}
