//! Mirrored requests: their destinations and contents, and that no request waits for them.

mod few;
mod share;
mod streaming;
mod trouble;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use switchyard_tests::{
    client::{Connection, get, once},
    echo::{Echo, any_port},
    manifests::{ingress_route, service},
    server::Server,
    wait::{PATIENCE, until},
    world::{Builder, Source, World},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

use crate::scenarios;

scenarios![
    mirrored_request_equals_the_original_and_is_marked,
    client_cannot_choose_the_mirror,
    hanging_mirror_delays_no_request,
    too_large_body_is_not_mirrored,
];

const HOSTS: [&str; 2] = ["plain.bar.com", "switched.bar.com"];
/// The maximum size of a mirrored body.
const MAX_BODY: usize = 1 << 20;

/// A backend that records the heads of requests, in lower case, and the sizes of their bodies.
struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<(String, usize)>>>,
    _server: Server,
}

// === impl Recorder ===

impl Recorder {
    async fn start() -> Result<Self> {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let of_all = Arc::clone(&seen);
        let server = Server::start(any_port(), move |stream| {
            let noted = Arc::clone(&of_all);
            // A client that disconnects ends its connection.
            async move { record(stream, &noted).await.unwrap_or_default() }
        });
        let server = server.await?;
        Ok(Self {
            address: server.address,
            seen,
            _server: server,
        })
    }

    fn heads(&self) -> Vec<(String, usize)> {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }

    /// Waits for the request with this path, and returns its head.
    async fn head(&self, path: &str) -> Result<String> {
        until(&format!("there is a copy of {path}"), async || {
            let heads = self.heads();
            let mut heads = heads.into_iter().map(|(head, _)| head);
            heads
                .find(|head| head.starts_with(&format!("get {path} ")))
                .context("none yet")
        })
        .await
    }
}

async fn record(stream: TcpStream, seen: &Mutex<Vec<(String, usize)>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufStream::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head)?.to_ascii_lowercase();
        let length = header(&head, "content-length").and_then(|value| value.parse().ok());
        let mut body = vec![0; length.unwrap_or_default()];
        stream.read_exact(&mut body).await?;
        if let Ok(mut seen) = seen.lock() {
            seen.push((head, body.len()));
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await?;
        stream.flush().await?;
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A server that accepts connections and reads nothing.
struct Stuck {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

// === impl Stuck ===

impl Stuck {
    fn start() -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Limits the amount of data that the kernel buffers.
        socket.set_recv_buffer_size(4096)?;
        socket.bind(any_port())?;
        let listener = socket.listen(64)?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            let mut connections = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.push(stream);
            }
        });
        Ok(Self { address, accepting })
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Two hosts that route to `web`, one with a plain route and one below a switch, and mirror each request to these
/// servers.
async fn world(source: Source, web: &Echo, mirrors: &[(&str, SocketAddr)]) -> Result<World> {
    let mirrors: Vec<_> = mirrors
        .iter()
        .map(|(name, address)| (*name, vec![*address]))
        .collect();
    world_with(Builder::new(source)?, web, &mirrors).await
}

/// The same with any number of endpoints per mirror.
async fn world_with(builder: Builder, web: &Echo, mirrors: &[(&str, Vec<SocketAddr>)]) -> Result<World> {
    let mirror: Vec<_> = mirrors
        .iter()
        .map(|(name, _)| json!({"service": name, "port": 80}))
        .collect();
    let host = |fqdn: &str| json!({"fqdn": fqdn, "mirror": mirror});
    let routes = json!([{"match": "/", "services": [{"name": "web", "port": 80}]}]);
    let delegating = json!([{"match": "/", "delegate": {"name": "branch"}}]);
    let root = |fqdn: &str, routes: &Value| json!({"virtualhost": host(fqdn), "routes": routes});
    let mut yaml = ingress_route("plain", &root(HOSTS[0], &routes))
        + &ingress_route("switched", &root(HOSTS[1], &delegating))
        + &ingress_route("branch", &json!({"routes": routes}))
        + &service("default", "web", &[web.address]);
    for (name, addresses) in mirrors {
        yaml += &service("default", name, addresses);
    }
    let world = builder.manifest("all.yaml", &yaml)?.start().await?;
    for host in HOSTS {
        world.served_by(host, "/", "web").await?;
    }
    Ok(world)
}

