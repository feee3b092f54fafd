//! A backend that answers with what it saw.
//!
//! | request | answer |
//! |---|---|
//! | any | JSON: backend, method, path, headers, and how many bytes the body had |
//! | header `echo-status: 302` | that status |
//! | header `echo-header: location=/x` (repeatable) | that header |
//! | header `echo-delay-ms: 500` | the same, that much later |
//! | `upgrade: websocket` | 101; the backend's name, then every byte back |
//! | `content-type: application/grpc` | every message back as it comes, and `grpc-status: 0` |
//!
//! HTTP/1.1 and HTTP/2 with prior knowledge, on one port. Every answer names the backend in `x-echo-backend`.

use anyhow::{Context, Result};
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
use std::{collections::BTreeMap, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, split},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// A backend; it serves until it is dropped.
#[derive(Debug)]
pub struct Echo {
    pub name: Arc<str>,
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

// === impl Echo ===

impl Echo {
    /// Serves on a port of the kernel's choice.
    pub async fn start(name: &str) -> Result<Self> {
        Self::start_at(name, ([127, 0, 0, 1], 0).into()).await
    }

    pub async fn start_at(name: &str, address: SocketAddr) -> Result<Self> {
        Self::serve(name, address, None).await
    }

    /// Serves over TLS.
    pub async fn start_tls(name: &str, acceptor: TlsAcceptor) -> Result<Self> {
        Self::serve(name, ([127, 0, 0, 1], 0).into(), Some(acceptor)).await
    }

    async fn serve(name: &str, address: SocketAddr, acceptor: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address}"))?;
        let name: Arc<str> = name.into();
        Ok(Self {
            address: listener.local_addr()?,
            accepting: tokio::spawn(accept(listener, Arc::clone(&name), acceptor)),
            name,
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, name: Arc<str>, acceptor: Option<TlsAcceptor>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(handshake(stream, Arc::clone(&name), acceptor.clone()));
    }
}

/// A client that breaks off is its own affair.
async fn handshake(stream: TcpStream, name: Arc<str>, acceptor: Option<TlsAcceptor>) {
    stream.set_nodelay(true).ok();
    match acceptor {
        None => connection(stream, name).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                connection(stream, name).await;
            }
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, name: Arc<str>) {
    let service = service_fn(move |request| answer(Arc::clone(&name), request));
    auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn answer(name: Arc<str>, request: Request<Incoming>) -> Result<Answer> {
    let head = Response::builder().header("x-echo-backend", &*name);
    if value(request.headers(), "upgrade").eq_ignore_ascii_case("websocket") {
        return websocket(head, name, request);
    }
    if value(request.headers(), "content-type").starts_with("application/grpc") {
        return grpc(head, request);
    }
    echo(head, &name, request).await
}

async fn echo(head: response::Builder, name: &str, request: Request<Incoming>) -> Result<Answer> {
    let (asked, body) = request.into_parts();
    let body_bytes = count(body).await?;
    sleep(Duration::from_millis(
        value(&asked.headers, "echo-delay-ms").parse().unwrap_or(0),
    ))
    .await;
    let seen = json!({
        "backend": name,
        "method": asked.method.as_str(),
        "path": asked.uri.path_and_query().map_or("", |path| path.as_str()),
        "headers": header_map(&asked.headers),
        "body_bytes": body_bytes,
    });
    let mut answer = head
        .header("content-type", "application/json")
        .status(status(&asked.headers))
        .body(
            Full::from(format!("{seen}\n"))
                .map_err(|never| match never {})
                .boxed(),
        )?;
    answer.headers_mut().extend(asked_headers(&asked.headers));
    Ok(answer)
}

/// Hands every byte back, after the backend's name and a newline.
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

/// Unary or streaming: the messages go back as they are, so their framing needs no reading.
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

/// Reads a body to its end, and keeps none of it.
async fn count(body: Incoming) -> Result<u64> {
    let mut body = pin!(body);
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(bytes)
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

/// The headers that `echo-header` asks for.
fn asked_headers(asked: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let pair = |line: &HeaderValue| {
        let (name, value) = line.to_str().ok()?.split_once('=')?;
        Some((name.parse().ok()?, value.parse().ok()?))
    };
    asked.get_all("echo-header").iter().filter_map(pair).collect()
}

/// Repeated headers joined, as HTTP allows.
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
