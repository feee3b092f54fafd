//! Requests that end elsewhere to the edge than to the upstream, and headers that hold more than one.

use super::{Case, Credential, HOSTS, KEY, Message, Site, Want, get};
use Want::{Asked, Denied, Open, Refused};
use anyhow::{Result, ensure};

/// What would be served if anybody took it for a request of its own. With the credential, for it may be stolen.
const SMUGGLED: &str = "GET /admin HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: open sesame\r\n\r\n";

/// A head, `{}` where `Host` is, and a body, where `{}` is [`SMUGGLED`]: to `/`, which is open.
const BODIES: &[(&str, &str, Want)] = &[
    // It is one request, with a body.
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
    // Lengths that are none.
    ("Content-Length: +{length}", "{}", Refused),
    ("Content-Length: -1", "{}", Refused),
    ("Content-Length: 0x{hex}", "{}", Refused),
    ("Content-Length: {length} 0", "{}", Refused),
    ("Content-Length: {length}.0", "{}", Refused),
    ("Content-Length: 18446744073709551616", "{}", Refused),
    ("Content-Length:", "{}", Refused),
    // Codings that are none, or not the last.
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

/// Lines of a head, and what becomes of a request for `/admin` that has them.
const LINES: &[(&str, Want)] = &[
    ("X: y", Asked("/admin")),
    // What is in a value is no header.
    ("X: X-Api-Key: open sesame", Asked("/admin")),
    ("X: y%0d%0aX-Api-Key: open sesame", Asked("/admin")),
    ("X: y\\r\\nX-Api-Key: open sesame", Asked("/admin")),
    ("X: y\rX-Api-Key: open sesame", Asked("/admin")),
    ("X: y\0X-Api-Key: open sesame", Refused),
    ("X: y\0", Refused),
    ("X: y\u{b}", Refused),
    ("X: \u{7f}", Refused),
    // Continued lines, the first of them of `Connection`: the value goes on, and no header begins.
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
    // Other protocols, which the edge does not speak on.
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

/// The first line, and what becomes of it.
const STARTS: &[(&str, Want)] = &[
    // Envoy reads it as it is meant, and writes it anew.
    ("GET  /admin HTTP/1.1", Asked("/admin")),
    ("GET\t/admin HTTP/1.1", Asked("/admin")),
    ("GET /admin HTTP/0.9", Asked("/admin")),
    ("GET /admin HTTP/2.0", Asked("/admin")),
    // It is no request of HTTP/1.1.
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
async fn a_request_ends_where_it_ends_to_all() -> Result<()> {
    let cases = HOSTS.iter().flat_map(|host| {
        let smuggled = SMUGGLED.replace("{host}", host);
        let length = smuggled.len();
        BODIES.iter().map(move |(lines, body, want)| {
            let fill = |text: &str| {
                let text = text.replace("{length}", &length.to_string());
                text.replace("{hex}", &format!("{length:x}"))
                    .replace("{}", &smuggled)
            };
            // Whoever gets an answer might get another.
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
async fn a_header_is_one_header_to_all() -> Result<()> {
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
async fn what_is_no_request_is_refused() -> Result<()> {
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

/// Whoever was let in is asked again, on the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_let_in_for_itself_alone() -> Result<()> {
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
