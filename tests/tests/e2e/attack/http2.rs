//! HTTP/2 header fields that no library would send.

use super::{Case, HOSTS, KEY, LOCKED, Message, Site, Want};
use Want::{Asked, Denied, Nowhere, Open, Refused};
use anyhow::Result;
use switchyard_tests::frames::{Request, fields};

type Field = (&'static str, &'static str);

const GET: Field = (":method", "GET");
const HTTP: Field = (":scheme", "http");
const ADMIN: Field = (":path", "/admin");
const ROOT: Field = (":path", "/");
const PLAIN: Field = (":authority", HOSTS[0]);
const NESTED: Field = (":authority", HOSTS[2]);
const GUARDED: Field = (":authority", LOCKED[0]);

/// The fields of a request, and the outcome.
const REQUESTS: &[(&[Field], Want)] = &[
    (&[GET, HTTP, PLAIN, ADMIN], Asked("/admin")),
    (&[ADMIN, PLAIN, HTTP, GET], Asked("/admin")),
    // Two hosts: `:authority` takes precedence.
    (&[GET, HTTP, GUARDED, ROOT, ("host", HOSTS[0])], Asked("/")),
    (&[GET, HTTP, PLAIN, ROOT, ("host", LOCKED[0])], Open("/")),
    (&[GET, HTTP, PLAIN, ADMIN, ("host", LOCKED[0])], Asked("/admin")),
    (&[GET, HTTP, ROOT, ("host", LOCKED[0])], Asked("/")),
    (
        &[GET, HTTP, ROOT, ("host", LOCKED[0]), ("host", HOSTS[0])],
        Refused,
    ),
    (
        &[GET, HTTP, ROOT, ("host", HOSTS[0]), ("host", LOCKED[0])],
        Refused,
    ),
    (&[GET, HTTP, GUARDED, PLAIN, ROOT], Refused),
    (&[GET, HTTP, PLAIN, GUARDED, ROOT], Refused),
    (
        &[GET, HTTP, (":authority", ""), ROOT, ("host", LOCKED[0])],
        Refused,
    ),
    (&[GET, HTTP, (":authority", "LOCKED.bar.com"), ROOT], Asked("/")),
    (&[GET, HTTP, (":authority", "locked.bar.com."), ROOT], Asked("/")),
    (
        &[GET, HTTP, (":authority", "locked.bar.com:80"), ROOT],
        Asked("/"),
    ),
    (&[GET, HTTP, (":authority", "x@locked.bar.com"), ROOT], Refused),
    (
        &[GET, HTTP, (":authority", "plain.bar.com, locked.bar.com"), ROOT],
        Refused,
    ),
    (&[GET, HTTP, (":authority", "locked.bar.com/"), ROOT], Refused),
    (
        &[GET, HTTP, (":authority", "locked.bar.com\r\nx: y"), ROOT],
        Refused,
    ),
    (&[GET, HTTP, (":authority", "locked.bar.com\0"), ROOT], Refused),
    (&[GET, HTTP, (":authority", "nowhere"), ROOT], Nowhere),
    (&[GET, HTTP, ROOT], Refused),
    // Paths.
    (&[GET, HTTP, PLAIN, (":path", "//admin")], Asked("/admin")),
    (&[GET, HTTP, PLAIN, (":path", "/x/..;/admin")], Asked("/admin")),
    (&[GET, HTTP, PLAIN, (":path", "/x/%2e%2e;/admin")], Refused),
    (
        &[GET, HTTP, NESTED, (":path", "/x/%2e%2e/admin")],
        Asked("/admin"),
    ),
    (&[GET, HTTP, PLAIN, (":path", "admin")], Refused),
    (&[GET, HTTP, PLAIN, (":path", "")], Refused),
    (&[GET, HTTP, PLAIN, (":path", "*")], Refused),
    (
        &[GET, HTTP, PLAIN, (":path", "http://plain.bar.com/admin")],
        Refused,
    ),
    (&[GET, HTTP, PLAIN, (":path", "http://locked.bar.com/")], Refused),
    (&[GET, HTTP, PLAIN, (":path", "/admin#/..")], Refused),
    (&[GET, HTTP, PLAIN, (":path", "/#/../admin")], Refused),
    (&[GET, HTTP, PLAIN, (":path", "/x /admin")], Refused),
    (
        &[GET, HTTP, PLAIN, (":path", "/x\r\nX-Api-Key: open sesame")],
        Refused,
    ),
    (&[GET, HTTP, PLAIN, (":path", "/admin HTTP/1.1\r\nx: y")], Refused),
    (&[GET, HTTP, PLAIN, (":path", "/admin\0")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, ROOT], Refused),
    (&[GET, HTTP, PLAIN, ROOT, ADMIN], Refused),
    (&[GET, HTTP, PLAIN], Refused),
    // Methods and schemes.
    (&[HTTP, PLAIN, ADMIN], Refused),
    (&[GET, GET, HTTP, PLAIN, ADMIN], Refused),
    (&[(":method", "GE T"), HTTP, PLAIN, ADMIN], Refused),
    (
        &[(":method", "GET /admin HTTP/1.1\r\n"), HTTP, PLAIN, ROOT],
        Refused,
    ),
    (&[(":method", ""), HTTP, PLAIN, ADMIN], Refused),
    (&[(":method", "get"), HTTP, PLAIN, ADMIN], Asked("/admin")),
    (&[(":method", "OPTIONS"), HTTP, PLAIN, (":path", "*")], Refused),
    (&[GET, PLAIN, ADMIN], Refused),
    (&[GET, HTTP, (":scheme", "https"), PLAIN, ADMIN], Refused),
    (&[GET, (":scheme", "https"), PLAIN, ADMIN], Asked("/admin")),
    (&[GET, (":scheme", "ftp"), PLAIN, ADMIN], Asked("/admin")),
    (
        &[GET, (":scheme", "http://locked.bar.com/"), PLAIN, ADMIN],
        Refused,
    ),
    (&[GET, (":scheme", ""), PLAIN, ADMIN], Refused),
    // Tunnels.
    (&[(":method", "CONNECT"), PLAIN], Refused),
    (&[(":method", "CONNECT"), HTTP, PLAIN, ADMIN], Refused),
    (
        &[
            (":method", "CONNECT"),
            HTTP,
            PLAIN,
            ADMIN,
            (":protocol", "websocket"),
        ],
        Refused,
    ),
    (&[GET, HTTP, PLAIN, ADMIN, (":protocol", "websocket")], Refused),
    // Invalid fields.
    (&[GET, HTTP, PLAIN, ADMIN, (":status", "200")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, (":x-api-key", "open sesame")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, ("X-Api-Key", "open sesame")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, ("x_api_key", "open sesame")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, ("x-api-key ", "open sesame")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, ("x-api-key:", "open sesame")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, ("", "open sesame")], Refused),
    (
        &[GET, HTTP, PLAIN, ADMIN, ("x", "y\r\nx-api-key: open sesame")],
        Refused,
    ),
    (
        &[GET, HTTP, PLAIN, ADMIN, ("x", "y\nx-api-key: open sesame")],
        Refused,
    ),
    (&[GET, HTTP, PLAIN, ADMIN, ("x", "y\0")], Refused),
    (&[GET, HTTP, PLAIN, ("x", "y"), ADMIN], Refused),
    // Connection-specific fields.
    (&[GET, HTTP, PLAIN, ADMIN, ("connection", "x-api-key")], Refused),
    (
        &[GET, HTTP, PLAIN, ADMIN, ("transfer-encoding", "chunked")],
        Refused,
    ),
    (&[GET, HTTP, PLAIN, ADMIN, ("upgrade", "websocket")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, ("proxy-connection", "close")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, ("te", "chunked")], Refused),
    (&[GET, HTTP, PLAIN, ADMIN, ("content-length", "5")], Refused),
    (
        &[
            GET,
            HTTP,
            PLAIN,
            ADMIN,
            ("content-length", "0"),
            ("content-length", "5"),
        ],
        Refused,
    ),
];

