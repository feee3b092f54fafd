//! Concurrency limits: each request gives its place back, however it ends.

use super::{Proxy, filter, levels};
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use switchyard_policy::concurrency::workers::{HEARTBEAT_INTERVAL, WORKER_TIMEOUT};
use switchyard_tests::{
    client::{Answer, Connection, Http2, empty, get, once},
    control::loopback,
    gatekeeper::Gatekeeper,
    statics::{Cluster, HOST},
    wait::until,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// A limit of one concurrent request.
fn one() -> Value {
    filter(&json!({"concurrency": {"max": 1}, "timeoutMs": 0}))
}

/// A delay longer than any test, in milliseconds.
const LONG: &str = "60000";

// === impl Proxy ===

impl Proxy {
    /// Waits until the place is taken: a rejection has `retry-after`.
    async fn is_full(&self) -> Result<()> {
        until("the place is taken", async || {
            let answer = self.get("/", &[]).await?;
            ensure!(
                answer.status == 503 && answer.header("retry-after") == "1",
                "{answer:?}"
            );
            Ok(())
        })
        .await
    }

    /// Sends a request that lasts until it is aborted, and waits until it has reached the upstream.
    async fn lasting(&self, headers: &[(&'static str, &'static str)]) -> Result<JoinHandle<Result<Answer>>> {
        let request = get(HOST, "/lasting").header("echo-delay-ms", LONG);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        let before = self.blue.requests();
        let lasting = tokio::spawn(once(self.envoy.http, request));
        until("it has come to the upstream", async || {
            ensure!(self.blue.requests() > before);
            Ok(())
        })
        .await?;
        Ok(lasting)
    }

    /// Waits until the place is free.
    async fn is_free(&self) -> Result<()> {
        until("the place is free", async || {
            let answer = self.get("/", &[]).await?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_after_response() -> Result<()> {
    let proxy = Proxy::start(&one()).await?;
    // In sequence on one connection: if a place were given back late, the next request would be rejected.
    let mut connection = Connection::open(proxy.envoy.http).await?;
    for number in 0..50 {
        let answer = connection.send(get(HOST, "/")).await?;
        ensure!(answer.status == 200, "{number}: {answer:?}");
    }
    // The same for other statuses from the upstream.
    for status in ["204", "302", "500"] {
        let answer = connection
            .send(get(HOST, "/").header("echo-status", status))
            .await?;
        ensure!(answer.status.to_string() == status, "{answer:?}");
    }
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_after_disconnect() -> Result<()> {
    let proxy = Proxy::start(&one()).await?;
    let sent = proxy.lasting(&[]).await?;
    proxy.is_full().await?;
    sent.abort();
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_after_stream_reset() -> Result<()> {
    let proxy = Proxy::start(&one()).await?;
    let mut connection = Http2::open(proxy.envoy.http).await?;
    let request = hyper::Request::get(format!("http://{HOST}/")).header("echo-delay-ms", LONG);
    // The connection stays open.
    let sent = timeout(Duration::from_secs(1), connection.start(request, empty())).await;
    ensure!(sent.is_err(), "it was answered");
    proxy.is_free().await?;
    let request = hyper::Request::get(format!("http://{HOST}/"));
    ensure!(connection.start(request, empty()).await?.status() == 200);
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_after_upstream_timeout() -> Result<()> {
    let proxy = Proxy::start(&filter(&json!({"concurrency": {"max": 1}, "timeoutMs": 300}))).await?;
    let answer = proxy.get("/", &[("echo-delay-ms", LONG)]).await?;
    ensure!(answer.status == 504, "{answer:?}");
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_without_upstream() -> Result<()> {
    let nobody = loopback()?;
    let mut config = one();
    config["switches"]["bar.com/"]["branches"]["default/blue"] = json!([
        {"prefix": "/", "leaf": {"clusters": [{"name": "blue"}]}},
        {"prefix": "/nobody", "leaf": {"clusters": [{"name": "nobody"}]}},
        {"prefix": "/nowhere", "leaf": {"clusters": [{"name": "nowhere"}]}},
        {"prefix": "/broken", "unavailable": "no service"},
    ]);
    let proxy = Proxy::start_beside(&config, &[Cluster::new("nobody", nobody)]).await?;
    for path in ["/nobody", "/nowhere", "/broken"] {
        let answer = proxy.get(path, &[]).await?;
        ensure!(
            answer.status == 503 && answer.header("retry-after").is_empty(),
            "{path}: {answer:?}"
        );
        proxy.is_free().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_after_upgraded_connection() -> Result<()> {
    let proxy = Proxy::start(&one()).await?;
    let mut stream = TcpStream::connect(proxy.envoy.http).await?;
    let request = format!(
        "GET /plain HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await?;
    ensure!(answer == b"HTTP/1.1 101", "{}", String::from_utf8_lossy(&answer));
    proxy.is_full().await?;
    // The place is taken as long as the connection is open.
    sleep(Duration::from_millis(500)).await;
    proxy.is_full().await?;
    drop(stream);
    proxy.is_free().await
}

/// The echo of a stream of messages lasts as long as the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_after_disconnect_during_response() -> Result<()> {
    let proxy = Proxy::start(&one()).await?;
    let mut stream = TcpStream::connect(proxy.envoy.http).await?;
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/grpc\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello\r\n") {
        answer.push(stream.read_u8().await?);
    }
    proxy.is_full().await?;
    drop(stream);
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_after_upstream_disconnect() -> Result<()> {
    let mut config = one();
    config["switches"]["bar.com/"]["branches"]["default/blue"] = json!([
        {"prefix": "/", "leaf": {"clusters": [{"name": "blue"}]}},
        {"prefix": "/half", "leaf": {"clusters": [{"name": "half"}]}},
        {"prefix": "/none", "leaf": {"clusters": [{"name": "none"}]}},
    ]);
    let half = breaking_off("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await?;
    let none = breaking_off("").await?;
    let clusters = [Cluster::new("half", half), Cluster::new("none", none)];
    let proxy = Proxy::start_beside(&config, &clusters).await?;
    ensure!(proxy.get("/half", &[]).await.is_err(), "it was whole");
    proxy.is_free().await?;
    let answer = proxy.get("/none", &[]).await?;
    ensure!(
        answer.status == 503 && answer.header("retry-after").is_empty(),
        "{answer:?}"
    );
    proxy.is_free().await
}

/// An upstream that sends this to each client, and closes the connection.
async fn breaking_off(says: &'static str) -> Result<SocketAddr> {
    let listener = TcpListener::bind(loopback()?).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while !stream.read_u8().await?.is_ascii_control() {}
            stream.write_all(says.as_bytes()).await?;
        }
        anyhow::Ok(())
    });
    Ok(address)
}

/// A place is taken only after all checks have passed, so that a failing service leaves none taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_after_auth_service_failure() -> Result<()> {
    let gatekeeper = Gatekeeper::start().await?;
    let outer = json!({"source": "outer", "concurrency": {"max": 1}});
    let external = json!({"cluster": "gatekeeper", "protocol": "http", "timeoutMs": 2_000});
    let inner = json!({"source": "inner", "auth": [{"anyOf": [{"external": external}]}]});
    let clusters = [Cluster::new("gatekeeper", gatekeeper.address)];
    let proxy = Proxy::start_beside(&levels(&[outer, inner]), &clusters).await?;
    for (authorization, want) in [("no", 403), ("broken", 503), ("slow", 503)] {
        for _ in 0..2 {
            let answer = proxy.get("/", &[("authorization", authorization)]).await?;
            ensure!(
                answer.status == want && answer.header("retry-after").is_empty(),
                "{authorization}: {answer:?}"
            );
        }
        let gone = once(proxy.envoy.http, get(HOST, "/").header("authorization", "slow"));
        ensure!(
            timeout(Duration::from_millis(100), gone).await.is_err(),
            "it was answered"
        );
        ensure!(
            proxy.status("/", &[("authorization", "yes ann")]).await? == 200,
            "{authorization}"
        );
    }
    let lasting = proxy.lasting(&[("authorization", "yes ann")]).await?;
    ensure!(proxy.status("/", &[("authorization", "no")]).await? == 403);
    ensure!(proxy.status("/", &[("authorization", "yes ann")]).await? == 503);
    lasting.abort();
    until("the place is free", async || {
        ensure!(proxy.status("/", &[("authorization", "yes ann")]).await? == 200);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_released_after_inner_rejection() -> Result<()> {
    let outer = json!({"source": "outer", "concurrency": {"max": 2}});
    let inner = json!({"source": "inner", "concurrency": {"max": 1, "key": [{"header": "x-who"}]}});
    let proxy = Proxy::start(&levels(&[outer, inner])).await?;
    let sent = proxy.lasting(&[("x-who", "a")]).await?;
    for _ in 0..5 {
        ensure!(proxy.status("/", &[("x-who", "a")]).await? == 503);
        ensure!(proxy.status("/", &[("x-who", "b")]).await? == 200);
    }
    ensure!(proxy.status("/refused", &[("x-who", "a")]).await? == 503);
    let logged = proxy.envoy.logged("/refused").await?;
    ensure!(logged["policy"] == "inner concurrency", "{logged}");
    sent.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrency_limit_applies_per_key() -> Result<()> {
    let proxy = Proxy::start(&filter(&json!({"concurrency": {"max": 3, "key": ["clientIP"]}}))).await?;
    let requests = (0..12).map(|_| proxy.get("/", &[("echo-delay-ms", "1500")]));
    let answers = futures_util::future::try_join_all(requests).await?;
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    if served != 3 {
        bail!("{served} were served at once");
    }
    Ok(())
}

/// The heartbeat by which workers detect each other's death belongs to a configuration, and stops with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconfiguration_does_not_mark_workers_dead() -> Result<()> {
    const WHO: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let config = |timeout_ms: u32| {
        let concurrency = json!({"max": 1, "key": [{"header": "x-who"}]});
        filter(&json!({"concurrency": concurrency, "timeoutMs": timeout_ms}))
    };
    let proxy = Proxy::start(&config(0)).await?;
    let first = proxy.lasting(&[("x-who", "first")]).await?;
    proxy.envoy.configure(&config(120_000)).await?;
    // Some of these share a worker with the first request, and the others do not.
    for who in WHO {
        proxy.lasting(&[("x-who", who)]).await?;
    }
    first.abort();
    sleep(WORKER_TIMEOUT + 3 * HEARTBEAT_INTERVAL).await;
    for who in WHO {
        let answer = proxy.get("/", &[("x-who", who)]).await?;
        ensure!(answer.status == 503, "{who}: {answer:?}");
    }
    Ok(())
}
