//! Mirrors that fail or hang do not affect requests.

use super::{HOSTS, MAX_BODY, Recorder, Stuck, world_with};
use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use switchyard_tests::{
    client::Connection,
    echo::{Echo, any_port},
    manifests::ingress_route,
    server::Server,
    wait::until,
    world::{Builder, Source, World},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Body sizes, and the number of requests with each on every host. Together they exceed the data that a mirror may have
/// in flight.
const REQUESTS: [(usize, usize); 3] = [(MAX_BODY, 5), (0, 40), (1, 40)];
/// The time limit for answers, well below the minute after which the proxy gives up on a mirror that hangs.
const AT_ONCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
enum Trouble {
    /// Reads everything and does not answer.
    Silent,
    /// Answers 500 and closes the connection.
    Fails,
    /// Resets the connection.
    Resets,
}

struct Troubled {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _server: Server,
}

// === impl Trouble ===

impl Trouble {
    async fn meet(self, mut stream: TcpStream) -> Result<()> {
        match self {
            Self::Silent => {
                copy(&mut stream, &mut sink()).await?;
            }
            Self::Fails => {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let answer = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await?;
                stream.shutdown().await?;
            }
            Self::Resets => {
                stream.read_u8().await?;
                stream.set_zero_linger()?;
            }
        }
        Ok(())
    }
}

// === impl Troubled ===

impl Troubled {
    async fn start(trouble: Trouble) -> Result<Self> {
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        let server = Server::start(any_port(), move |stream| {
            count.fetch_add(1, Ordering::Relaxed);
            async move { trouble.meet(stream).await.unwrap_or_default() }
        });
        let server = server.await?;
        Ok(Self {
            address: server.address,
            connections,
            _server: server,
        })
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A host for each of these services with a timeout of half a second, to observe the service's behavior directly.
fn hosts_of(services: &[&str]) -> String {
    let root = |name: &&str| {
        let route = json!({
            "match": "/",
            "timeoutPolicy": {"request": "500ms"},
            "services": [{"name": name, "port": 80}],
        });
        let spec = json!({"virtualhost": {"fqdn": format!("{name}.bar.com")}, "routes": [route]});
        ingress_route(&format!("to-{name}"), &spec)
    };
    services.iter().map(root).collect()
}

async fn are_served(world: &World, host: &str) -> Result<()> {
    for (size, requests) in REQUESTS {
        let mut connection = Connection::open(world.http()).await?;
        for number in 0..requests {
            let request = Request::post("/").header("host", host);
            let body = Full::new(Bytes::from(vec![b'x'; size])).boxed();
            let answer = timeout(AT_ONCE, connection.send_body(request, body)).await??;
            ensure!(answer.backend() == "web", "{host} {size} {number}: {answer:?}");
            ensure!(answer.seen()?.body_bytes == size as u64, "{answer:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_mirrors_do_not_affect_requests() -> Result<()> {
    let web = Echo::start("web").await?;
    let (well, stuck) = (Recorder::start().await?, Stuck::start()?);
    let (silent, fails, resets) = (
        Troubled::start(Trouble::Silent).await?,
        Troubled::start(Trouble::Fails).await?,
        Troubled::start(Trouble::Resets).await?,
    );
    // Reserves a port that nothing listens on.
    let refuses = TcpSocket::new_v4()?;
    refuses.bind(any_port())?;
    let mirrors = [
        ("stuck", vec![stuck.address]),
        ("silent", vec![silent.address]),
        ("fails", vec![fails.address]),
        ("resets", vec![resets.address]),
        ("refuses", vec![refuses.local_addr()?]),
        ("empty", vec![]),
        ("well", vec![well.address]),
    ];
    let names = mirrors.each_ref().map(|(name, _)| *name);
    let builder = Builder::new(Source::Directory)?.manifest("hosts.yaml", &hosts_of(&names))?;
    let world = world_with(builder, &web, &mirrors).await?;
    // Checks that the services behave as intended.
    for (name, status) in names.iter().zip([504, 504, 500, 503, 503, 503, 200]) {
        world.status(&format!("{name}.bar.com"), "/", status).await?;
    }
    let (before, copies) = (web.requests(), well.heads().len());
    let connections = [&silent, &fails, &resets].map(Troubled::connections);
    for host in HOSTS {
        are_served(&world, host).await?;
    }
    let requests = HOSTS.len() * REQUESTS.iter().map(|(_, requests)| requests).sum::<usize>();
    ensure!(web.requests() == before + requests, "some came twice");
    until("the mirror that is well gets all", async || {
        let heads = well.heads().len() - copies;
        ensure!(heads == requests, "{heads}");
        Ok(())
    })
    .await?;
    for (troubled, before) in [&silent, &fails, &resets].into_iter().zip(connections) {
        ensure!(troubled.connections() > before, "nothing was copied");
    }
    Ok(())
}