fn case(what: String, attack: Request, want: Want) -> Case {
    Case {
        what,
        control: Message::Frames(Request::get(HOSTS[0], "/admin")),
        attack: Message::Frames(attack),
        credential: KEY,
        want,
    }
}

pub(super) fn cases() -> impl Iterator<Item = Case> {
    REQUESTS.iter().map(|(texts, want)| {
        let attack = Request {
            fields: fields(texts),
            ..Request::default()
        };
        case(format!("{texts:?}"), attack, *want)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_http2_headers_do_not_bypass_auth() -> Result<()> {
    Site::start().await?.holds(&cases().collect::<Vec<_>>()).await
}

/// Trailers, none of which lets in.
const TRAILERS: &[(Field, Want)] = &[
    (("x-api-key", "open sesame"), Denied),
    (("authorization", "Bearer x"), Denied),
    (("x-switchyard-user", "alice"), Denied),
    (("host", "plain.bar.com"), Denied),
    ((":path", "/"), Denied),
    (("content-length", "1"), Denied),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_trailers_do_not_count_as_headers() -> Result<()> {
    let cases = TRAILERS.iter().map(|(trailer, want)| {
        let attack = Request {
            body: b"body".to_vec(),
            trailers: fields(&[*trailer]),
            ..Request::get(HOSTS[0], "/admin")
        };
        case(format!("{trailer:?}"), attack, *want)
    });
    Site::start().await?.holds(&cases.collect::<Vec<_>>()).await
}
