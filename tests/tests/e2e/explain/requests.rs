//! Random requests, sent byte for byte, and their outcomes.

use super::{
    dice::Dice,
    manifests::{COOKIE, HOSTS, KEY, KEY_HEADER, KEY_PARAMETER, METER_HEADER, NAMESPACES, ORIGIN, PREVIEW},
    tokens::Tokens,
};
use anyhow::{Context, Result};
use std::{collections::BTreeMap, net::SocketAddr};
use switchyard_policy::session;
use switchyard_tests::{client::Seen, gatekeeper::OVER, tls::Authority, wait::PATIENCE};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The segments of plain paths, and of paths that disguise themselves as others.
const PLAIN: [&str; 5] = ["x", "x", "y", "z", "xy"];
const SPELLINGS: [&str; 21] = [
    "x", "y", "", "", ".", "..", "..;a=b", ".;a", "%2e%2e", "%2E.", "%78", "X", "x;a", "a%20b", "..%3b",
    "%2f", "%5C..", "\\", "a\"<>", "%zz", "v1",
];

/// The listeners of Envoy.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
}

/// alice:wonderland
const ALICE: &str = "Basic YWxpY2U6d29uZGVybGFuZA==";
/// The credential that authorization services accept.
const YES: &str = "yes staff";
/// The headers that make upstreams fail each request, and return a header.
pub(super) const FAILURE: (&str, &str) = ("echo-status", "503");
pub(super) const SAID: &str = "echo-header";

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) https: bool,
    /// The host without a port.
    pub(super) host: String,
    pub(super) authority: String,
    pub(super) target: String,
    pub(super) method: &'static str,
    pub(super) headers: Vec<(String, String)>,
}

/// The client's view of the outcome.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The connection was refused, or closed without an answer.
    Closed,
    Answer(Box<Answer>),
}

/// A response.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The headers by name in lower case.
    pub(super) headers: BTreeMap<String, String>,
    /// The request as a backend received it, if one did.
    pub(super) seen: Option<Seen>,
}

// === impl Asked ===

impl Asked {
    pub(super) fn any(dice: &mut Dice, tokens: &Tokens) -> Self {
        let host = if dice.one_in(20) {
            "five.com"
        } else {
            dice.pick(&HOSTS)
        };
        let authority = match dice.below(12) {
            0 => format!("{host}:8080"),
            1 => host.to_ascii_uppercase(),
            2 => format!("{host}."),
            3 => format!("{host}:80"),
            _ => host.to_owned(),
        };
        let method = dice.pick(&["GET", "GET", "GET", "POST", "OPTIONS"]);
        let mut headers = Vec::new();
        if dice.one_in(2) {
            headers.extend(credentials(dice, tokens));
        }
        if dice.one_in(3) {
            headers.push(meter(dice));
        }
        while !dice.one_in(3) {
            headers.push(header(dice, tokens));
        }
        if method == "OPTIONS" && !dice.one_in(4) {
            let origin = dice.pick(&[ORIGIN, "https://evil.example.com"]);
            headers.push(("origin".to_owned(), origin.to_owned()));
            headers.push(("access-control-request-method".to_owned(), "PUT".to_owned()));
        }
        if dice.one_in(12) {
            headers.push(("connection".to_owned(), "Upgrade".to_owned()));
            headers.push(("upgrade".to_owned(), "websocket".to_owned()));
        }
        Self {
            https: dice.one_in(8),
            host: host.to_owned(),
            authority,
            target: target(dice),
            method,
            headers,
        }
    }

    /// The first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(other, value)| (other == name).then_some(value.as_str()))
    }

    /// Returns true if authorization services let the request pass. Envoy joins several `authorization` headers.
    pub(super) fn is_let_through(&self) -> bool {
        let mut said = self.headers.iter().filter(|(name, _)| name == "authorization");
        said.next().is_some_and(|(_, value)| value.starts_with("yes "))
    }

    /// Returns true if rate limit services reject the request. They see all values of a header joined.
    pub(super) fn is_over(&self) -> bool {
        let said = self.headers.iter().filter(|(name, _)| name == METER_HEADER);
        said.map(|(_, value)| value.as_str()).eq([OVER])
    }

    fn is_upgrade(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == "connection")
    }

    /// The request as sent, with an ID to find it in the log.
    fn text(&self, id: &str) -> String {
        let Self {
            https: _,
            host: _,
            authority,
            target,
            method,
            headers,
        } = self;
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {authority}\r\nx-request-id: {id}\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.is_upgrade() {
            text.push_str("connection: close\r\n");
        }
        text + "\r\n"
    }

    /// Sends the request on a new connection.
    pub(super) async fn send(&self, ports: Ports, authority: &Authority, id: &str) -> Result<Outcome> {
        let Ports { http, https } = ports;
        let text = self.text(id);
        let exchanged = async {
            if !self.https {
                return exchange(TcpStream::connect(http).await?, &text).await;
            }
            match authority.connect(https, &self.host).await {
                Ok(stream) => exchange(stream, &text).await,
                Err(_) => Ok(Outcome::Closed),
            }
        };
        timeout(PATIENCE, exchanged).await.context("no answer")?
    }
}

