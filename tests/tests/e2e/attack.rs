//! What an attacker would try, on real Envoy, with the real control and the real filter.
//!
//! A table has a line for each attempt. What is done with a line is the same for all of them:
//!
//! 1. the request without the trick, and with the credential, is served by `vault`: so the test can fail;
//! 2. the same without the credential is not: so what is tried against is there;
//! 3. the request with the trick, and without the credential, has the outcome that the line says, and not a byte of it
//!    comes to `vault`;
//! 4. where the trick is but another spelling of what is asked for, it is served to whoever has the credential; where it is no
//!    request, it is refused to them, too;
//! 5. in the end, no upstream has got more requests than that.

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

/// `/admin` of each is `vault`'s, and asks for a key; all else is `web`'s, and open. By a plain route, at a switch, and in
/// the branch of one.
const HOSTS: [&str; 3] = ["plain.bar.com", "switched.bar.com", "nested.bar.com"];
/// All of each is `vault`'s, and asks for a key.
const LOCKED: [&str; 2] = ["locked.bar.com", "locked-switched.bar.com"];
/// What lets in there.
const KEY: Credential = Credential("X-Api-Key", Cow::Borrowed("open sesame"));

/// A header.
#[derive(Clone)]
struct Credential(&'static str, Cow<'static, str>);

/// An attempt.
struct Case {
    /// For whoever reads that it went wrong.
    what: String,
    /// The request as whoever may would send it, but for the credential.
    control: Message,
    attack: Message,
    credential: Credential,
    want: Want,
}

#[derive(Clone)]
enum Message {
    /// Of HTTP/1.1.
    Bytes(Vec<u8>),
    /// The same, with all that comes back until the connection is closed.
    Stream(Vec<u8>),
    /// Of HTTP/2.
    Frames(frames::Request),
    /// On a TLS connection that was made for that host, whichever the request is for.
    Over(&'static str, Box<Self>),
}

/// What becomes of an attempt. It never comes to `vault`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// It is no request, with or without the credential: 4xx, 501, or the connection is closed.
    Refused,
    /// It is the request: 401 or 403, and served as this path to whoever has the credential.
    Asked(&'static str),
    /// It brings what is not right, or too much: 400, 401, 403 or 431, or it is broken off.
    Denied,
    /// Browsers are told to ask for this path in its stead.
    Told(&'static str),
    /// It is another request, which nobody guards: `web` serves it, as this path.
    Open(&'static str),
    /// It is for a host, or on a path, that there is not, or not on this connection: 404 or 421.
    Nowhere,
}

/// What is attacked.
struct Site {
    world: World,
    vault: Echo,
    web: Echo,
    /// Vouches for its hosts. None: they are asked in plain HTTP.
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

    /// Waits until hosts ask for credentials.
    async fn guards(&self, hosts: &[&str]) -> Result<()> {
        for host in hosts {
            self.answers(host, "/", 401).await?;
        }
        Ok(())
    }

    /// Waits until a GET is answered with this status.
    async fn answers(&self, host: &str, path: &str, status: u16) -> Result<()> {
        until(&format!("{host}{path} answers {status}"), async || {
            let reply = self.ask(&get(host, path, "")).await?;
            ensure!(reply.status == Some(status), "{reply:?}");
            Ok(())
        })
        .await
    }

    /// Whether all attempts come to what they should.
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

    /// Of `vault` and of `web`.
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

    /// What is wrong with those attempts that are to be refused, whoever makes them: all at once, for Envoy takes a second to
    /// close some of their connections.
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

    /// The path by which `vault` serves it, once.
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

    /// Nothing of it comes to `vault`.
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
    /// With a header more.
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

/// A GET, with these lines in its head.
fn get(host: &str, target: &str, lines: &str) -> Message {
    let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n");
    Message::Bytes(text.into_bytes())
}

fn secret(name: &str, data: &Value) -> String {
    object("v1", "Secret", name, json!({"stringData": data}))
}

/// What asks for [`KEY`].
fn guard() -> Value {
    json!([{"apiKey": {"secretName": "keys", "header": "x-api-key"}}])
}

fn to(service: &str, prefix: &str) -> Value {
    json!({"match": prefix, "services": [{"name": service, "port": 80}]})
}

fn delegate(branch: &str, prefix: &str) -> Value {
    json!({"match": prefix, "delegate": {"name": branch}})
}

/// With what asks for [`KEY`].
fn guarded(level: Value) -> Value {
    asking(level, guard())
}

/// With other members: null takes one away.
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

/// Two hosts that are all `vault`'s and ask for this, by a plain route and below a switch. They are called after `name`, as
/// [`pair_of`] says.
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
