//! Hardening of the edge that applies to all routes, after Envoy's "Configuring Envoy as an edge proxy".

use anyhow::{Context, Result, ensure};
use std::{collections::BTreeMap, time::Duration};
use switchyard_tests::{
    client::{Connection, get},
    control::{Control, ControlOptions, loopback},
    echo::Echo,
    envoy::Envoy,
    manifests::service,
    raw,
    wait::until,
    world::{Builder, Source, World, bootstrap},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::fixture::{HOSTS, on_both};

/// A time limit longer than any timeout in these tests.
const SOON: Duration = Duration::from_secs(20);

struct Edge {
    world: World,
    _backend: Echo,
}

impl Edge {
    /// Starts with one backend for everything, on a plain route and below a switch.
    async fn start(more: impl FnOnce(Builder) -> Builder) -> Result<Self> {
        let backend = Echo::start("backend").await?;
        let routes = serde_json::json!([{"match": "/", "services": [{"name": "backend", "port": 80}]}]);
        let builder = Builder::new(Source::Directory)?
            .manifest("routes.yaml", &on_both(&routes))?
            .manifest("service.yaml", &service("default", "backend", &[backend.address]))?;
        let world = more(builder).start().await?;
        for host in HOSTS {
            world.served_by(host, "/", "backend").await?;
        }
        Ok(Self {
            world,
            _backend: backend,
        })
    }

    /// Sends a request as bytes, and returns the answer.
    async fn ask(&self, request: &str) -> Result<String> {
        raw::text(self.world.http(), request).await
    }
}

fn request(host: &str, target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n")
}

/// The backend's view of a request.
fn seen(answer: &str) -> Result<serde_json::Value> {
    let body = answer.split_once("\r\n\r\n").context("no body")?.1;
    let (start, end) = (body.find('{'), body.rfind('}'));
    let json = body.get(start.context(answer.to_owned())?..=end.context("no end")?);
    Ok(serde_json::from_str(json.context("no JSON")?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn path_is_normalized_before_matching() -> Result<()> {
    let edge = Edge::start(|builder| builder).await?;
    for host in HOSTS {
        for (target, arrives_as) in [
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/%2E./b", "/b"),
            ("//a///b", "/a/b"),
            ("/a\\b", "/a/b"),
            ("/a/..;/b", "/b"),
            ("/../..", "/"),
            ("/%61", "/a"),
            ("/a?x=/../y//z", "/a?x=/../y//z"),
        ] {
            let answer = edge.ask(&request(host, target, "")).await?;
            ensure!(seen(&answer)?["path"] == arrives_as, "{host}{target}: {answer}");
        }
        // These answers are redirects; the path of the redirected request is matched literally.
        for (target, location) in [("/a%2fb", "/a/b"), ("/a%5Cb?x", "/a/b?x"), ("/a%2F..%2fb", "/b")] {
            let answer = edge.ask(&request(host, target, "")).await?;
            let (status, told) = ("HTTP/1.1 307", format!("\r\nlocation: {location}\r\n"));
            ensure!(
                answer.starts_with(status) && answer.contains(&told),
                "{host}{target}: {answer}"
            );
        }
        for target in ["/a#b", "a"] {
            let answer = edge.ask(&request(host, target, "")).await?;
            ensure!(!answer.contains("x-echo-backend"), "{host}{target}: {answer}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_with_underscore_is_rejected() -> Result<()> {
    let edge = Edge::start(|builder| builder).await?;
    for host in HOSTS {
        let answer = edge.ask(&request(host, "/", "X_Forwarded_For: ::1\r\n")).await?;
        ensure!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        // A host name with a trailing dot is valid.
        let answer = edge.ask(&request(&format!("{host}."), "/", "")).await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // Some load balancers send requests like this one.
        let answer = edge
            .ask(&format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"))
            .await?;
        ensure!(
            answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"),
            "{answer}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_address_headers_need_a_trusted_proxy() -> Result<()> {
    let lines = "X-Forwarded-For: 10.1.2.3, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
                 X-Envoy-External-Address: 192.0.2.1\r\nX-Envoy-Internal: true\r\n\
                 X-Envoy-Retry-On: 5xx\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 1\r\nX-Envoy-Decorator-Operation: x\r\n";
    for (hops, address, proto) in [(0, "127.0.0.1", "http"), (1, "192.0.2.7", "https")] {
        let edge = Edge::start(|builder| builder.flag(&format!("--xff-trusted-hops={hops}"))).await?;
        for host in HOSTS {
            let seen = seen(&edge.ask(&request(host, "/", lines)).await?)?;
            let headers: BTreeMap<String, String> = serde_json::from_value(seen["headers"].clone())?;
            let header = |name: &str| headers.get(name).map(String::as_str);
            // The client's value is passed on to the upstream, followed by the client's address.
            let added = header("x-forwarded-for").and_then(|all| all.strip_prefix("10.1.2.3, 192.0.2.7,"));
            ensure!(added.is_some_and(|added| !added.contains(',')), "{headers:?}");
            for (name, want) in [
                ("x-envoy-external-address", Some(address)),
                ("x-forwarded-proto", Some(proto)),
                ("x-envoy-internal", None),
                ("x-envoy-retry-on", None),
                ("x-envoy-upstream-rq-timeout-ms", None),
                ("x-envoy-decorator-operation", None),
            ] {
                ensure!(header(name) == want, "{hops} hops, {host}: {name}: {headers:?}");
            }
        }
    }
    Ok(())
}

/// Setting identifiers as in RFC 9113.
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_streams_and_windows_are_bounded() -> Result<()> {
    let edge = Edge::start(|builder| builder).await?;
    let mut stream = TcpStream::connect(edge.world.http()).await?;
    // The preface, and an empty SETTINGS frame.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await?;
    let mut head = [0; 9];
    timeout(SOON, stream.read_exact(&mut head)).await??;
    let [_, high, low, kind, ..] = head;
    ensure!(kind == 4, "the first frame is no SETTINGS: {head:?}");
    let mut body = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    stream.read_exact(&mut body).await?;
    let (entries, _) = body.as_chunks::<6>();
    let settings: BTreeMap<u16, u32> = entries
        .iter()
        .map(|[a, b, c, d, e, f]| (u16::from_be_bytes([*a, *b]), u32::from_be_bytes([*c, *d, *e, *f])))
        .collect();
    ensure!(
        settings.get(&MAX_CONCURRENT_STREAMS) == Some(&100),
        "{settings:?}"
    );
    ensure!(
        settings.get(&INITIAL_WINDOW_SIZE) == Some(&(64 * 1024)),
        "{settings:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_headers_time_out() -> Result<()> {
    let edge = Edge::start(|builder| builder).await?;
    let unfinished = request("plain.bar.com", "/", "X-More: ");
    let answer = edge.ask(unfinished.trim_end_matches("\r\n")).await?;
    ensure!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_above_the_limit_are_closed() -> Result<()> {
    const MOST: usize = 8;
    let edge = Edge::start(|mut builder| {
        builder.control.bootstrap_flags = vec![format!("--max-downstream-connections={MOST}")];
        builder
    })
    .await?;
    let mut open = Vec::new();
    for _ in 0..MOST {
        // Earlier connections have to be closed first.
        let connection = until("there is room", async || {
            let mut connection = Connection::open(edge.world.http()).await?;
            connection.send(get("plain.bar.com", "/")).await?;
            Ok(connection)
        });
        open.push(connection.await?);
    }
    for _ in 0..3 {
        let refused = edge.ask(&request("plain.bar.com", "/", "")).await;
        ensure!(refused.as_ref().map_or(true, String::is_empty), "{refused:?}");
    }
    for connection in &mut open {
        ensure!(connection.send(get("plain.bar.com", "/")).await?.status == 200);
    }
    // Connections to the admin interface do not count.
    let envoy = edge.world.envoys.first().context("an Envoy")?;
    ensure!(envoy.admin("/ready").await?.contains("LIVE"));
    Ok(())
}

/// A heap limit below the memory of any Envoy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_short_of_memory_rejects_requests() -> Result<()> {
    let edge = Edge::start(|builder| builder).await?;
    let status = loopback()?;
    let options = ControlOptions {
        http: loopback()?,
        https: loopback()?,
        xds: loopback()?,
        admin: loopback()?,
        metrics: loopback()?,
        log: edge.world.dir.join("control-of-short.log"),
        bootstrap_flags: vec![
            "--max-heap-size=1000000".to_owned(),
            format!("--status-port={}", status.port()),
        ],
        ..edge.world.control.options.clone()
    };
    let _control = Control::start(&options)?;
    let envoy = Envoy::start(&bootstrap(&edge.world.dir, &options, "short", 1).await?)?;
    until("it has configuration", async || {
        ensure!(envoy.admin("/ready").await?.contains("LIVE"));
        Ok(())
    })
    .await?;
    until("it is short of memory", async || {
        let answer = raw::text(options.http, &request("plain.bar.com", "/", "")).await?;
        ensure!(
            answer.starts_with("HTTP/1.1 503") && answer.contains("overload"),
            "{answer}"
        );
        Ok(())
    })
    .await?;
    // The status listener still answers.
    let ready = raw::text(status, &request("status", "/ready", "")).await?;
    ensure!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    Ok(())
}
