//! Policies whose order matters: one that rejects a request ends its processing.

use super::{
    Credential, KEY, Message, Site, asking, branch, delegate, get, guard, merged, root, secret, to,
    tokens::Keys,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    client::{get as builder, once},
    echo::Echo,
    gatekeeper::Gatekeeper,
    manifests::{annotated_service, service},
    raw::Reply,
    wait::until,
    world::World,
};

/// The policies of each level: the virtualhost, the delegating route, the leaf.
type Levels = [Value; 3];

/// Servers in addition to those of [`Site`]: `copy` receives mirrored requests, and `counter` is the rate limit
/// service.
struct Servers {
    copy: Echo,
    counter: Echo,
    gatekeeper: Gatekeeper,
}

// === impl Servers ===

impl Servers {
    async fn start() -> Result<Self> {
        Ok(Self {
            copy: Echo::start("copy").await?,
            counter: Echo::start("counter").await?,
            gatekeeper: Gatekeeper::start().await?,
        })
    }

    fn manifests(&self) -> String {
        let h2c = [("contour.heptio.com/upstream-protocol.h2c", "80")];
        service("default", "copy", &[self.copy.address])
            + &annotated_service("default", "counter", &[self.counter.address], &h2c)
            + &service("default", "gatekeeper", &[self.gatekeeper.address])
            + &secret(
                "people",
                &json!({"auth": "ann:$2y$10$e498EQckyy.8tEqYsWaqeOyJEWv45Vlk.TGRvY1bWoKKZKoEVoAmG"}),
            )
    }
}

/// A site with a host that has these policies.
async fn site(servers: &Servers, fqdn: &str, levels: Levels) -> Result<Site> {
    let [host, delegating, leaf] = levels;
    let manifests = servers.manifests()
        + &root(
            "ordered",
            &merged(json!({"fqdn": fqdn}), &host),
            &json!([merged(delegate("leaf", "/"), &delegating)]),
        )
        + &branch("leaf", &json!([merged(to("vault", "/"), &leaf)]));
    let site = Site::start_with(|builder| builder.manifest("ordered.yaml", &manifests)).await?;
    Ok(site)
}

fn external() -> Value {
    json!({"external": {"service": {"name": "gatekeeper", "port": 80}, "timeout": "3s"}})
}

fn mirror() -> Value {
    json!([{"service": "copy", "port": 80}])
}

const HOST: &str = "ordered.bar.com";

/// Waits until a host answers with this status instead of 404 or 503.
async fn answers(world: &World, host: &str, status: u16) -> Result<()> {
    world.status(host, "/", status).await.map(drop)
}

/// Checks that a request is rejected, and that neither the upstream nor the mirror receives anything.
async fn is_refused(site: &Site, servers: &Servers, message: &Message, status: u16) -> Result<Reply> {
    let before = servers.copy.received();
    let reply = site.is_kept_off(message).await?;
    ensure!(reply.status == Some(status), "not {status}: {reply:?}");
    ensure!(servers.copy.received() == before, "it was copied: {reply:?}");
    Ok(reply)
}

