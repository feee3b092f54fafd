//! HTTP/2 frame by frame (RFC 9113): requests that no library would send.
//!
//! ```text
//! -> preface, SETTINGS, HEADERS [ , DATA ] [ , HEADERS ]     one request, on stream 1
//! <- HEADERS, DATA ... | RST_STREAM | GOAWAY | nothing
//! ```

use anyhow::{Context, Result};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::raw::{Reply, SOON};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A header table size of 0: the server then writes all header fields out.
const SETTINGS: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A request, as the fields to send on the wire.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub fields: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// Sends a request on its own connection, and returns the reply.
///
/// # Errors
/// The server cannot be reached, or does not answer.
pub async fn ask(server: SocketAddr, request: &Request) -> Result<Reply> {
    ask_over(TcpStream::connect(server).await?, request).await
}

/// The same on an existing stream.
///
/// # Errors
/// The server does not answer.
pub async fn ask_over(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &Request) -> Result<Reply> {
    stream.write_all(&request.bytes()).await?;
    stream.flush().await?;
    timeout(SOON, read(&mut stream)).await.context("no answer")?
}

/// Header fields from strings.
#[must_use]
pub fn fields(texts: &[(&str, &str)]) -> Fields {
    let field = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    texts.iter().map(field).collect()
}

async fn read(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<Reply> {
    let mut status = None;
    let mut body = Vec::new();
    let mut head = "closed".to_owned();
    while let Ok(Frame {
        kind,
        flags,
        stream: number,
        payload,
    }) = Frame::read(stream).await
    {
        match (kind, number) {
            (0, 1) => body.extend(payload),
            (1, 1) if status.is_none() => status = Some(status_of(&payload).context("no status")?),
            (3, 1) => head = format!("RST_STREAM {payload:?}"),
            (4, 0) if flags == 0 => stream.write_all(SETTINGS_ACK).await?,
            (7, _) => head = format!("GOAWAY {}", String::from_utf8_lossy(&payload)),
            _ => {}
        }
        let is_end = number == 1 && (kind == 3 || kind <= 1 && flags & END_STREAM != 0);
        if is_end || kind == 7 {
            break;
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Reply {
        status,
        head,
        body,
        is_headed: true,
    })
}

/// The status in the first field of a header block (RFC 7541, 6), whose name is in the static table and whose value is
/// in it too or written out.
fn status_of(block: &[u8]) -> Option<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let is_update = |byte: &&u8| **byte & 0xe0 == 0x20;
    let updates = block.iter().take_while(is_update).count();
    let (first, rest) = block.get(updates..)?.split_first()?;
    if first & 0x80 != 0 {
        return INDEXED.get(usize::from(first & 0x7f).checked_sub(8)?).copied();
    }
    let (length, text) = rest.split_first()?;
    let text = text.get(..usize::from(length & 0x7f))?;
    if length & 0x80 == 0 {
        return str::from_utf8(text).ok()?.parse().ok();
    }
    digits(text)
}

/// Decodes three Huffman-coded digits (RFC 7541, appendix B): 0, 1 and 2 have five bits, the others six.
fn digits(code: &[u8]) -> Option<u16> {
    let mut bits = code
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut number = 0;
    for _ in 0..3 {
        let mut take = |count| {
            bits.by_ref()
                .take(count)
                .fold(0, |all, bit| all << 1 | u16::from(bit))
        };
        let five = take(5);
        let digit = if five < 3 {
            five
        } else {
            (five << 1 | take(1)).checked_sub(0x16)?
        };
        number = number * 10 + digit;
    }
    Some(number)
}

// === impl Request ===

impl Request {
    /// A GET request, whose fields can be changed.
    #[must_use]
    pub fn get(authority: &str, path: &str) -> Self {
        Self {
            fields: fields(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", authority),
                (":path", path),
            ]),
            ..Self::default()
        }
    }

    /// Appends fields.
    #[must_use]
    pub fn with(mut self, more: &[(&str, &str)]) -> Self {
        self.fields.extend(fields(more));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let Self {
            fields,
            body,
            trailers,
        } = self;
        let end = |is_last: bool| if is_last { END_STREAM } else { 0 };
        let mut bytes = [PREFACE, SETTINGS].concat();
        let headers = |fields, is_last| frame(1, END_HEADERS | end(is_last), &block(fields));
        bytes.extend(headers(fields, body.is_empty() && trailers.is_empty()));
        if !body.is_empty() {
            bytes.extend(frame(0, end(trailers.is_empty()), body));
        }
        if !trailers.is_empty() {
            bytes.extend(headers(trailers, true));
        }
        bytes
    }
}

// === impl Frame ===

impl Frame {
    async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Self> {
        let mut head = [0; 9];
        from.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c]))?];
        from.read_exact(&mut payload).await?;
        let stream = u32::from_be_bytes([d, e, f, g]);
        Ok(Self {
            kind,
            flags,
            stream,
            payload,
        })
    }
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

/// Encodes each field as a literal without indexing, without Huffman coding (RFC 7541, 6.2.2).
fn block(fields: &Fields) -> Vec<u8> {
    let field = |(name, value): &(Vec<u8>, Vec<u8>)| [&[0], &*string(name), &*string(value)].concat();
    fields.iter().flat_map(field).collect()
}

/// Encodes a string after its length with a prefix of seven bits (RFC 7541, 5.1).
fn string(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len().checked_sub(0x7f) {
        None => bytes.extend(u8::try_from(text.len())),
        Some(mut rest) => {
            bytes.push(0x7f);
            while rest >= 0x80 {
                bytes.extend(u8::try_from(rest % 0x80 + 0x80));
                rest /= 0x80;
            }
            bytes.extend(u8::try_from(rest));
        }
    }
    bytes.extend(text);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::Echo;

    #[test]
    fn a_status_is_read_in_every_form() {
        for (block, want) in [
            (&[0x88][..], Some(200)),
            (&[0x20, 0x8d], Some(404)),
            (b"\x08\x03307", Some(307)),
            // 401 and 399 in the Huffman code.
            (&[0x48, 0x82, 0x68, 0x01], Some(401)),
            (&[0x48, 0x83, 0x65, 0xf7, 0xff], Some(399)),
            (&[], None),
        ] {
            assert_eq!(status_of(block), want, "{block:x?}");
        }
    }

    #[tokio::test]
    async fn a_request_is_what_it_is_said_to_be() {
        let echo = Echo::start("blue").await.unwrap();
        let long = "x".repeat(1000);
        let request = Request {
            body: b"body".to_vec(),
            trailers: fields(&[("x-after", "1")]),
            ..Request::get("bar.com", "/a?b").with(&[("x-long", &long)])
        };
        let reply = ask(echo.address, &request).await.unwrap();
        let seen = reply.seen().unwrap();
        assert_eq!(
            (reply.status, seen.path.as_str(), seen.body_bytes),
            (Some(200), "/a?b", 4)
        );
        assert_eq!(
            (&seen.headers["x-long"], seen.trailers["x-after"].as_str()),
            (&long, "1")
        );
        assert!(echo.received() > 1000);
    }
}
