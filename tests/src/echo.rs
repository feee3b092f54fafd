//! A backend that answers with the request it received.
//!
//! | request | answer |
//! |---|---|
//! | any | JSON: backend, protocol, TLS, method, path, headers, body size in bytes, and trailers |
//! | header `echo-status: 302` | this status |
//! | header `echo-header: location=/x` (repeatable) | the same, with this header |
//! | header `echo-delay-ms: 500` | the same, after this delay |
//! | `/healthz` | 503 while set to be unhealthy by [`Echo::set_healthy`] |
//! | any, after [`Echo::fail_next`] | 503, for the given number of requests |
//! | `upgrade: websocket` | 101; the backend's name, then every byte echoed |
//! | `content-type: application/grpc` | every message echoed as it arrives, and `grpc-status: 0` |
//!
//! HTTP/1.1 and HTTP/2, on one port. Every answer names the backend in `x-echo-backend`.

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{HeaderName, HeaderValue},
    http::response,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, split},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    client::SeenTls,
    cluster,
    counted::Counted,
    server::{LOOPBACK, Server},
};

/// The path of health checks.
const HEALTH: &str = "/healthz";
const FAILURE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// A backend that serves until it is dropped.
#[derive(Debug)]
pub struct Echo {
    pub name: Arc<str>,
    pub address: SocketAddr,
    backend: Arc<Backend>,
    _server: Server,
}

/// The state that all connections of a backend share.
#[derive(Debug)]
struct Backend {
    name: Arc<str>,
    healthy: AtomicBool,
    /// The number of requests still to be answered with 503.
    failures: AtomicUsize,
    requests: AtomicUsize,
    /// The number of bytes received.
    received: Arc<AtomicUsize>,
}

/// The origin of a request.
#[derive(Clone, Debug)]
struct Origin {
    backend: Arc<Backend>,
    tls: Option<SeenTls>,
}

/// An address with port 0, so that the kernel chooses the port. It is a pod's address if this machine has those,
/// because a cluster accepts no loopback addresses as endpoints.
pub fn any_port() -> SocketAddr {
    let pod = SocketAddr::new(cluster::POD, 0);
    match std::net::TcpListener::bind(pod) {
        Ok(_) => pod,
        Err(_) => LOOPBACK,
    }
}

// === impl Echo ===

impl Echo {
    /// Serves on a port of the kernel's choice.
    pub async fn start(name: &str) -> Result<Self> {
        Self::start_at(name, any_port()).await
    }

    /// Serves on loopback even if the machine has pod addresses.
    pub async fn start_on_loopback(name: &str) -> Result<Self> {
        Self::start_at(name, LOOPBACK).await
    }

    pub async fn start_at(name: &str, address: SocketAddr) -> Result<Self> {
        Self::serve(name, address, None).await
    }

    /// Serves over TLS.
    pub async fn start_tls(name: &str, acceptor: TlsAcceptor) -> Result<Self> {
        Self::serve(name, any_port(), Some(acceptor)).await
    }

    async fn serve(name: &str, address: SocketAddr, acceptor: Option<TlsAcceptor>) -> Result<Self> {
        let backend = Arc::new(Backend::new(name));
        let of_all = Arc::clone(&backend);
        let serve = move |stream| handshake(stream, Arc::clone(&of_all), acceptor.clone());
        let server = Server::start(address, serve).await?;
        Ok(Self {
            name: Arc::clone(&backend.name),
            address: server.address,
            backend,
            _server: server,
        })
    }

    /// Sets the result of health checks; other requests are answered as before.
    pub fn set_healthy(&self, healthy: bool) {
        self.backend.healthy.store(healthy, Ordering::Relaxed);
    }

    /// Makes the next `requests` requests fail.
    pub fn fail_next(&self, requests: usize) {
        self.backend.failures.store(requests, Ordering::Relaxed);
    }

    /// The number of requests so far, without health checks.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.backend.requests.load(Ordering::Relaxed)
    }

    /// The number of bytes received so far, with any content. An HTTP/1.1 client sends bytes only for requests.
    #[must_use]
    pub fn received(&self) -> usize {
        self.backend.received.load(Ordering::Relaxed)
    }
}

// === impl Backend ===

impl Backend {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            healthy: AtomicBool::new(true),
            failures: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            received: Arc::default(),
        }
    }

    /// Returns true if this request has to fail.
    fn fails(&self, path: &str) -> bool {
        if path == HEALTH {
            return !self.healthy.load(Ordering::Relaxed);
        }
        let one_less = |left: usize| left.checked_sub(1);
        self.failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }
}

