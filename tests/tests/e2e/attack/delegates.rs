//! A delegate that tries to undo what its parent asks, in every way that the schema has.
//!
//! `/team` of the parent asks for a key, and is left to the IngressRoute `team`. What `team` says is a line of a table. At no
//! time, also not while it changes, is anything served to who has no key.

mod attempts;

use super::{Case, KEY, Message, Site, Want, branch, delegate, get, guarded, root, secret, to};
use anyhow::{Result, ensure};
use attempts::{edits, other_objects, other_places, other_words, own_checks};
use serde_json::{Value, json};
use switchyard_tests::{manifests::ingress_route, wait::until};

use Entitled::{Denied, OutOfOrder, Served};

const PARENT: &str = "parent.bar.com";

/// What becomes of a request for `/team/x` that has the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entitled {
    /// As this path.
    Served(&'static str),
    /// What the delegate asks beside.
    Denied,
    /// 503, or 404 where there is no route.
    OutOfOrder,
}

struct Attempt {
    what: &'static str,
    /// What `team` is.
    spec: Value,
    /// What is there beside.
    more: String,
    entitled: Entitled,
    /// That are asked for with the key.
    paths: &'static [&'static str],
    /// The parent's host serves what is not below `/team`.
    is_open: bool,
}

/// Requests without the key, and all that a delegate might have made of them. Methods, paths and lines.
const TRICKS: &[(&str, &str, &str)] = &[
    ("GET", "/team", ""),
    ("GET", "/team/", ""),
    ("GET", "/team/x", ""),
    ("GET", "/team/deep/x", ""),
    ("GET", "/TEAM/x", ""),
    ("DELETE", "/team/x", ""),
    ("POST", "/team/x", "Content-Length: 0\r\n"),
    ("OPTIONS", "/team/x", ""),
    ("OPTIONS", "/team/x", "Origin: https://evil.example\r\n"),
    (
        "OPTIONS",
        "/team/x",
        "Origin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n",
    ),
    (
        "GET",
        "/team/x",
        "Origin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n",
    ),
    ("GET", "/team/x", "X-Api-Key: own key\r\n"),
    ("GET", "/team/x", "X-Api-Key: own key\r\nX-Own-Key: own key\r\n"),
    ("GET", "/team/x?key=own%20key", ""),
    ("GET", "/team/x", "Authorization: Basic ZXZlOnNlY3JldA==\r\n"),
    ("GET", "/team/x", "X-Preview: yes\r\nCookie: branch=x\r\n"),
    (
        "GET",
        "/team/x",
        "X-Switchyard-User: alice\r\nX-Switchyard-Auth: apiKey\r\n",
    ),
    ("GET", "/team/x", "X-Forwarded-For: 127.0.0.1\r\n"),
    (
        "GET",
        "/team/x",
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ),
    ("GET", "/", ""),
    ("GET", "/x", ""),
    ("GET", "/teams", ""),
    ("GET", "/admin", ""),
];

// === impl Attempt ===

impl Attempt {
    /// All that there is, and a host that says that it has come to the proxy.
    fn manifests(&self, edition: &str) -> String {
        let Self { spec, more, .. } = self;
        let edition = root("edition", &json!({"fqdn": edition}), &json!([to("web", "/")]));
        ingress_route("team", spec) + more + &edition
    }

    /// What is said of `team`, and that nothing came of it that should not.
    async fn is_withstood(&self, site: &Site, number: usize) -> Result<()> {
        let edition = format!("edition-{number}.bar.com");
        site.world.write("team.yaml", &self.manifests(&edition))?;
        let mut leaks = Vec::new();
        let settled = until("it has come to what it should", async || {
            leaks.extend(leaks_of(site).await?);
            ensure!(
                site.world.get(&edition, "/").await?.backend() == "web",
                "it is not there yet"
            );
            self.is_settled(site).await
        })
        .await;
        leaks.extend(leaks_of(site).await?);
        ensure!(leaks.is_empty(), "{}", leaks.join("\n"));
        settled
    }

    async fn is_settled(&self, site: &Site) -> Result<()> {
        for path in self.paths {
            let reply = site.ask(&get(PARENT, path, "").with(&KEY)).await?;
            let is_it = match self.entitled {
                Served(path) => reply
                    .seen()
                    .is_ok_and(|seen| seen.backend == "vault" && seen.path == path),
                Denied => matches!(reply.status, Some(401 | 403)),
                OutOfOrder => matches!(reply.status, Some(404 | 503)),
            };
            ensure!(
                is_it,
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
            ensure!(
                is_web || !self.is_open,
                "{path} is not the parent's any more: {reply:?}"
            );
        }
        Ok(())
    }
}

/// The tricks that something came of.
async fn leaks_of(site: &Site) -> Result<Vec<String>> {
    let mut leaks = Vec::new();
    for (method, path, lines) in TRICKS {
        let text = format!("{method} {path} HTTP/1.1\r\nHost: {PARENT}\r\n{lines}\r\n");
        let before = site.vault.received();
        let reply = site.ask(&Message::Bytes(text.into_bytes())).await?;
        if site.vault.received() != before {
            leaks.push(format!("{method} {path} {lines:?}: {reply:?}"));
        }
    }
    Ok(leaks)
}

/// Whether all attempts come to nothing.
async fn are_withstood(attempts: Vec<Attempt>) -> Result<()> {
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
            .manifest("own.yaml", &own)
    })
    .await?;
    let mut wrong = Vec::new();
    for (number, attempt) in attempts.iter().enumerate() {
        if let Err(error) = attempt.is_withstood(&site, number).await {
            wrong.push(format!("{} ({}): {error:#}", attempt.what, attempt.spec));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_of_a_delegate_come_on_top() -> Result<()> {
    are_withstood(own_checks()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegate_changes_no_header_that_is_not_its_own() -> Result<()> {
    are_withstood(edits()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_word_of_a_delegate_lets_in() -> Result<()> {
    are_withstood(other_words()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegate_has_no_other_place_and_no_other_way() -> Result<()> {
    are_withstood(other_places()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_object_lets_in() -> Result<()> {
    are_withstood(other_objects()).await
}

/// Whoever may have a root can lead to any IngressRoute, so what the services need to be asked is said beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_delegate_asks_holds_for_every_root() -> Result<()> {
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
