//! Requests that end elsewhere for the edge than for the upstream, and headers that contain another header.

use super::{Case, Credential, HOSTS, KEY, Message, Site, Want, get};
use Want::{Asked, Denied, Open, Refused};
use anyhow::{Result, ensure};

/// The smuggled request, which must not be served. It has the credential, which may be stolen.
const SMUGGLED: &str = "GET /admin HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: open sesame\r\n\r\n";

/// A head without `Host`, a body with `{}` for [`SMUGGLED`], and the outcome. The path is `/`, which is open.
const BODIES: &[(&str, &str, Want)] = &[
    // A valid request with a body.
    ("Content-Length: {length}", "{}", Open("/")),
    (
        "Transfer-Encoding: chunked",
        "{hex}\r\n{}\r\n0\r\n\r\n",
        Open("/"),
    ),
    // Two lengths.
    (
        "Content-Length: {length}\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n{}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "{hex}\r\n{}\r\n0\r\n\r\n",
        Refused,
    ),
    ("Content-Length: {length}\r\nContent-Length: 0", "{}", Refused),
    ("Content-Length: 0\r\nContent-Length: {length}", "{}", Refused),
    ("Content-Length: 0, {length}", "{}", Refused),
    ("Content-Length: {length}, {length}", "{}", Refused),
    // Invalid lengths.
    ("Content-Length: +{length}", "{}", Refused),
    ("Content-Length: -1", "{}", Refused),
    ("Content-Length: 0x{hex}", "{}", Refused),
    ("Content-Length: {length} 0", "{}", Refused),
    ("Content-Length: {length}.0", "{}", Refused),
    ("Content-Length: 18446744073709551616", "{}", Refused),
    ("Content-Length:", "{}", Refused),
    // Unknown codings, or `chunked` not in last place.
    ("Transfer-Encoding: xchunked", "{hex}\r\n{}\r\n0\r\n\r\n", Refused),
    ("Transfer-Encoding: identity", "{}", Refused),
    (
        "Transfer-Encoding: chunked, identity",
        "{hex}\r\n{}\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "Transfer-Encoding: identity, chunked",
        "{hex}\r\n{}\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "Transfer-Encoding: gzip, chunked",
        "{hex}\r\n{}\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "0\r\n\r\n{}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n{}",
        Refused,
    ),
    ("Transfer-Encoding: \u{b}chunked", "0\r\n\r\n{}", Refused),
    ("Transfer-Encoding: \"chunked\"", "0\r\n\r\n{}", Refused),
    ("Transfer-Encoding : chunked", "0\r\n\r\n{}", Refused),
    ("Transfer_Encoding: chunked", "0\r\n\r\n{}", Refused),
    ("Content_Length: {length}", "{}", Refused),
    (
        "Content-Length: {length}\r\nTransfer-Encoding:\r\n chunked",
        "0\r\n\r\n{}",
        Refused,
    ),
    (
        "X: y\nTransfer-Encoding: chunked\r\nContent-Length: {length}",
        "0\r\n\r\n{}",
        Refused,
    ),
    ("X: y\rTransfer-Encoding: chunked", "0\r\n\r\n{}", Open("/")),
];

/// Header lines of a request for `/admin`, and the outcome.
const LINES: &[(&str, Want)] = &[
    ("X: y", Asked("/admin")),
    // The content of a value is not a header.
    ("X: X-Api-Key: open sesame", Asked("/admin")),
    ("X: y%0d%0aX-Api-Key: open sesame", Asked("/admin")),
    ("X: y\\r\\nX-Api-Key: open sesame", Asked("/admin")),
    ("X: y\rX-Api-Key: open sesame", Asked("/admin")),
    ("X: y\0X-Api-Key: open sesame", Refused),
    ("X: y\0", Refused),
    ("X: y\u{b}", Refused),
    ("X: \u{7f}", Refused),
    // Continuation lines, the first of which continues `Connection`: they extend the value and do not begin a header.
    (" X-Api-Key: open sesame", Asked("/admin")),
    ("X: y\r\n X-Api-Key: open sesame", Asked("/admin")),
    ("X: y\r\n\tX-Api-Key: open sesame", Asked("/admin")),
    ("X: y\r\n \r\n X-Api-Key: open sesame", Asked("/admin")),
    // Names.
    ("X-Api-Key : open sesame", Refused),
    ("X-Api-Key\t: open sesame", Refused),
    ("X-Api-Key\0: open sesame", Refused),
    ("X-Api-Key", Refused),
    (": open sesame", Refused),
    ("X Api Key: open sesame", Refused),
    ("X_Api_Key: open sesame", Refused),
    ("X-Api_Key: open sesame", Refused),
    ("X.Api.Key: open sesame", Asked("/admin")),
    ("X--Api-Key: open sesame", Asked("/admin")),
    ("\u{ff38}-Api-Key: open sesame", Refused),
    ("(X-Api-Key): open sesame", Refused),
    // Upgrades to protocols that the edge does not support.
    (
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        Asked("/admin"),
    ),
    (
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        Asked("/admin"),
    ),
    ("Connection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/2.0", Denied),
    ("Host: plain.bar.com", Refused),
    ("Host : plain.bar.com", Refused),
];

