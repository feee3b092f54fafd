//! A delegate that tries to bypass its parent's policies, with every field of the schema.
//!
//! The parent requires an API key for `/team` and delegates it to the IngressRoute `team`, whose content is a line of a
//! table. At no time, including during the update, is anything served without the key: each request is rejected, and
//! the upstream receives nothing. Some contents are also tried below parents with other policies.

mod attempts;
mod parents;
mod policies;
mod schema;

use super::{Case, KEY, Message, Site, Want, branch, delegate, get, guarded, root, secret, to};
use anyhow::{Context, Result, ensure};
use attempts::{edits, other_objects, other_places, other_words, own_checks};
use parents::{Parent, Parents};
use policies::{own_limits, own_services, own_tokens};
use serde_json::{Value, json};
use switchyard_tests::{manifests::ingress_route, raw::Reply, wait::until};

use Entitled::{Denied, OutOfOrder, Served};
use Reach::{Below, Beside, Preflight};

const PARENT: &str = "parent.bar.com";

/// The outcome of a request for `/team/x` with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entitled {
    /// Served as this path.
    Served(&'static str),
    /// Rejected by the delegate's own policies.
    Denied,
    /// 503, or 404 if there is no route.
    OutOfOrder,
}

struct Attempt {
    what: &'static str,
    /// The spec of `team`.
    spec: Value,
    /// Additional objects.
    more: String,
    entitled: Entitled,
    /// The paths to request with the key.
    paths: &'static [&'static str],
}

/// The target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// A path delegated to `team`.
    Below,
    /// A CORS preflight for such a path, which a CORS policy answers.
    Preflight,
    /// A path that is not delegated.
    Beside,
}

