//! One connection to an HTTP/1.1 server that speaks plain text.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, Uri, client::conn::http1, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A server. All requests go over one connection, and over a new one where that has ended.
#[derive(Debug)]
pub struct Server {
    /// `http://HOST:PORT`, without a `/` at its end.
    url: String,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

// === impl Server ===

impl Server {
    /// The server at a URL; nothing is asked yet.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            connection: None,
        }
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks, and reads the whole answer. `target` is a path, with a query or without.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, or answers with an error.
    pub async fn ask(&mut self, method: Method, target: &str) -> Result<Bytes> {
        let uri = format!("{}{target}", self.url);
        let uri: Uri = uri.parse().with_context(|| format!("{uri:?} is no URL"))?;
        let host = uri.authority().context("a URL without a host")?.as_str();
        let request = Request::builder()
            .method(method)
            .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, host)
            .body(Empty::new())?;
        let mut connection = self.connected(&uri).await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        // Kept only where all was read: who gives up halfway leaves an answer on the way.
        self.connection = Some(connection);
        ensure!(
            status.is_success(),
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }

    /// The connection there is, or else a new one.
    async fn connected(&mut self, uri: &Uri) -> Result<SendRequest<Empty<Bytes>>> {
        if let Some(mut connection) = self.connection.take()
            && connection.ready().await.is_ok()
        {
            return Ok(connection);
        }
        ensure!(
            uri.scheme_str() == Some("http"),
            "{uri}: the URL must begin with http://"
        );
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // What goes wrong in it, who waits for an answer is told.
        tokio::spawn(async move { connection.await.unwrap_or_default() });
        Ok(sender)
    }
}