async fn mirrored_request_equals_the_original_and_is_marked(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let (one, two) = (Recorder::start().await?, Recorder::start().await?);
    let world = world(source, &web, &[("one", one.address), ("two", two.address)]).await?;
    for (number, host) in HOSTS.into_iter().enumerate() {
        let path = format!("/copied/{number}?a=b");
        let seen = once(world.http(), get(host, &path).header("x-mine", "1"))
            .await?
            .seen()?;
        // The upstream sees that the request was mirrored, but not the destination.
        for mirror in ["x-switchyard-mirror-0", "x-switchyard-mirror-1"] {
            let name = seen.headers.get(mirror).context("no mirror")?;
            ensure!(name.starts_with("mirror/") && !name.contains("one"), "{seen:?}");
        }
        for mirror in [&one, &two] {
            let head = mirror.head(&path).await?;
            ensure!(header(&head, "host") == Some(host), "{head}");
            ensure!(header(&head, "x-mine") == Some("1"), "{head}");
            ensure!(header(&head, "x-switchyard-mirrored") == Some("true"), "{head}");
            ensure!(!head.contains("x-switchyard-mirror-"), "{head}");
        }
    }
    Ok(())
}

async fn client_cannot_choose_the_mirror(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let (one, other) = (Recorder::start().await?, Recorder::start().await?);
    let world = world(source, &web, &[("one", one.address)]).await?;
    let yaml = service("default", "other", &[other.address])
        + &ingress_route(
            "other",
            &json!({
                "virtualhost": {"fqdn": "other.bar.com"},
                "routes": [{"match": "/", "services": [{"name": "other", "port": 80}]}],
            }),
        );
    world.write("other.yaml", &yaml)?;
    world.status("other.bar.com", "/", 200).await?;
    let clusters = world
        .envoys
        .first()
        .context("an Envoy")?
        .admin("/clusters?format=json")
        .await?;
    let clusters: Value = serde_json::from_str(&clusters)?;
    let names = clusters["cluster_statuses"].as_array().context("clusters")?;
    let names = names.iter().filter_map(|cluster| cluster["name"].as_str());
    let other_cluster = names.into_iter().find(|name| name.starts_with("default/other/"));
    let other_cluster = other_cluster.context("no cluster of other")?;
    for (number, host) in HOSTS.into_iter().enumerate() {
        let path = format!("/spoofed/{number}");
        let mut request = get(host, &path);
        for name in [
            "x-switchyard-mirror-0",
            "X-Switchyard-Mirror-1",
            "x-switchyard-mirrored",
        ] {
            request = request.header(name, other_cluster);
        }
        let seen = once(world.http(), request).await?.seen()?;
        ensure!(!seen.headers.contains_key("x-switchyard-mirrored"), "{seen:?}");
        ensure!(!seen.headers.contains_key("x-switchyard-mirror-1"), "{seen:?}");
        one.head(&path).await?;
        ensure!(
            !other.heads().iter().any(|(head, _)| head.contains("spoofed")),
            "{:?}",
            other.heads()
        );
    }
    Ok(())
}

async fn post(world: &World, host: &str, path: &str, size: usize) -> Result<Duration> {
    let request = Request::post(path).header("host", host);
    let body = Full::new(Bytes::from(vec![b'x'; size])).boxed();
    let started = Instant::now();
    let answer = Connection::open(world.http())
        .await?
        .send_body(request, body)
        .await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(answer.seen()?.body_bytes == size as u64, "{answer:?}");
    Ok(started.elapsed())
}

/// The bodies exceed all buffers on the way. Envoy would wait for the mirror until the idle timeout, which is longer
/// than this test waits.
async fn hanging_mirror_delays_no_request(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let stuck = Stuck::start()?;
    let world = world(source, &web, &[("stuck", stuck.address)]).await?;
    for host in HOSTS {
        for size in [0, 1, MAX_BODY / 2, MAX_BODY, MAX_BODY + 1, 16 * MAX_BODY] {
            let took = post(&world, host, "/", size).await?;
            ensure!(took < PATIENCE, "{size} bytes: {took:?}");
        }
    }
    Ok(())
}

async fn too_large_body_is_not_mirrored(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let copy = Recorder::start().await?;
    let world = world(source, &web, &[("copy", copy.address)]).await?;
    for (host, size) in HOSTS.into_iter().zip([MAX_BODY, MAX_BODY - 1]) {
        post(&world, host, "/large", size).await?;
        post(&world, host, "/too-large", MAX_BODY + 1).await?;
        until("the body has come whole", async || {
            let heads = copy.heads();
            let whole = |(head, body): &(String, usize)| head.starts_with("post /large ") && *body == size;
            ensure!(heads.iter().any(whole), "{heads:?}");
            Ok(())
        })
        .await?;
    }
    let heads = copy.heads();
    ensure!(
        !heads.iter().any(|(head, _)| head.contains("too-large")),
        "{heads:?}"
    );
    Ok(())
}
