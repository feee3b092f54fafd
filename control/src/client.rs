//! Asking a running control, at its admin address.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Uri, client::conn::http1, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// A running control. All questions go over one connection.
#[derive(Debug)]
pub struct Control {
    /// `http://HOST:PORT`, without a `/` at its end.
    url: String,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

// === impl Control ===

impl Control {
    /// Control at a URL; nothing is asked yet.
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

    /// Asks, and reads the answer.
    ///
    /// # Errors
    ///
    /// If control cannot be reached, or answers with an error or what this program cannot read.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let query: Vec<_> = query
            .iter()
            .map(|(key, value)| format!("{key}={}", escape(value)))
            .collect();
        let uri = format!("{}{path}?{}", self.url, query.join("&"));
        let body = self.fetch(&uri).await?;
        serde_json::from_slice(&body).context("control answered what this program cannot read")
    }

    async fn fetch(&mut self, uri: &str) -> Result<Bytes> {
        let uri: Uri = uri.parse().with_context(|| format!("{uri:?} is no URL"))?;
        let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(
                header::HOST,
                uri.authority().context("a URL without a host")?.as_str(),
            )
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

/// For a query: everything but letters, digits and `-._~` (RFC 3986, 2.3).
fn escape(value: &str) -> String {
    let escaped = value.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}
