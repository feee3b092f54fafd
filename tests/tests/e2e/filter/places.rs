//! Requests in flight: each gives its place back, however it ends.

use super::{Proxy, filter, levels};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::stream::unfold;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use std::time::Duration;
use switchyard_tests::{
    client::{Connection, Http2, empty, get},
    control::loopback,
    echo::Echo,
    forwarder::Forwarder,
    statics::{Cluster, HOST, SWITCH},
    wait::until,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc::Receiver,
    time::sleep,
};

/// One place.
fn one() -> Value {
    filter(&json!({"concurrency": {"max": 1}, "timeoutMs": 0}))
}

/// Longer than a test takes to look.
const LONG: &str = "60000";

// === impl Proxy ===

impl Proxy {
    /// Waits until the place is taken: a request that gets none says when to come again.
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

    /// Waits until the first request has come to the upstream, and so has its place.
    async fn has_come(&self) -> Result<()> {
        until("the first request is there", async || {
            ensure!(self.blue.requests() > 0);
            Ok(())
        })
        .await
    }

    /// Waits until it is free again.
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
async fn after_an_answer() -> Result<()> {
    let proxy = Proxy::start(&one()).await?;
    // One after the other, on one connection: what is given back late would be missed by the next.
    let mut connection = Connection::open(proxy.envoy.http).await?;
    for number in 0..50 {
        let answer = connection.send(get(HOST, "/")).await?;
        ensure!(answer.status == 200, "{number}: {answer:?}");
    }
    let (first, second) = tokio::join!(proxy.get("/", &[("echo-delay-ms", "500")]), async {
        sleep(Duration::from_millis(200)).await;
        proxy.get("/", &[]).await
    });
    ensure!([first?.status, second?.status] == [200, 503]);
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_client_has_gone() -> Result<()> {
    let proxy = Proxy::start(&one()).await?;
    let mut connection = Connection::open(proxy.envoy.http).await?;
    let sent = tokio::spawn(async move {
        connection
            .send(get(HOST, "/").header("echo-delay-ms", LONG))
            .await
    });
    proxy.has_come().await?;
    proxy.is_full().await?;
    sent.abort();
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_client_has_reset_the_stream() -> Result<()> {
    let proxy = Proxy::start(&one()).await?;
    let mut connection = Http2::open(proxy.envoy.http).await?;
    let request = hyper::Request::get(format!("http://{HOST}/")).header("echo-delay-ms", LONG);
    // The connection stays.
    let sent = tokio::time::timeout(Duration::from_secs(1), connection.start(request, empty())).await;
    ensure!(sent.is_err(), "it was answered");
    proxy.is_free().await?;
    let request = hyper::Request::get(format!("http://{HOST}/"));
    ensure!(connection.start(request, empty()).await?.status() == 200);
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_upstream_has_taken_too_long() -> Result<()> {
    let proxy = Proxy::start(&filter(&json!({"concurrency": {"max": 1}, "timeoutMs": 300}))).await?;
    let answer = proxy.get("/", &[("echo-delay-ms", LONG)]).await?;
    ensure!(answer.status == 504, "{answer:?}");
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_there_was_no_upstream() -> Result<()> {
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
async fn after_an_upgraded_connection() -> Result<()> {
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
    // It has its place for as long as it is open.
    sleep(Duration::from_millis(500)).await;
    proxy.is_full().await?;
    drop(stream);
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_answer_that_broke_off() -> Result<()> {
    let upstream = Echo::start_on_loopback("upstream").await?;
    let way = Forwarder::start(upstream.address).await?;
    let mut config = one();
    config["switches"][SWITCH]["branches"]["default/blue"] = json!([
        {"prefix": "/", "leaf": {"clusters": [{"name": "blue"}]}},
        {"prefix": "/far", "leaf": {"clusters": [{"name": "far"}]}},
    ]);
    let proxy = Proxy::start_beside(&config, &[Cluster::new("far", way.address)]).await?;
    let mut connection = Http2::open(proxy.envoy.http).await?;
    let request =
        hyper::Request::post(format!("http://{HOST}/far")).header("content-type", "application/grpc");
    // The echo of a stream of messages lasts as long as the messages do.
    let (messages, received) = tokio::sync::mpsc::channel(1);
    messages.send(Bytes::from_static(b"x")).await?;
    let next = async |mut received: Receiver<Bytes>| {
        let message = received.recv().await?;
        Some((Ok(Frame::data(message)), received))
    };
    let body = StreamBody::new(unfold(received, next)).boxed();
    let mut answer = connection.start(request, body).await?;
    answer.body_mut().frame().await.context("it has begun")??;
    proxy.is_full().await?;
    drop(way);
    while let Some(Ok(_)) = answer.body_mut().frame().await {}
    proxy.is_free().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_refusal_further_in() -> Result<()> {
    let outer = json!({"source": "outer", "concurrency": {"max": 2}});
    let inner = json!({"source": "inner", "concurrency": {"max": 1, "key": [{"header": "x-who"}]}});
    let proxy = Proxy::start(&levels(&[outer, inner])).await?;
    let mut connection = Connection::open(proxy.envoy.http).await?;
    let slow = get(HOST, "/").header("x-who", "a").header("echo-delay-ms", LONG);
    let sent = tokio::spawn(async move { connection.send(slow).await });
    proxy.has_come().await?;
    for _ in 0..5 {
        ensure!(proxy.status("/", &[("x-who", "a")]).await? == 503);
        ensure!(proxy.status("/", &[("x-who", "b")]).await? == 200);
    }
    sent.abort();
    Ok(())
}

/// What was lost is counted out after some seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_each_key_there_are_so_many() -> Result<()> {
    let proxy = Proxy::start(&filter(&json!({"concurrency": {"max": 3, "key": ["clientIP"]}}))).await?;
    let requests = (0..12).map(|_| proxy.get("/", &[("echo-delay-ms", "1500")]));
    let answers = futures_util::future::try_join_all(requests).await?;
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    if served != 3 {
        bail!("{served} were served at once");
    }
    Ok(())
}