/// The request line, and the outcome.
const STARTS: &[(&str, Want)] = &[
    // Envoy parses these as intended, and writes a new request line.
    ("GET  /admin HTTP/1.1", Asked("/admin")),
    ("GET\t/admin HTTP/1.1", Asked("/admin")),
    ("GET /admin HTTP/0.9", Asked("/admin")),
    ("GET /admin HTTP/2.0", Asked("/admin")),
    // Not HTTP/1.1 requests.
    ("GET /admin", Refused),
    ("GET /admin HTTP/1.10", Refused),
    ("GET /admin HTTP/01.1", Refused),
    ("GET /admin HTTP/1.1 HTTP/1.1", Refused),
    ("GET /admin http/1.1", Refused),
    ("GET /admin\u{b}HTTP/1.1", Refused),
    (" GET /admin HTTP/1.1", Refused),
    ("G\0ET /admin HTTP/1.1", Refused),
    ("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET /admin HTTP/1.1", Refused),
    ("PRI * HTTP/2.0", Refused),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_body_cannot_smuggle_a_request() -> Result<()> {
    let cases = HOSTS.iter().flat_map(|host| {
        let smuggled = SMUGGLED.replace("{host}", host);
        let length = smuggled.len();
        BODIES.iter().map(move |(lines, body, want)| {
            let fill = |text: &str| {
                let text = text.replace("{length}", &length.to_string());
                text.replace("{hex}", &format!("{length:x}"))
                    .replace("{}", &smuggled)
            };
            // A connection that is kept might carry a second answer.
            let message = match want {
                Open(_) => Message::Stream,
                _ => Message::Bytes,
            };
            let head = format!(
                "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{}",
                fill(lines)
            );
            Case {
                what: format!("{host} {lines:?} {body:?}"),
                control: get(host, "/admin", ""),
                attack: message(format!("{head}\r\n\r\n{}", fill(body)).into_bytes()),
                credential: KEY,
                want: *want,
            }
        })
    });
    Site::start().await?.holds(&cases.collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_value_cannot_smuggle_a_header() -> Result<()> {
    let cases = HOSTS.iter().flat_map(|host| {
        LINES.iter().map(move |(line, want)| Case {
            what: format!("{host} {line:?}"),
            control: get(host, "/admin", ""),
            attack: get(host, "/admin", &format!("{line}\r\n")),
            credential: KEY,
            want: *want,
        })
    });
    Site::start().await?.holds(&cases.collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_request_line_is_rejected() -> Result<()> {
    let cases = STARTS.iter().flat_map(|(start, want)| {
        HOSTS.map(|host| {
            let text = format!("{start}\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            Case {
                what: format!("{host} {start:?}"),
                control: get(host, "/admin", ""),
                attack: Message::Bytes(text.into_bytes()),
                credential: KEY,
                want: *want,
            }
        })
    });
    Site::start().await?.holds(&cases.collect::<Vec<_>>()).await
}

/// A request without the credential on a connection that was let in before is rejected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_on_a_connection_is_authenticated() -> Result<()> {
    let site = Site::start().await?;
    let Credential(name, value) = KEY;
    let key = format!("{name}: {value}\r\n");
    for host in HOSTS {
        for then in ["", "X-Api-Key: x\r\n", "Cookie: a=1\r\nCookie: a=1\r\n"] {
            let request = |lines: &str| format!("GET /admin HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
            let both = request(&key) + &request(&format!("Connection: close\r\n{then}"));
            let before = site.vault.requests();
            let reply = site.ask(&Message::Stream(both.into_bytes())).await?;
            let is_second_refused = reply.body.contains("HTTP/1.1 401");
            ensure!(
                reply.status == Some(200) && reply.count() == 2 && is_second_refused,
                "{reply:?}"
            );
            ensure!(site.vault.requests() == before + 1, "{reply:?}");
        }
    }
    Ok(())
}
