//! Websockets, gRPC and large bodies, each with a switch in the middle.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{Request, body::Frame, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use switchyard_tests::{
    client::{Body, Connection, Http2, empty, get},
    echo::Echo,
    manifests::{annotated_service, leaf},
    wait::until,
    world::{Source, World},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    sync::mpsc,
};

use crate::{
    fixture::{BlueGreen, HOST, ROOT},
    scenarios,
};

scenarios![
    websocket_stays_open_through_a_switch,
    leaf_without_websockets_rejects_the_upgrade,
    grpc_stream_continues_through_a_switch,
    large_upload_through_a_switch_uses_bounded_memory,
];

type WebSocket = BufStream<TokioIo<Upgraded>>;

async fn websocket_stays_open_through_a_switch(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start_with(source, |builder| {
        builder
            .manifest("blue-ws.yaml", &websockets("blue"))?
            .manifest("green-ws.yaml", &websockets("green"))
    })
    .await?;
    world.switch(&[ROOT, "blue-ws"]).await?;
    let (backend, mut old) = until("websockets are let in", async || open_websocket(world).await).await?;
    ensure!(backend == "blue", "{backend}");
    world.switch(&[ROOT, "green-ws"]).await?;
    world.served_by(HOST, "/ws", "green").await?;
    let (backend, mut new) = open_websocket(world).await?;
    ensure!(backend == "green", "{backend}");
    for text in ["to the old branch", "and once more"] {
        echoes(&mut old, text).await?;
        echoes(&mut new, text).await?;
    }
    Ok(())
}

async fn leaf_without_websockets_rejects_the_upgrade(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start_with(source, |builder| {
        builder
            .manifest("blue-ws.yaml", &websockets("blue"))?
            .manifest("slow.yaml", &slow("green"))
    })
    .await?;
    world.switch(&[ROOT, "blue-ws"]).await?;
    until("websockets are let in", async || open_websocket(world).await).await?;
    for branch in ["green", "slow"] {
        world.switch(&[ROOT, branch]).await?;
        world.served_by(HOST, "/ws", "green").await?;
        let answer = ask_websocket(world).await?;
        ensure!(answer.status() == 403, "{branch}: {answer:?}");
    }
    Ok(())
}

fn slow(service: &str) -> String {
    format!(
        "apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {{namespace: default, name: slow}}
spec:
  routes:
  - match: /
    timeoutPolicy: {{request: 90s}}
    services:
    - name: {service}
      port: 80
"
    )
}

fn websockets(service: &str) -> String {
    format!(
        "apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {{namespace: default, name: {service}-ws}}
spec:
  routes:
  - match: /
    enableWebsockets: true
    services:
    - name: {service}
      port: 80
"
    )
}

/// Opens a websocket; returns the backend that accepted it as well.
async fn open_websocket(world: &World) -> Result<(String, WebSocket)> {
    let answer = ask_websocket(world).await?;
    ensure!(answer.status() == 101, "{answer:?}");
    let mut socket = BufStream::new(TokioIo::new(hyper::upgrade::on(answer).await?));
    let mut backend = String::new();
    socket.read_line(&mut backend).await?;
    Ok((backend.trim().to_owned(), socket))
}

async fn ask_websocket(world: &World) -> Result<hyper::Response<hyper::body::Incoming>> {
    let request = get(HOST, "/ws")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    Connection::open(world.http())
        .await?
        .start(request, empty())
        .await
}

async fn echoes(socket: &mut WebSocket, text: &str) -> Result<()> {
    socket.write_all(text.as_bytes()).await?;
    socket.flush().await?;
    let mut back = vec![0; text.len()];
    socket.read_exact(&mut back).await?;
    ensure!(back == text.as_bytes(), "{back:?}");
    Ok(())
}