fn target(dice: &mut Dice) -> String {
    let count = dice.below(5);
    let some = if dice.one_in(3) {
        &SPELLINGS[..]
    } else {
        &PLAIN[..]
    };
    let segments: Vec<_> = (0..count).map(|_| dice.pick(some)).collect();
    let mut target = format!("/{}", segments.join("/"));
    if dice.one_in(4) {
        target.push_str("?a=/../b%2f");
    }
    if dice.one_in(6) {
        let mark = if target.contains('?') { '&' } else { '?' };
        let key = if dice.one_in(3) { "wrong" } else { KEY };
        target.push_str(&format!("{mark}{KEY_PARAMETER}={key}&c=d"));
    }
    target
}

/// Credentials that some checks accept.
fn credentials(dice: &mut Dice, tokens: &Tokens) -> [(String, String); 2] {
    let authorization = match dice.below(4) {
        0 => ALICE.to_owned(),
        1 | 2 => YES.to_owned(),
        _ => format!("Bearer {}", dice.pick_of(&tokens.good)),
    };
    [
        (KEY_HEADER.to_owned(), KEY.to_owned()),
        ("authorization".to_owned(), authorization),
    ]
}

/// The header that rate limit services read.
fn meter(dice: &mut Dice) -> (String, String) {
    let said = dice.pick(&[OVER, "under"]);
    (METER_HEADER.to_owned(), said.to_owned())
}

fn header(dice: &mut Dice, tokens: &Tokens) -> (String, String) {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match dice.below(19) {
        0 | 1 => header(KEY_HEADER, KEY),
        2 => header(KEY_HEADER, "wrong"),
        3 | 4 => header("authorization", ALICE),
        // bob:wonderland, alice:looking-glass
        5 => {
            let credentials = [
                "Basic Ym9iOndvbmRlcmxhbmQ=",
                "Basic YWxpY2U6bG9va2luZy1nbGFzcw==",
                "Bearer a.b.c",
            ];
            header("authorization", dice.pick(&credentials[..]))
        }
        6 | 7 => header(PREVIEW.0, dice.pick(&[PREVIEW.1, PREVIEW.1, "no"])),
        8 | 9 => {
            let (namespace, number) = (dice.pick(&NAMESPACES), 1 + dice.below(4));
            let token = session::token(&format!("{namespace}/d{number}"));
            header("cookie", &format!("a=b; {COOKIE}={token}"))
        }
        10 => header(dice.pick(&["x-one", "x-two"]), "sent"),
        11 => {
            let bad = dice.pick_of(&tokens.bad);
            header("authorization", &format!("Bearer {bad}"))
        }
        12 | 13 => header(FAILURE.0, FAILURE.1),
        14 => header(
            SAID,
            &format!(
                "{}=said",
                dice.pick(&["x-one", "x-two", "access-control-allow-origin"])
            ),
        ),
        15 if dice.one_in(3) => header("x-forwarded-proto", dice.pick(&["https", "http", "ftp"])),
        15 => {
            let lines = [
                "10.1.2.3",
                "10.1.2.3",
                "192.0.2.1, 10.1.2.3",
                "10.1.2.3, 127.0.0.1",
                "unknown",
            ];
            header("x-forwarded-for", dice.pick(&lines[..]))
        }
        16 => header("origin", dice.pick(&[ORIGIN, "https://evil.example.com"])),
        17 => meter(dice),
        _ => header(
            dice.pick(&[
                "x-switchyard-route",
                "x-switchyard-cluster",
                "x-switchyard-user",
                "x_underscore",
            ]),
            "forward",
        ),
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Result<Outcome> {
    stream.write_all(request.as_bytes()).await.ok();
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes);
        if let Some(answer) = Answer::read(&text, read == 0)? {
            return Ok(Outcome::Answer(Box::new(answer)));
        }
        if read == 0 {
            return Ok(Outcome::Closed);
        }
    }
}

// === impl Answer ===

impl Answer {
    /// Parses a response; None if it is incomplete.
    fn read(text: &str, is_all: bool) -> Result<Option<Self>> {
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.context("no status")?.parse()?;
        let headers: BTreeMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .and_then(|length| length.parse::<usize>().ok());
        let is_whole = is_all || status == 101 || length.is_some_and(|length| body.len() >= length);
        let object = body
            .find('{')
            .zip(body.rfind('}'))
            .and_then(|(from, to)| body.get(from..=to));
        Ok(is_whole.then(|| Self {
            status,
            headers,
            seen: object.and_then(|object| serde_json::from_str(object).ok()),
        }))
    }

    /// The backend that answered; None if Envoy itself did.
    pub(super) fn backend(&self) -> Option<&str> {
        self.headers.get("x-echo-backend").map(String::as_str)
    }
}
