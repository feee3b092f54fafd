//! HTTP clients with one persistent connection, and so with one worker of Envoy.

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

/// The body of a request.
pub type Body = BoxBody<Bytes, Infallible>;

/// An HTTP/1.1 connection.
pub struct Connection {
    sender: http1::SendRequest<Body>,
}

/// An HTTP/2 connection.
pub struct Http2 {
    sender: http2::SendRequest<Body>,
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The echo server's view of a request.
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

/// The outcome of the TLS handshake between the echo server and its client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SeenTls {
    pub server_name: Option<String>,
    pub alpn: Option<String>,
}

/// A GET request for a path of a host; headers can be added.
#[must_use]
pub fn get(host: &str, path: &str) -> Builder {
    Request::get(path).header("host", host)
}

/// An empty body.
#[must_use]
pub fn empty() -> Body {
    Full::default().boxed()
}

/// Sends one request on its own connection.
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

    /// Connects from the given local address, such as another loopback address: to the server, a different client.
    pub async fn open_from(client: IpAddr, server: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((client, 0).into())?;
        Self::over(socket.connect(server).await?).await
    }

    /// Speaks HTTP/1.1 on an existing stream.
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

    /// Sends a request, and returns the response once its headers have arrived.
    pub async fn start(&mut self, request: Builder, body: Body) -> Result<hyper::Response<Incoming>> {
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(body)?).await?)
    }

    /// Returns true if the server has closed the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

// === impl Http2 ===

impl Http2 {
    /// Connects with prior knowledge of HTTP/2.
    pub async fn open(server: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(server).await?).await
    }

    /// Speaks HTTP/2 on an existing stream.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request, and returns the response once its headers have arrived.
    pub async fn start(&mut self, request: Builder, body: Body) -> Result<hyper::Response<Incoming>> {
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(body)?).await?)
    }
}

// === impl Answer ===

impl Answer {
    pub async fn collect(response: hyper::Response<Incoming>) -> Result<Self> {
        let (head, body) = response.into_parts();
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// A header's first value; empty if it is absent or not text.
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

    /// The echo server's view of the request.
    pub fn seen(&self) -> Result<Seen> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{} with no echo: {:?}", self.status, self.body))
    }

    /// The backend that answered; empty if Envoy itself did.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.header("x-echo-backend")
    }
}
