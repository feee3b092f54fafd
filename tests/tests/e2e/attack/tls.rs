//! The same attacks over TLS, and connections for another host.

use super::{
    Case, Credential, HOSTS, KEY, LOCKED, Message, Site, Want, credentials, get, guard, hosts, http2,
    internal, pair_of, paths, root, to,
};
use anyhow::{Result, bail, ensure};
use serde_json::json;
use std::net::SocketAddr;
use switchyard_tests::{
    frames::{self, Request},
    manifests::tls_secret,
    raw::{self, Reply},
    tls::Authority,
};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A host that requires TLS 1.3.
const STRICT: &str = "strict.bar.com";
/// A host without TLS.
const BARE: &str = "bare.bar.com";

/// Sends a message on a connection for the host of the request, if that is a valid host.
pub(super) async fn ask(authority: &Authority, server: SocketAddr, message: &Message) -> Result<Reply> {
    match message {
        Message::Over(host, message) => ask_as(authority, server, host, message).await,
        message => ask_as(authority, server, &host_of(message), message).await,
    }
}

async fn ask_as(authority: &Authority, server: SocketAddr, host: &str, message: &Message) -> Result<Reply> {
    let open = async |alpn: &str| -> Result<TlsStream<TcpStream>> {
        authority.connect_for(server, host, &[alpn]).await
    };
    match message {
        Message::Bytes(bytes) => raw::ask_over(open("http/1.1").await?, bytes).await,
        Message::Stream(bytes) => raw::ask_over_until_closed(open("http/1.1").await?, bytes).await,
        Message::Frames(request) => frames::ask_over(open("h2").await?, request).await,
        Message::Over(..) => bail!("one connection within another"),
    }
}

/// The host that a browser would connect to.
fn host_of(message: &Message) -> String {
    let named = match message {
        Message::Bytes(bytes) | Message::Stream(bytes) => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let lines = text.lines().filter_map(|line| line.strip_prefix("Host: "));
            lines.map(str::to_owned).collect()
        }
        Message::Frames(Request { fields, .. }) => {
            let hosts = fields
                .iter()
                .filter(|(name, _)| name == b":authority" || name == b"host");
            hosts
                .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                .collect()
        }
        Message::Over(host, _) => vec![(*host).to_owned()],
    };
    let is_host = |name: &String| {
        let label = name.strip_suffix(".bar.com").unwrap_or_default();
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let known = named.into_iter().find(is_host);
    known.unwrap_or_else(|| HOSTS[0].to_owned())
}

/// Adds a certificate to every virtualhost.
fn secured(manifests: &str) -> String {
    manifests.replace(r#""fqdn":"#, r#""tls": {"secretName": "edge"}, "fqdn":"#)
}

async fn start(more: &str) -> Result<Site> {
    let authority = Authority::new()?;
    let edge = tls_secret("default", "edge", &authority.issue("*.bar.com")?);
    Site::start_on(Some(authority), secured(&hosts()), |builder| {
        builder.manifest("edge.yaml", &edge)?.manifest("more.yaml", more)
    })
    .await
}

/// Swaps `http` and `https` in the schemes of HTTP/2 requests.
fn over_tls(case: Case) -> Case {
    let secure = |message| match message {
        Message::Frames(mut request) => {
            for (name, value) in &mut request.fields {
                if name == b":scheme" && (value == b"http" || value == b"https") {
                    *value = if value == b"http" {
                        b"https".to_vec()
                    } else {
                        b"http".to_vec()
                    };
                }
            }
            Message::Frames(request)
        }
        message => message,
    };
    Case {
        control: secure(case.control),
        attack: secure(case.attack),
        ..case
    }
}

/// A part of the tables, because each connection costs a handshake: one host of each pair, and each header in one way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_over_tls_are_rejected() -> Result<()> {
    let site = start(&secured(&credentials::manifests())).await?;
    for name in ["basic", "keyed", "either"] {
        let hosts = pair_of(name);
        site.guards(&hosts.each_ref().map(String::as_str)).await?;
    }
    let cases = paths::cases(HOSTS[2])
        .chain(credentials::cases().step_by(2))
        .chain(internal::cases(HOSTS[1]).step_by(7))
        .chain(http2::cases());
    let cases: Vec<_> = cases.map(over_tls).collect();
    ensure!(cases.len() > 200, "{}", cases.len());
    site.holds(&cases).await
}

/// GET requests in both versions of HTTP, on a connection for another host.
fn over(connected: &'static str, host: &str) -> [Message; 2] {
    let fields = frames::fields(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", host),
        (":path", "/"),
    ]);
    let request = Request {
        fields,
        ..Request::default()
    };
    [get(host, "/", ""), Message::Frames(request)].map(|message| Message::Over(connected, Box::new(message)))
}

/// The host of the request and its policies count. A host with stricter TLS settings than the connection's answers 421.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_connection_for_one_host_does_not_open_another() -> Result<()> {
    let strict = json!({"secretName": "edge", "minimumProtocolVersion": "1.3"});
    let host = |name: &str, virtualhost| root(name, &virtualhost, &json!([to("vault", "/")]));
    let manifests = host("strict", json!({"fqdn": STRICT, "tls": strict, "auth": guard()}))
        + &host("bare", json!({"fqdn": BARE, "auth": guard()}));
    let site = start(&manifests).await?;
    site.guards(&[STRICT]).await?;
    let mut cases = Vec::new();
    for (connected, host, want) in [
        (HOSTS[0], LOCKED[0], Want::Asked("/")),
        (HOSTS[2], LOCKED[1], Want::Asked("/")),
        (LOCKED[0], LOCKED[1], Want::Asked("/")),
        (LOCKED[0], HOSTS[0], Want::Open("/")),
        (LOCKED[1], HOSTS[1], Want::Open("/")),
        (HOSTS[0], "LOCKED.bar.com", Want::Asked("/")),
        (HOSTS[0], "locked.bar.com.:443", Want::Asked("/")),
        (HOSTS[0], STRICT, Want::Nowhere),
        (LOCKED[0], STRICT, Want::Nowhere),
        (STRICT, LOCKED[0], Want::Nowhere),
        (STRICT, HOSTS[0], Want::Nowhere),
        (HOSTS[0], BARE, Want::Nowhere),
        (STRICT, BARE, Want::Nowhere),
        (STRICT, "nowhere.bar.com", Want::Nowhere),
    ] {
        cases.extend(over(connected, host).map(|attack| Case {
            what: format!("{host} over a connection for {connected}"),
            control: get(LOCKED[0], "/", ""),
            attack,
            credential: KEY,
            want,
        }));
    }
    site.holds(&cases).await?;
    // For hosts that do not exist, the credential makes no difference.
    let Credential(name, value) = KEY;
    for case in cases.iter().filter(|case| case.want == Want::Nowhere) {
        let reply = site
            .is_kept_off(&case.attack.with(&Credential(name, value.clone())))
            .await?;
        ensure!(reply.status == Some(421), "{}: {reply:?}", case.what);
    }
    // Over plain HTTP, such a host redirects to HTTPS.
    for host in [LOCKED[0], LOCKED[1], STRICT] {
        let (vault, web) = (site.vault.received(), site.web.received());
        let answer = site.world.get(host, "/").await?;
        ensure!(answer.status == 301, "{host}: {answer:?}");
        ensure!(
            (site.vault.received(), site.web.received()) == (vault, web),
            "{host}"
        );
    }
    Ok(())
}
