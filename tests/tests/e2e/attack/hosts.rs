//! Hosts that the edge may read differently from the client, and targets that include a host.

use super::{Case, KEY, LOCKED, Message, Site, Want, get};
use Want::{Asked, Nowhere, Open, Refused};
use anyhow::Result;

/// The requested host, where `{}` is a protected one, and the outcome.
const NAMES: &[(&str, Want)] = &[
    ("{}", Asked("/")),
    (" {} ", Asked("/")),
    ("\t{}\t", Asked("/")),
    ("LOCKED-UPPER", Asked("/")),
    // Dots and ports.
    ("{}.", Asked("/")),
    ("{}:80", Asked("/")),
    ("{}:1", Asked("/")),
    ("{}:", Asked("/")),
    ("{}.:80", Asked("/")),
    ("{}..", Nowhere),
    (".{}", Nowhere),
    ("x.{}", Nowhere),
    ("{}:80:80", Nowhere),
    ("{}:80.", Asked("/")),
    ("{}:x", Asked("/")),
    // Names that are not hosts.
    ("", Nowhere),
    ("*", Nowhere),
    ("127.0.0.1", Nowhere),
    ("[::1]", Nowhere),
    ("plain.bar.com@{}", Refused),
    ("{}@plain.bar.com", Refused),
    ("{}/", Refused),
    ("{}/plain.bar.com", Refused),
    ("{}#plain.bar.com", Refused),
    ("{}?plain.bar.com", Refused),
    ("{},plain.bar.com", Refused),
    ("{} plain.bar.com", Refused),
    ("{}%00", Nowhere),
    ("{}\0", Refused),
    ("{}\\", Refused),
    ("locked%2ebar.com", Nowhere),
    ("locked\u{3002}bar.com", Refused),
];

/// The start of a request, where `{}` is a protected host, and the outcome.
const TARGETS: &[(&str, Want)] = &[
    ("GET http://{}/ HTTP/1.1\r\nHost: {}", Asked("/")),
    // The host in the target takes precedence.
    ("GET http://{}/ HTTP/1.1\r\nHost: plain.bar.com", Asked("/")),
    ("GET http://{}/x HTTP/1.1\r\nHost: nowhere", Asked("/x")),
    ("GET http://{} HTTP/1.1\r\nHost: plain.bar.com", Asked("/")),
    ("GET http://{}:80/ HTTP/1.1\r\nHost: plain.bar.com", Asked("/")),
    ("GET http://{}./ HTTP/1.1\r\nHost: plain.bar.com", Asked("/")),
    (
        "GET http://{}/%2e%2e/ HTTP/1.1\r\nHost: plain.bar.com",
        Asked("/"),
    ),
    ("GET HTTP://{}/ HTTP/1.1\r\nHost: plain.bar.com", Asked("/")),
    ("GET https://{}/ HTTP/1.1\r\nHost: plain.bar.com", Refused),
    ("GET http://plain.bar.com/ HTTP/1.1\r\nHost: {}", Open("/")),
    ("GET http://plain.bar.com/../x HTTP/1.1\r\nHost: {}", Open("/x")),
    ("GET http://nowhere/ HTTP/1.1\r\nHost: {}", Nowhere),
    (
        "GET http://plain.bar.com/ HTTP/1.1\r\nHost: plain.bar.com\r\nX-Forwarded-Host: {}",
        Open("/"),
    ),
    (
        "GET / HTTP/1.1\r\nHost: plain.bar.com\r\nX-Forwarded-Host: {}\r\nX-Host: {}",
        Open("/"),
    ),
    (
        "GET / HTTP/1.1\r\nHost: {}\r\nX-Forwarded-Host: plain.bar.com\r\nForwarded: host=plain.bar.com",
        Asked("/"),
    ),
    (
        "GET / HTTP/1.1\r\nHost: {}\r\nX-Original-Host: plain.bar.com\r\nX-Original-URL: /x",
        Asked("/"),
    ),
    // Invalid targets.
    ("GET http://x@{}/ HTTP/1.1\r\nHost: plain.bar.com", Asked("/")),
    (
        "GET http://{}@plain.bar.com/ HTTP/1.1\r\nHost: plain.bar.com",
        Open("/"),
    ),
    (
        "GET http://{}#@plain.bar.com/ HTTP/1.1\r\nHost: plain.bar.com",
        Refused,
    ),
    ("GET http:{}/ HTTP/1.1\r\nHost: plain.bar.com", Refused),
    ("GET http:/{}/ HTTP/1.1\r\nHost: plain.bar.com", Refused),
    ("GET http:///{}/ HTTP/1.1\r\nHost: plain.bar.com", Refused),
    ("GET ftp://{}/ HTTP/1.1\r\nHost: plain.bar.com", Refused),
    ("GET file:///{}/ HTTP/1.1\r\nHost: plain.bar.com", Refused),
    ("GET //{}/ HTTP/1.1\r\nHost: nowhere", Nowhere),
    ("GET {}/ HTTP/1.1\r\nHost: {}", Refused),
    ("OPTIONS * HTTP/1.1\r\nHost: {}", Refused),
    ("CONNECT {}:80 HTTP/1.1\r\nHost: {}", Refused),
    ("CONNECT {}:80 HTTP/1.1\r\nHost: plain.bar.com", Refused),
    ("CONNECT / HTTP/1.1\r\nHost: {}", Refused),
    // Requests without a host.
    ("GET / HTTP/1.1", Refused),
    ("GET / HTTP/1.0", Refused),
    ("GET / HTTP/1.0\r\nHost: {}", Asked("/")),
    ("GET http://{}/ HTTP/1.0", Asked("/")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_spellings_do_not_bypass_auth() -> Result<()> {
    let cases = NAMES.iter().flat_map(|(name, want)| {
        LOCKED.map(|locked| {
            let name = match *name {
                "LOCKED-UPPER" => locked.to_uppercase(),
                name => name.replace("{}", locked),
            };
            Case {
                what: format!("{name:?}"),
                control: get(locked, "/", ""),
                attack: get(&name, "/", ""),
                credential: KEY,
                want: *want,
            }
        })
    });
    Site::start().await?.holds(&cases.collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_target_host_overrides_host_header() -> Result<()> {
    let cases = TARGETS.iter().flat_map(|(start, want)| {
        LOCKED.map(|locked| {
            let start = start.replace("{}", locked);
            Case {
                what: format!("{start:?}"),
                control: get(locked, "/", ""),
                attack: Message::Bytes(format!("{start}\r\nConnection: close\r\n\r\n").into_bytes()),
                credential: KEY,
                want: *want,
            }
        })
    });
    Site::start().await?.holds(&cases.collect::<Vec<_>>()).await
}