/// A request without the key: its target, method, path and header lines.
type Trick = (Reach, &'static str, &'static str, &'static str);

const PAGE: &str = "Origin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n";
const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const NAMED: &str = "X-Switchyard-User: alice\r\nX-Switchyard-Auth: apiKey\r\n";

/// All requests that a delegate might try to open.
const TRICKS: &[Trick] = &[
    (Below, "GET", "/team", ""),
    (Below, "GET", "/team/", ""),
    (Below, "GET", "/team/x", ""),
    (Below, "GET", "/team/deep/x", ""),
    (Beside, "GET", "/TEAM/x", ""),
    (Below, "DELETE", "/team/x", ""),
    (Below, "POST", "/team/x", "Content-Length: 0\r\n"),
    (Below, "OPTIONS", "/team/x", ""),
    (Below, "OPTIONS", "/team/x", "Origin: https://evil.example\r\n"),
    (Preflight, "OPTIONS", "/team/x", PAGE),
    (Below, "GET", "/team/x", "X-Api-Key: own key\r\n"),
    (
        Below,
        "GET",
        "/team/x",
        "X-Api-Key: own key\r\nX-Own-Key: own key\r\n",
    ),
    (Below, "GET", "/team/x?key=own%20key", ""),
    (
        Below,
        "GET",
        "/team/x",
        "Authorization: Basic ZXZlOnNlY3JldA==\r\n",
    ),
    (Below, "GET", "/team/x", "X-Preview: yes\r\nCookie: branch=x\r\n"),
    (Below, "GET", "/team/x", NAMED),
    (Below, "GET", "/team/x", "X-Forwarded-For: 127.0.0.1\r\n"),
    (Below, "GET", "/team/x", UPGRADE),
    (Beside, "GET", "/", ""),
    (Beside, "GET", "/x", ""),
    (Beside, "GET", "/teams", ""),
    (Beside, "GET", "/admin", ""),
];

// === impl Reach ===

impl Reach {
    /// Checks the reply, which depends on the update being complete and on `team` being valid.
    fn is_refused(self, reply: &Reply, attempt: &Attempt, is_settled: bool) -> Result<()> {
        let is_by_parent = matches!(reply.status, Some(401 | 403));
        let is_down = matches!(reply.status, Some(404 | 503));
        let may_be_down = !is_settled || attempt.entitled == OutOfOrder;
        let is_it = match self {
            Below => is_by_parent || (is_down && may_be_down),
            Preflight => {
                let is_told = reply.status == Some(200) && reply.header("x-echo-backend").is_empty();
                let has_cors = attempt.has_cors() || !is_settled;
                is_by_parent || (is_told && has_cors) || (is_down && may_be_down)
            }
            Beside => reply.status == Some(200) && reply.header("x-echo-backend") == "web",
        };
        ensure!(is_it, "it is not refused");
        Ok(())
    }
}

// === impl Entitled ===

impl Entitled {
    fn is(self, reply: &Reply) -> bool {
        match self {
            Served(path) => reply
                .seen()
                .is_ok_and(|seen| seen.backend == "vault" && seen.path == path),
            Denied => matches!(reply.status, Some(401 | 403)),
            OutOfOrder => matches!(reply.status, Some(404 | 503)),
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// All objects of the attempt, and a host that appears once they have reached the proxy.
    fn manifests(&self, edition: &str) -> String {
        let Self { spec, more, .. } = self;
        let edition = root("edition", &json!({"fqdn": edition}), &json!([to("web", "/")]));
        ingress_route("team", spec) + more + &edition
    }

    /// Returns true if `team` has a CORS policy.
    fn has_cors(&self) -> bool {
        let routes = self.spec["routes"].as_array();
        routes.is_some_and(|routes| routes.iter().any(|route| !route["cors"].is_null()))
    }

    /// Applies the attempt, and checks that it has the expected outcome and opens nothing.
    async fn is_withstood(&self, site: &Site, others: &[Parent], number: usize) -> Result<()> {
        let edition = format!("edition-{number}.bar.com");
        site.world.write("team.yaml", &self.manifests(&edition))?;
        let mut leaks = Vec::new();
        let settled = until("it has come to what it should", async || {
            leaks.extend(self.leaks(site, false).await?);
            ensure!(
                site.world.get(&edition, "/").await?.backend() == "web",
                "it is not there yet"
            );
            self.is_settled(site).await?;
            // Workers apply an update one after the other.
            let late = self.leaks(site, true).await?;
            ensure!(late.is_empty(), "{}", late.join("\n"));
            Ok(())
        })
        .await;
        leaks.extend(self.leaks(site, false).await?);
        ensure!(leaks.is_empty(), "{}", leaks.join("\n"));
        settled?;
        for parent in others {
            let withstands = parent.withstands(site, self).await;
            withstands.with_context(|| parent.host.clone())?;
        }
        Ok(())
    }

    /// The tricks that were not rejected.
    async fn leaks(&self, site: &Site, is_settled: bool) -> Result<Vec<String>> {
        let mut leaks = Vec::new();
        for trick in TRICKS {
            let came_of = match tried(site, PARENT, *trick).await {
                Ok(reply) => {
                    (trick.0.is_refused(&reply, self, is_settled)).with_context(|| format!("{reply:?}"))
                }
                Err(error) => Err(error),
            };
            leaks.extend(came_of.err().map(|error| format!("{trick:?}: {error:#}")));
        }
        Ok(leaks)
    }

    async fn is_settled(&self, site: &Site) -> Result<()> {
        for path in self.paths {
            let reply = site.ask(&get(PARENT, path, "").with(&KEY)).await?;
            ensure!(
                self.entitled.is(&reply),
                "with the key, {path} is not {:?}: {reply:?}",
                self.entitled
            );
            if let Served(_) = self.entitled {
                let headers = reply.seen()?.headers;
                let user = headers.get("x-switchyard-user").map(String::as_str);
                ensure!(
                    user == Some("alice") && !headers.contains_key("x-api-key"),
                    "{headers:?}"
                );
            }
        }
        for path in ["/", "/x", "/teams", "/admin"] {
            let reply = site.ask(&get(PARENT, path, "")).await?;
            let is_web = reply.seen().is_ok_and(|seen| seen.backend == "web");
            ensure!(is_web, "{path} is not the parent's any more: {reply:?}");
        }
        Ok(())
    }
}

/// Sends a trick, and checks that `vault` receives nothing.
async fn tried(site: &Site, host: &str, (_, method, path, lines): Trick) -> Result<Reply> {
    let text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    site.is_kept_off(&Message::Bytes(text.into_bytes())).await
}

/// Checks all attempts, below the parent with the key and these other parents.
async fn are_withstood(attempts: Vec<Attempt>, others: &Parents) -> Result<()> {
    let parent = json!([to("web", "/"), guarded(delegate("team", "/team"))]);
    let own = secret("own-keys", &json!({"mallory": "own key"}))
        + &secret(
            "own-people",
            &json!({"auth": "eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="}),
        )
        + &branch("mounted", &json!([to("vault", "/")]));
    let site = Site::start_with(|builder| {
        builder
            .manifest("parent.yaml", &root("parent", &json!({"fqdn": PARENT}), &parent))?
            .manifest("parents.yaml", &others.manifests)?
            .manifest("own.yaml", &own)
    })
    .await?;
    let mut wrong = Vec::new();
    for (number, attempt) in attempts.iter().enumerate() {
        if let Err(error) = attempt.is_withstood(&site, &others.parents, number).await {
            wrong.push(format!("{} ({}): {error:#}", attempt.what, attempt.spec));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delegate_checks_add_to_parent_checks() -> Result<()> {
    are_withstood(own_checks(), &Parents::start().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delegate_header_edits_do_not_bypass_parent_policies() -> Result<()> {
    are_withstood(edits(), &Parents::start().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delegate_fields_do_not_bypass_parent_policies() -> Result<()> {
    are_withstood(other_words(), &Parents::start().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delegate_serves_only_its_prefix() -> Result<()> {
    are_withstood(other_places(), &Parents::none()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_objects_do_not_bypass_parent_policies() -> Result<()> {
    are_withstood(other_objects(), &Parents::none()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delegate_tokens_limits_and_services_do_not_bypass_parent() -> Result<()> {
    let attempts = [own_tokens()?, own_limits(), own_services()]
        .into_iter()
        .flatten();
    are_withstood(attempts.collect(), &Parents::start().await?).await
}

/// Any root can delegate to any IngressRoute, so policies that protect a Service have to be next to the route to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delegate_auth_applies_under_every_root() -> Result<()> {
    let team = guarded(to("vault", "/team"));
    let (before, after) = ("other.bar.com", "last.bar.com");
    let other =
        |name: &str, fqdn: &str| root(name, &json!({"fqdn": fqdn}), &json!([delegate("team", "/team")]));
    let site = Site::start_with(|builder| {
        let manifests = other("before", before) + &branch("team", &json!([team]));
        builder.manifest("roots.yaml", &manifests)
    })
    .await?;
    site.world.write("after.yaml", &other("after", after))?;
    for host in [before, after] {
        site.world.status(host, "/team/x", 401).await?;
    }
    let cases = [before, after].map(|host| Case {
        what: host.to_owned(),
        control: get(host, "/team/x", ""),
        attack: get(host, "/team/x", "X-Api-Key: own key\r\n"),
        credential: KEY,
        want: Want::Denied,
    });
    site.holds(&cases).await
}