/// Tries every placement of the mirror and the check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_request_is_not_mirrored() -> Result<()> {
    let (copied, asked) = (json!({"mirror": mirror()}), json!({"auth": guard()}));
    let both = merged(copied.clone(), &asked);
    for levels in [
        [both.clone(), json!({}), json!({})],
        [copied.clone(), asked.clone(), json!({})],
        [copied.clone(), json!({}), asked.clone()],
        [asked.clone(), copied.clone(), json!({})],
        [json!({}), copied, asked],
    ] {
        let servers = Servers::start().await?;
        let site = site(&servers, HOST, levels).await?;
        answers(&site.world, HOST, 401).await?;
        is_refused(&site, &servers, &get(HOST, "/", ""), 401).await?;
        is_refused(&site, &servers, &get(HOST, "/", "X-Api-Key: x\r\n"), 401).await?;
        site.serves(&get(HOST, "/", "").with(&KEY)).await?;
        until("it is copied", async || {
            ensure!(servers.copy.requests() == 1, "{}", servers.copy.requests());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Limits protect against guessing: one that needs no claim applies before the check, on any level.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_counts_failed_authentication() -> Result<()> {
    let servers = Servers::start().await?;
    let limit = json!({"rateLimits": [{"requests": 3, "unit": "day", "key": [{"clientIP": {}}]}]});
    let levels = [json!({"auth": guard()}), json!({"mirror": mirror()}), limit];
    let site = site(&servers, HOST, levels).await?;
    // This uses the first of three requests.
    answers(&site.world, HOST, 401).await?;
    // The client's address does not depend on these headers.
    for lines in [
        "X-Forwarded-For: 192.0.2.1\r\n",
        "X-Real-IP: 192.0.2.2\r\nX-Envoy-External-Address: 192.0.2.2\r\n",
    ] {
        is_refused(&site, &servers, &get(HOST, "/", lines), 401).await?;
    }
    for lines in [
        "",
        "X-Forwarded-For: 192.0.2.3\r\n",
        "Forwarded: for=192.0.2.4\r\n",
    ] {
        is_refused(&site, &servers, &get(HOST, "/", lines).with(&KEY), 429).await?;
    }
    Ok(())
}

/// Different spellings of a path share a bucket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn path_spellings_share_a_rate_limit_bucket() -> Result<()> {
    let servers = Servers::start().await?;
    let limit =
        json!({"rateLimits": [{"requests": 1, "unit": "day", "key": [{"path": {}}, {"method": {}}]}]});
    let site = site(&servers, HOST, [json!({}), limit, json!({})]).await?;
    answers(&site.world, HOST, 429).await?;
    site.serves(&get(HOST, "/x", "")).await?;
    for path in ["/x", "/x?y", "//x", "/./x", "/y/../x", "/%78", "/y/..;/x"] {
        is_refused(&site, &servers, &get(HOST, path, ""), 429).await?;
    }
    Ok(())
}

/// Requests that are not let in use up neither a limit by claim, nor one counted by a service, nor a concurrency limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_request_uses_no_later_limits() -> Result<()> {
    let (servers, keys) = (Servers::start().await?, Keys::new()?);
    let global = json!({
        "service": {"name": "counter", "port": 80},
        "domain": "shop",
        "descriptors": [{"entries": [{"key": "path", "from": {"path": {}}}]}],
        "timeout": "5s",
        "onFailure": "allow",
    });
    let spent = json!({
        "rateLimits": [{"requests": 2, "unit": "day", "key": [{"claim": "sub"}]}, {"global": global}],
        "concurrency": {"max": 1},
    });
    let levels = [spent, json!({}), json!({"auth": [keys.check()?]})];
    let site = site(&servers, HOST, levels).await?;
    answers(&site.world, HOST, 401).await?;
    let asked = servers.counter.received();
    // The claims are valid, but the signature is not.
    let right = keys.token()?;
    let (signed, _) = right.rsplit_once('.').context("three parts")?;
    for _ in 0..10 {
        let line = format!("Authorization: Bearer {signed}.AAAA\r\n");
        is_refused(&site, &servers, &get(HOST, "/", &line), 401).await?;
    }
    ensure!(servers.counter.received() == asked, "the service was asked");
    let bearer = Credential("Authorization", format!("Bearer {right}").into());
    for _ in 0..2 {
        site.serves(&get(HOST, "/", "").with(&bearer)).await?;
    }
    ensure!(servers.counter.requests() == 2, "{}", servers.counter.requests());
    is_refused(&site, &servers, &get(HOST, "/", "").with(&bearer), 429).await?;
    ensure!(
        servers.counter.requests() == 2,
        "what one limit refuses, the next is asked about"
    );
    Ok(())
}

/// The first check that rejects ends the processing, and later ones are not asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_request_does_not_reach_auth_service() -> Result<()> {
    let denied = json!({"auth": [{"ip": {"deny": ["127.0.0.0/8", "10.0.0.0/8"]}}]});
    let basic = json!({"auth": [{"basic": {"secretName": "people"}}]});
    let key = json!({"auth": guard()});
    let external = json!({"auth": [external()]});
    for (levels, status) in [
        ([denied.clone(), external.clone(), json!({})], 403),
        ([denied, basic, external.clone()], 403),
        ([key, json!({}), external], 401),
    ] {
        let servers = Servers::start().await?;
        let site = site(&servers, HOST, levels).await?;
        answers(&site.world, HOST, status).await?;
        let line = "Authorization: yes staff\r\n";
        let reply = is_refused(&site, &servers, &get(HOST, "/", line), status).await?;
        ensure!(servers.gatekeeper.asked() == 0, "it was asked: {reply:?}");
        // A client with a denied address is not asked for a password.
        ensure!(
            status != 403 || reply.header("www-authenticate").is_empty(),
            "{reply:?}"
        );
    }
    Ok(())
}

