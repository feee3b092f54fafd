//! HTTP clients that keep their connection: one connection is one worker of Envoy.

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request,
    body::Incoming,
    client::conn::{http1, http2},
    http::request::Builder,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::wait::PATIENCE;

/// What a request carries.
pub type Body = BoxBody<Bytes, Infallible>;

/// An HTTP/1.1 connection.
pub struct Connection {
    sender: http1::SendRequest<Body>,
}

/// An HTTP/2 connection.
pub struct Http2 {
    sender: http2::SendRequest<Body>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What the echo server saw.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    pub backend: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    pub tls: Option<SeenTls>,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body_bytes: u64,
    pub trailers: BTreeMap<String, String>,
}

/// What the echo server and its client agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SeenTls {
    pub server_name: Option<String>,
    pub alpn: Option<String>,
}

/// A GET for a path of a host; headers can be added.
#[must_use]
pub fn get(host: &str, path: &str) -> Builder {
    Request::get(path).header("host", host)
}

/// No body.
#[must_use]
pub fn empty() -> Body {
    Full::default().boxed()
}

/// One request on a connection of its own.
pub async fn once(server: SocketAddr, request: Builder) -> Result<Answer> {
    Connection::open(server).await?.send(request).await
}

// === impl Connection ===

impl Connection {
    pub async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server)
            .await
            .with_context(|| format!("connecting to {server}"))?;
        stream.set_nodelay(true)?;
        Self::over(stream).await
    }

    /// From an address of this machine, such as another one of loopback: another client, to a server.
    pub async fn open_from(client: IpAddr, server: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((client, 0).into())?;
        Self::over(socket.connect(server).await?).await
    }

    /// HTTP/1.1 on a stream that is already there.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection.with_upgrades());
        Ok(Self { sender })
    }

    pub async fn send(&mut self, request: Builder) -> Result<Answer> {
        self.send_body(request, empty()).await
    }

    pub async fn send_body(&mut self, request: Builder, body: Body) -> Result<Answer> {
        let answer = async { Answer::collect(self.start(request, body).await?).await };
        timeout(PATIENCE, answer).await.context("no answer")?
    }

    /// Sends, and hands back the answer as it begins.
    pub async fn start(&mut self, request: Builder, body: Body) -> Result<hyper::Response<Incoming>> {
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(body)?).await?)
    }

    /// Whether the server has closed it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

// === impl Http2 ===

impl Http2 {
    /// HTTP/2 with prior knowledge.
    pub async fn open(server: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(server).await?).await
    }

    /// The same on a stream that is already there.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends, and hands back the answer as it begins.
    pub async fn start(&mut self, request: Builder, body: Body) -> Result<hyper::Response<Incoming>> {
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(body)?).await?)
    }
}

// === impl Answer ===

impl Answer {
    async fn collect(response: hyper::Response<Incoming>) -> Result<Self> {
        let (head, body) = response.into_parts();
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// A header's first value; empty if there is none, or it is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// All values of a header.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect()
    }

    /// What the echo server saw of the request.
    pub fn seen(&self) -> Result<Seen> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{} with no echo: {:?}", self.status, self.body))
    }

    /// The backend that answered; empty if none did.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.header("x-echo-backend")
    }
}
