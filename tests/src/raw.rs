//! Requests as bytes, such as no library would send.

use anyhow::{Context, Result, bail};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::client::Seen;

/// A time limit longer than any immediate answer takes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A reply, complete or not.
#[derive(Clone, Debug)]
pub struct Reply {
    /// None if the server closed the connection without one.
    pub status: Option<u16>,
    /// The head as received, or the reason why there is none.
    pub head: String,
    pub body: String,
    /// Set once the head is complete.
    pub(crate) is_headed: bool,
}

/// Sends a request, and returns the first reply.
///
/// # Errors
/// The server cannot be reached, or does not answer.
pub async fn ask(server: SocketAddr, request: &[u8]) -> Result<Reply> {
    ask_over(TcpStream::connect(server).await?, request).await
}

/// The same on an existing stream.
///
/// # Errors
/// The server does not answer.
pub async fn ask_over(stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Result<Reply> {
    talk(stream, request, Reply::is_whole).await
}

/// Sends a request, which should ask to close the connection, and returns all data until the server does.
///
/// # Errors
/// The server cannot be reached, or does not close the connection.
pub async fn ask_until_closed(server: SocketAddr, request: &[u8]) -> Result<Reply> {
    ask_over_until_closed(TcpStream::connect(server).await?, request).await
}

/// The same on an existing stream.
///
/// # Errors
/// The server does not close the connection.
pub async fn ask_over_until_closed(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> Result<Reply> {
    talk(stream, request, |_| false).await
}

/// Sends a request, and returns all data until the server closes the connection, as text.
///
/// # Errors
/// The server cannot be reached, resets the connection, or does not close it.
pub async fn text(server: SocketAddr, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .context("no answer")??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
    is_enough: impl Fn(&Reply) -> bool,
) -> Result<Reply> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    loop {
        let reply = Reply::of(&String::from_utf8_lossy(&answer));
        if is_enough(&reply) {
            return Ok(reply);
        }
        match timeout(SOON, stream.read_buf(&mut answer)).await {
            // The data received before an error counts.
            Ok(Ok(0) | Err(_)) => return Ok(reply),
            Ok(Ok(_)) => {}
            Err(_) => bail!("no more comes, and the connection is not closed: {reply:?}"),
        }
    }
}

// === impl Reply ===

impl Reply {
    fn of(text: &str) -> Self {
        let whole = text.split_once("\r\n\r\n");
        let (head, body) = whole.unwrap_or((text, ""));
        let version = head.strip_prefix("HTTP/1.");
        let status = version.and_then(|rest| rest.get(2..5));
        Self {
            status: status.and_then(|status| status.parse().ok()),
            head: head.to_owned(),
            body: body.to_owned(),
            is_headed: whole.is_some(),
        }
    }

    /// Returns true if the head and a body of its content length have arrived.
    fn is_whole(&self) -> bool {
        let length = self.header("content-length").parse().unwrap_or(0);
        self.status.is_some() && self.is_headed && self.body.len() >= length
    }

    /// A header's first value; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut named = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.next().map_or("", |(_, value)| value)
    }

    /// The echo server's view of the request.
    ///
    /// # Errors
    /// The answer is not the echo server's.
    pub fn seen(&self) -> Result<Seen> {
        let json = self.body.lines().find(|line| line.starts_with('{'));
        let json = json.with_context(|| format!("no echo: {self:?}"))?;
        serde_json::from_str(json).with_context(|| format!("no echo: {self:?}"))
    }

    /// The number of answers, including the first.
    #[must_use]
    pub fn count(&self) -> usize {
        let later = self.body.matches("HTTP/1.1 ").count();
        usize::from(self.status.is_some()) + later
    }
}
