//! A client of an HTTP/1.1 server, without TLS and with one connection.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, Uri, client::conn::http1, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// A client of one server. Requests share a connection, which is replaced when it has ended.
#[derive(Debug)]
pub struct Server {
    /// The URL `http://HOST:PORT`, without a `/` at its end.
    url: String,
    /// The Unix domain socket to connect to instead of the URL's host, if any.
    socket: Option<PathBuf>,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

// === impl Server ===

impl Server {
    /// Creates a client for a URL, without a request.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            socket: None,
            connection: None,
        }
    }

    /// Creates a client for a Unix domain socket, without a request.
    #[must_use]
    pub fn at_socket(path: &Path) -> Self {
        Self {
            socket: Some(path.to_owned()),
            ..Self::new("http://localhost")
        }
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request, and reads the whole answer. `target` is a path with an optional query.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, or answers with an error.
    pub async fn ask(&mut self, method: Method, target: &str) -> Result<Bytes> {
        let uri = format!("{}{target}", self.url);
        let uri: Uri = uri.parse().with_context(|| format!("{uri:?} is not a URL"))?;
        let host = uri.authority().context("the URL has no host")?.as_str();
        let request = Request::builder()
            .method(method)
            .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, host)
            .body(Empty::new())?;
        let mut connection = self.connected(&uri).await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        // Kept only after a complete answer: a request that was given up leaves an answer on its connection.
        self.connection = Some(connection);
        ensure!(
            status.is_success(),
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }

    /// Returns the open connection, or else a new one.
    async fn connected(&mut self, uri: &Uri) -> Result<SendRequest<Empty<Bytes>>> {
        if let Some(mut connection) = self.connection.take()
            && connection.ready().await.is_ok()
        {
            return Ok(connection);
        }
        ensure!(
            uri.scheme_str() == Some("http"),
            "{uri}: the URL must start with http://"
        );
        if let Some(socket) = &self.socket {
            let stream = UnixStream::connect(socket).await;
            return handshake(stream.with_context(|| format!("cannot connect to {}", socket.display()))?)
                .await;
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        handshake(stream).await
    }
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Empty<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Errors are reported to the pending request.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