/// A preflight is answered, and has no other effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_is_answered_without_other_effects() -> Result<()> {
    let servers = Servers::start().await?;
    let cors = json!({"cors": {"allowOrigins": ["https://www.example.com"], "allowMethods": ["PUT"], "allowCredentials": true}});
    let asks = json!({
        "auth": [external()],
        "rateLimits": [{"requests": 1000, "unit": "day"}],
        "concurrency": {"max": 1},
        "mirror": mirror(),
    });
    let site = site(&servers, HOST, [asks, json!({}), cors]).await?;
    answers(&site.world, HOST, 403).await?;
    let asked = servers.gatekeeper.asked();
    let options = |lines: &str| {
        let text = format!("OPTIONS /x HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{lines}\r\n");
        Message::Bytes(text.into_bytes())
    };
    let origin = "Origin: https://www.example.com\r\n";
    let method = "Access-Control-Request-Method: PUT\r\n";
    for lines in ["", "Authorization: yes staff\r\n", "Content-Length: 5\r\n"] {
        let question = options(&format!("{origin}{method}{lines}"));
        let reply = is_refused(&site, &servers, &question, 200).await?;
        ensure!(
            reply.header("access-control-allow-origin") == "https://www.example.com",
            "{reply:?}"
        );
    }
    for origin in [
        "https://evil.example",
        "null",
        "https://www.example.com.evil.example",
        "https://www.example.com, https://evil.example",
    ] {
        let question = options(&format!("Origin: {origin}\r\n{method}"));
        let reply = is_refused(&site, &servers, &question, 403).await?;
        ensure!(
            reply.header("access-control-allow-origin").is_empty(),
            "{reply:?}"
        );
    }
    let two = options(&format!("{origin}{origin}{method}"));
    is_refused(&site, &servers, &two, 403).await?;
    ensure!(
        servers.gatekeeper.asked() == asked,
        "the service was asked about a preflight"
    );
    // Requests that are not preflights have to authenticate.
    for lines in [origin, method, ""] {
        is_refused(&site, &servers, &options(lines), 403).await?;
    }
    is_refused(
        &site,
        &servers,
        &get(HOST, "/", &format!("{origin}{method}")),
        403,
    )
    .await?;
    ensure!(
        servers.gatekeeper.asked() == asked + 4,
        "{}",
        servers.gatekeeper.asked()
    );
    Ok(())
}

/// A request takes a place of the concurrency limit only once it goes to the upstream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_request_uses_no_concurrency_slot() -> Result<()> {
    let servers = Servers::start().await?;
    let levels = [
        json!({"concurrency": {"max": 1}}),
        json!({}),
        json!({"auth": [external()]}),
    ];
    let site = site(&servers, HOST, levels).await?;
    answers(&site.world, HOST, 403).await?;
    let asked = servers.gatekeeper.asked();
    let http = site.world.http();
    let waiting: Vec<_> = (0..5)
        .map(|_| tokio::spawn(once(http, builder(HOST, "/").header("authorization", "slow"))))
        .collect();
    until("all wait", async || {
        ensure!(servers.gatekeeper.asked() == asked + 5);
        Ok(())
    })
    .await?;
    let yes = Credential("Authorization", "yes staff".into());
    site.serves(&get(HOST, "/", "").with(&yes)).await?;
    let requests = site.vault.requests();
    for waiting in waiting {
        ensure!(waiting.await??.status == 503, "nobody said yes");
    }
    ensure!(
        site.vault.requests() == requests,
        "a request that nobody let in came to the upstream"
    );
    site.serves(&get(HOST, "/", "").with(&yes)).await.map(drop)
}

/// The arrival of the body or trailers does not resume a request that waits for a check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_does_not_resume_a_waiting_request() -> Result<()> {
    let asks = |check: Value| asking(json!({}), json!([check]));
    let password = json!({"basic": {"secretName": "people"}});
    for (check, right, wrong) in [
        (
            external(),
            "yes staff",
            [("no", 403), ("broken", 503), ("slow", 503)],
        ),
        (
            password,
            "Basic YW5uOnNlY3JldA==",
            [("Basic YW5uOndyb25n", 401), ("Basic eDp5", 401), ("", 401)],
        ),
    ] {
        let servers = Servers::start().await?;
        let site = site(&servers, HOST, [asks(check), json!({}), json!({})]).await?;
        until("it asks", async || {
            let status = site.world.get(HOST, "/").await?.status;
            ensure!(matches!(status, 401 | 403), "{status}");
            Ok(())
        })
        .await?;
        for (authorization, status) in [(right, 200)].into_iter().chain(wrong) {
            for (head, body) in [
                ("Content-Length: 60000\r\n", "x".repeat(60_000)),
                ("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n".to_owned()),
                (
                    "Transfer-Encoding: chunked\r\nTrailer: x\r\n",
                    "1\r\nx\r\n0\r\nX: y\r\n\r\n".to_owned(),
                ),
            ] {
                let text = format!(
                    "POST /x HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {authorization}\r\n{head}\r\n{body}"
                );
                let message = Message::Bytes(text.into_bytes());
                if status == 200 {
                    site.serves(&message).await?;
                } else {
                    is_refused(&site, &servers, &message, status).await?;
                }
            }
        }
    }
    Ok(())
}
