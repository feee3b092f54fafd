//! Attacks on real Envoy, with the real control and the real filter.
//!
//! A table has a line for each attempt. Every line is tested in the same way:
//!
//! 1. The request without the trick and with the credential is served by `vault`. This shows that the test can fail.
//! 2. The same request without the credential is rejected. This shows that the policy is in force.
//! 3. The request with the trick and without the credential has the outcome in the table, and `vault` receives not a
//!    byte of it.
//! 4. If the trick is only another spelling of the request, it is served with the credential; if it is not a valid
//!    request, it is rejected with the credential as well.
//! 5. In the end, no upstream has received more requests than these.

mod addresses;
mod book;
mod credentials;
mod delegates;
mod framing;
mod grpc;
mod hosts;
mod http2;
mod identity;
mod internal;
mod order;
mod paths;
mod secrets;
mod tls;
mod tokens;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::borrow::Cow;
use switchyard_tests::{
    echo::Echo,
    frames,
    manifests::{ingress_route, object, service},
    raw::{self, Reply},
    tls::Authority,
    wait::until,
    world::{Builder, Source, World},
};

/// The hosts with `/admin` routed to `vault` behind an API key, and everything else to `web` without policies: by a
/// plain route, at a switch, and in a switch's branch.
const HOSTS: [&str; 3] = ["plain.bar.com", "switched.bar.com", "nested.bar.com"];
/// The hosts that are routed to `vault` as a whole, behind an API key.
const LOCKED: [&str; 2] = ["locked.bar.com", "locked-switched.bar.com"];
/// The credential for these hosts.
const KEY: Credential = Credential("X-Api-Key", Cow::Borrowed("open sesame"));

/// A header with a credential.
#[derive(Clone)]
struct Credential(&'static str, Cow<'static, str>);

/// An attempt.
struct Case {
    /// A description for error messages.
    what: String,
    /// The regular request, without the credential.
    control: Message,
    attack: Message,
    credential: Credential,
    want: Want,
}