/// Ignores connections that clients abort.
async fn handshake(stream: TcpStream, backend: Arc<Backend>, acceptor: Option<TlsAcceptor>) {
    stream.set_nodelay(true).ok();
    match acceptor {
        None => connection(stream, Origin { backend, tls: None }).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                let tls = Some(agreed(&stream));
                connection(stream, Origin { backend, tls }).await;
            }
        }
    }
}

/// The server name and protocol negotiated on a connection.
fn agreed(stream: &TlsStream<TcpStream>) -> SeenTls {
    let (_, connection) = stream.get_ref();
    let protocol = connection.alpn_protocol().map(String::from_utf8_lossy);
    SeenTls {
        server_name: connection.server_name().map(str::to_owned),
        alpn: protocol.map(Into::into),
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, origin: Origin) {
    let stream = Counted::new(stream, Arc::clone(&origin.backend.received));
    let service = service_fn(move |request| answer(origin.clone(), request));
    auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn answer(origin: Origin, request: Request<Incoming>) -> Result<Answer> {
    if request.uri().path() != HEALTH {
        origin.backend.requests.fetch_add(1, Ordering::Relaxed);
    }
    let name = &origin.backend.name;
    let head = Response::builder().header("x-echo-backend", &**name);
    if value(request.headers(), "upgrade").eq_ignore_ascii_case("websocket") {
        return websocket(head, Arc::clone(name), request);
    }
    if value(request.headers(), "content-type").starts_with("application/grpc") {
        return grpc(head, request);
    }
    echo(head, origin, request).await
}

async fn echo(head: response::Builder, origin: Origin, request: Request<Incoming>) -> Result<Answer> {
    let Origin { backend, tls } = origin;
    let (asked, body) = request.into_parts();
    let fails = backend.fails(asked.uri.path());
    let (body_bytes, trailers) = count(body).await?;
    sleep(Duration::from_millis(
        value(&asked.headers, "echo-delay-ms").parse().unwrap_or(0),
    ))
    .await;
    let seen = json!({
        "backend": &*backend.name,
        "protocol": format!("{:?}", asked.version),
        "tls": tls,
        "method": asked.method.as_str(),
        "path": asked.uri.path_and_query().map_or("", |path| path.as_str()),
        "headers": header_map(&asked.headers),
        "body_bytes": body_bytes,
        "trailers": header_map(&trailers),
    });
    let mut answer = head
        .header("content-type", "application/json")
        .status(if fails { FAILURE } else { status(&asked.headers) })
        .body(
            Full::from(format!("{seen}\n"))
                .map_err(|never| match never {})
                .boxed(),
        )?;
    answer.headers_mut().extend(asked_headers(&asked.headers));
    Ok(answer)
}

/// Echoes every byte, after the backend's name and a newline.
fn websocket(head: response::Builder, name: Arc<str>, request: Request<Incoming>) -> Result<Answer> {
    tokio::spawn(async move {
        let (mut from, mut to) = split(TokioIo::new(hyper::upgrade::on(request).await?));
        to.write_all(format!("{name}\n").as_bytes()).await?;
        copy(&mut from, &mut to).await?;
        to.shutdown().await?;
        anyhow::Ok(())
    });
    let body = Empty::new().map_err(|never| match never {}).boxed();
    Ok(head
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(body)?)
}

/// Echoes the messages of a unary or streaming call, without parsing their framing.
fn grpc(head: response::Builder, request: Request<Incoming>) -> Result<Answer> {
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = request
        .into_body()
        .with_trailers(async { Some(Ok(trailers)) })
        .boxed();
    Ok(head.header("content-type", "application/grpc").body(body)?)
}

/// Reads a body to its end; returns its length and trailers.
async fn count(body: Incoming) -> Result<(u64, HeaderMap)> {
    let mut body = pin!(body);
    let mut bytes = 0;
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        trailers.extend(frame.into_trailers().unwrap_or_default());
    }
    Ok((bytes, trailers))
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn status(asked: &HeaderMap) -> StatusCode {
    value(asked, "echo-status").parse().unwrap_or(StatusCode::OK)
}

/// The response headers that `echo-header` asks for.
fn asked_headers(asked: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let pair = |line: &HeaderValue| {
        let (name, value) = line.to_str().ok()?.split_once('=')?;
        Some((name.parse().ok()?, value.parse().ok()?))
    };
    asked.get_all("echo-header").iter().filter_map(pair).collect()
}

/// The headers by name; repeated ones are joined, as HTTP allows.
fn header_map(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let join = |name| {
        let values = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    };
    headers.keys().map(|name| (name.as_str(), join(name))).collect()
}

#[cfg(test)]
mod tests;