async fn grpc_stream_continues_through_a_switch(source: Source) -> Result<()> {
    let (blue, green) = (Echo::start("blue").await?, Echo::start("green").await?);
    let BlueGreen { world, .. } = &BlueGreen::start_with(source, |builder| {
        builder
            .manifest("blue.yaml", &h2c_branch(&blue))?
            .manifest("green.yaml", &h2c_branch(&green))
    })
    .await?;
    let mut client = Http2::open(world.http()).await?;
    let (old_messages, mut old) = grpc(&mut client).await?;
    ensure!(backend(&old) == "blue", "{old:?}");
    exchange(&old_messages, &mut old, b"one").await?;
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/", "green").await?;
    let (new_messages, mut new) = grpc(&mut client).await?;
    ensure!(backend(&new) == "green", "{new:?}");
    exchange(&new_messages, &mut new, b"two").await?;
    exchange(&old_messages, &mut old, b"three").await?;
    finishes(old_messages, old).await?;
    finishes(new_messages, new).await
}

/// A branch whose backend uses HTTP/2 with prior knowledge.
fn h2c_branch(backend: &Echo) -> String {
    let annotation = [("contour.heptio.com/upstream-protocol.h2c", "80")];
    leaf("default", &backend.name, "/", &backend.name)
        + &annotated_service("default", &backend.name, &[backend.address], &annotation)
}

type Answer = hyper::Response<hyper::body::Incoming>;

/// Starts a call; messages are sent through the channel.
async fn grpc(client: &mut Http2) -> Result<(mpsc::Sender<Bytes>, Answer)> {
    let (sender, receiver) = mpsc::channel(4);
    let request = Request::post(format!("http://{HOST}/echo.Echo/Stream"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    Ok((sender, client.start(request, channel_body(receiver)).await?))
}

fn backend(answer: &Answer) -> &str {
    answer
        .headers()
        .get("x-echo-backend")
        .and_then(|name| name.to_str().ok())
        .unwrap_or_default()
}

async fn exchange(messages: &mpsc::Sender<Bytes>, answer: &mut Answer, text: &[u8]) -> Result<()> {
    let length = u32::try_from(text.len())?.to_be_bytes();
    let message = Bytes::from([&[0], &length[..], text].concat());
    messages.send(message.clone()).await?;
    let frame = answer.frame().await.context("the stream ended")??;
    ensure!(frame.data_ref() == Some(&message), "{frame:?}");
    Ok(())
}

async fn finishes(messages: mpsc::Sender<Bytes>, mut answer: Answer) -> Result<()> {
    drop(messages);
    while let Some(frame) = answer.frame().await {
        if let Ok(trailers) = frame?.into_trailers() {
            ensure!(
                trailers.get("grpc-status").is_some_and(|status| status == "0"),
                "{trailers:?}"
            );
            return Ok(());
        }
    }
    anyhow::bail!("no trailers")
}

fn channel_body(receiver: mpsc::Receiver<Bytes>) -> Body {
    let frames = stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), receiver))
    });
    BodyExt::boxed(StreamBody::new(Box::pin(frames)))
}

const CHUNK: usize = 64 * 1024;
/// The number of chunks for 50 MB in total.
const CHUNKS: usize = 50_000_000 / CHUNK;
/// The memory that Envoy may use for buffers, far less than the body.
const MEMORY: u64 = 20_000_000;

async fn large_upload_through_a_switch_uses_bounded_memory(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let envoy = world.envoys.first().context("an Envoy")?;
    let before = envoy.process.resident()?;
    let (sender, receiver) = mpsc::channel(1);
    let mut connection = Connection::open(world.http()).await?;
    let request = Request::post("/upload").header("host", HOST);
    let upload = tokio::spawn(async move { connection.send_body(request, channel_body(receiver)).await });
    let mut highest = before;
    for number in 0..CHUNKS {
        sender.send(Bytes::from(vec![b'x'; CHUNK])).await?;
        if number == CHUNKS / 2 {
            world.switch(&[ROOT, "green"]).await?;
            world.served_by(HOST, "/", "green").await?;
        }
        highest = highest.max(envoy.process.resident()?);
    }
    drop(sender);
    let answer = upload.await??;
    let seen = answer.seen()?;
    ensure!(
        seen.backend == "blue" && seen.body_bytes == (CHUNK * CHUNKS) as u64,
        "{seen:?}"
    );
    ensure!(
        highest - before < MEMORY,
        "Envoy grew by {} bytes",
        highest - before
    );
    Ok(())
}