#[derive(Clone)]
enum Message {
    /// An HTTP/1.1 request.
    Bytes(Vec<u8>),
    /// An HTTP/1.1 request, whose reply extends until the connection is closed.
    Stream(Vec<u8>),
    /// An HTTP/2 request.
    Frames(frames::Request),
    /// A request on a TLS connection for the given host, whatever host the request itself is for.
    Over(&'static str, Box<Self>),
}

/// The expected outcome of an attempt. In each case, `vault` receives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// An invalid request, with or without the credential: 4xx, 501, or the connection is closed.
    Refused,
    /// A valid spelling of the request: 401 or 403, and served as this path with the credential.
    Asked(&'static str),
    /// A wrong or too large credential: 400, 401, 403 or 431, or the connection is closed.
    Denied,
    /// A redirect to this path.
    Told(&'static str),
    /// A different request without policies: served by `web`, as this path.
    Open(&'static str),
    /// A host or path that does not exist, or is not available on this connection: 404 or 421.
    Nowhere,
}

/// The site under attack.
struct Site {
    world: World,
    vault: Echo,
    web: Echo,
    /// The CA of the hosts' certificates. None for plain HTTP.
    authority: Option<Authority>,
}

// === impl Site ===

impl Site {
    async fn start() -> Result<Self> {
        Self::start_with(Ok).await
    }

    async fn start_with(more: impl FnOnce(Builder) -> Result<Builder>) -> Result<Self> {
        Self::start_on(None, hosts(), more).await
    }

    async fn start_on(
        authority: Option<Authority>,
        hosts: String,
        more: impl FnOnce(Builder) -> Result<Builder>,
    ) -> Result<Self> {
        let (vault, web) = (Echo::start("vault").await?, Echo::start("web").await?);
        let services =
            service("default", "vault", &[vault.address]) + &service("default", "web", &[web.address]);
        let builder = Builder::new(Source::Directory)?
            .manifest("services.yaml", &services)?
            .manifest("keys.yaml", &secret("keys", &json!({"alice": KEY.1})))?
            .manifest("hosts.yaml", &hosts)?;
        let site = Self {
            world: more(builder)?.start().await?,
            vault,
            web,
            authority,
        };
        for host in HOSTS {
            site.answers(host, "/", 200).await?;
            site.answers(host, "/admin", 401).await?;
        }
        site.guards(&LOCKED).await?;
        Ok(site)
    }

    /// Waits until the hosts require credentials.
    async fn guards(&self, hosts: &[&str]) -> Result<()> {
        for host in hosts {
            self.answers(host, "/", 401).await?;
        }
        Ok(())
    }

    /// Waits until a GET request is answered with this status.
    async fn answers(&self, host: &str, path: &str, status: u16) -> Result<()> {
        until(&format!("{host}{path} answers {status}"), async || {
            let reply = self.ask(&get(host, path, "")).await?;
            ensure!(reply.status == Some(status), "{reply:?}");
            Ok(())
        })
        .await
    }

    /// Tests all attempts, and checks the number of requests to the upstreams.
    async fn holds(&self, cases: &[Case]) -> Result<()> {
        let before = self.requests();
        let mut wrong = Vec::new();
        for case in cases {
            if let Err(error) = self.withstands(case).await {
                wrong.push(format!("{}: {error:#}", case.what));
            }
        }
        wrong.extend(self.refuses(cases).await?);
        ensure!(!cases.is_empty(), "no cases");
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        let count = |is_it: fn(Want) -> bool| cases.iter().filter(|case| is_it(case.want)).count();
        let served = cases.len() + count(|want| matches!(want, Want::Asked(_)));
        let open = count(|want| matches!(want, Want::Open(_)));
        let want = [before[0] + served, before[1] + open];
        ensure!(
            self.requests() == want,
            "{:?} requests, not {want:?}",
            self.requests()
        );
        Ok(())
    }

    /// The number of requests to `vault` and to `web`.
    fn requests(&self) -> [usize; 2] {
        [&self.vault, &self.web].map(Echo::requests)
    }

    async fn withstands(&self, case: &Case) -> Result<()> {
        let Case {
            what: _,
            control,
            attack,
            credential,
            want,
        } = case;
        self.serves(&control.with(credential)).await.context("control")?;
        let denied = self.is_kept_off(control).await?;
        let is_asked = matches!(denied.status, Some(401 | 403));
        ensure!(is_asked, "control without credential: {denied:?}");
        if *want == Want::Refused {
            return Ok(());
        }
        let (bytes, requests) = (self.web.received(), self.web.requests());
        let reply = self.is_kept_off(attack).await?;
        want.is(&reply)?;
        match want {
            Want::Open(_) => ensure!(self.web.requests() == requests + 1, "more than one request"),
            _ => ensure!(self.web.received() == bytes, "`web` saw it: {reply:?}"),
        }
        if let Want::Asked(path) = want {
            let seen = self
                .serves(&attack.with(credential))
                .await
                .context("with the credential")?;
            ensure!(seen == *path, "with the credential it is {seen}");
        }
        Ok(())
    }

    /// The failures among the attempts that must be rejected even with the credential. They run concurrently, because
    /// Envoy takes a second to close some of their connections.
    async fn refuses(&self, cases: &[Case]) -> Result<Vec<String>> {
        let received = || [&self.vault, &self.web].map(Echo::received);
        let before = received();
        let cases: Vec<_> = cases.iter().filter(|case| case.want == Want::Refused).collect();
        let mut wrong = Vec::new();
        for cases in cases.chunks(64) {
            let messages: Vec<_> = cases
                .iter()
                .map(|case| case.attack.with(&case.credential))
                .collect();
            let replies = try_join_all(messages.iter().map(|message| self.ask(message))).await?;
            for (case, reply) in cases.iter().zip(&replies) {
                let error = case.want.is(reply).err();
                wrong.extend(error.map(|error| format!("{}: {error:#}", case.what)));
            }
        }
        if wrong.is_empty() && received() != before {
            wrong.push("something that was refused came to an upstream all the same".to_owned());
        }
        Ok(wrong)
    }

    /// Checks that `vault` serves the message exactly once, and returns the path that it received.
    async fn serves(&self, message: &Message) -> Result<String> {
        let before = self.vault.requests();
        let reply = self.ask(message).await?;
        let count = self.vault.requests() - before;
        ensure!(
            reply.status == Some(200) && count == 1,
            "{count} requests, {reply:?}"
        );
        let seen = reply.seen()?;
        ensure!(seen.backend == "vault", "{seen:?}");
        Ok(seen.path)
    }

    /// Sends a message, and checks that `vault` receives nothing.
    async fn is_kept_off(&self, message: &Message) -> Result<Reply> {
        let before = self.vault.received();
        let reply = self.ask(message).await?;
        ensure!(
            self.vault.received() == before,
            "it came to the upstream: {reply:?}"
        );
        Ok(reply)
    }

    async fn ask(&self, message: &Message) -> Result<Reply> {
        if let Some(authority) = &self.authority {
            return tls::ask(authority, self.world.https(), message).await;
        }
        match message {
            Message::Bytes(bytes) => raw::ask(self.world.http(), bytes).await,
            Message::Stream(bytes) => raw::ask_until_closed(self.world.http(), bytes).await,
            Message::Frames(request) => frames::ask(self.world.http(), request).await,
            Message::Over(..) => bail!("there is no TLS"),
        }
    }
}

// === impl Want ===

impl Want {
    fn is(self, reply: &Reply) -> Result<()> {
        let status = reply.status;
        let is_it = match self {
            Self::Refused => status.is_none_or(|status| matches!(status, 400..=499 | 501)),
            Self::Asked(_) => matches!(status, Some(401 | 403)),
            Self::Denied => matches!(status, None | Some(400 | 401 | 403 | 431)),
            Self::Told(location) => status == Some(307) && reply.header("location").ends_with(location),
            Self::Open(path) => {
                let seen = reply.seen()?;
                status == Some(200) && seen.backend == "web" && seen.path == path
            }
            Self::Nowhere => matches!(status, Some(404 | 421)),
        };
        if !is_it {
            bail!("not {self:?}: {reply:?}");
        }
        Ok(())
    }
}

// === impl Message ===

impl Message {
    /// Adds a header.
    fn with(&self, Credential(name, value): &Credential) -> Self {
        let after_line = |bytes: &Vec<u8>| {
            let end = bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            let (line, rest) = bytes.split_at(end);
            [line, format!("{name}: {value}\r\n").as_bytes(), rest].concat()
        };
        match self {
            Self::Bytes(bytes) => Self::Bytes(after_line(bytes)),
            Self::Stream(bytes) => Self::Stream(after_line(bytes)),
            Self::Frames(request) => Self::Frames(request.clone().with(&[(&name.to_lowercase(), value)])),
            Self::Over(host, message) => {
                Self::Over(host, Box::new(message.with(&Credential(name, value.clone()))))
            }
        }
    }
}

/// A GET request with additional header lines.
fn get(host: &str, target: &str, lines: &str) -> Message {
    let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n");
    Message::Bytes(text.into_bytes())
}

fn secret(name: &str, data: &Value) -> String {
    object("v1", "Secret", name, json!({"stringData": data}))
}

/// The policy that requires [`KEY`].
fn guard() -> Value {
    json!([{"apiKey": {"secretName": "keys", "header": "x-api-key"}}])
}

fn to(service: &str, prefix: &str) -> Value {
    json!({"match": prefix, "services": [{"name": service, "port": 80}]})
}

fn delegate(branch: &str, prefix: &str) -> Value {
    json!({"match": prefix, "delegate": {"name": branch}})
}

/// Adds the policy that requires [`KEY`].
fn guarded(level: Value) -> Value {
    asking(level, guard())
}

/// Replaces members of an object; null removes one.
fn merged(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    if let Value::Object(object) = &mut object {
        object.retain(|_, value| !value.is_null());
    }
    object
}

fn asking(mut level: Value, auth: Value) -> Value {
    level["auth"] = auth;
    level
}

/// Two hosts that route to `vault` with these checks, by a plain route and below a switch. [`pair_of`] derives their
/// names from `name`.
fn pair(name: &str, auth: &Value) -> String {
    let [plain, switched] = pair_of(name);
    let host = |fqdn: &str| asking(json!({"fqdn": fqdn}), auth.clone());
    root(name, &host(&plain), &json!([to("vault", "/")]))
        + &root(
            &format!("{name}-switched"),
            &host(&switched),
            &json!([delegate("all", "/")]),
        )
}

fn pair_of(name: &str) -> [String; 2] {
    [format!("{name}.bar.com"), format!("{name}-switched.bar.com")]
}

fn root(name: &str, virtualhost: &Value, routes: &Value) -> String {
    ingress_route(name, &json!({"virtualhost": virtualhost, "routes": routes}))
}

fn branch(name: &str, routes: &Value) -> String {
    ingress_route(name, &json!({"routes": routes}))
}

fn hosts() -> String {
    let host = |fqdn: &str| json!({"fqdn": fqdn});
    let both = json!([to("web", "/"), guarded(to("vault", "/admin"))]);
    [
        root("plain", &host(HOSTS[0]), &both),
        root(
            "switched",
            &host(HOSTS[1]),
            &json!([delegate("rest", "/"), guarded(delegate("vaults", "/admin"))]),
        ),
        root("nested", &host(HOSTS[2]), &json!([delegate("both", "/")])),
        pair("locked", &guard()),
        branch("rest", &json!([to("web", "/")])),
        branch("vaults", &json!([to("vault", "/admin")])),
        branch("both", &both),
        branch("all", &json!([to("vault", "/")])),
    ]
    .concat()
}
