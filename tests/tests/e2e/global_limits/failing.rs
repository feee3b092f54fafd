//! A rate limit service that does not answer, and requests that end while it is asked.

use super::{Shop, counted, global, route};
use anyhow::{Context, Result, bail, ensure};
use hyper::{Response, body::Incoming};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use switchyard_tests::{
    client::{Connection, Http2, empty, get},
    envoy::Envoy,
    ratelimit::{hang, wake},
    wait::until,
    world::Source,
};

use crate::{fixture::HOSTS, scenarios};

scenarios![
    on_failure_applies_while_the_service_is_down,
    hanging_service_is_bounded_by_the_timeout,
    redis_failure_counts_as_no_answer,
    request_aborted_while_waiting_reaches_no_upstream,
    waiting_request_survives_reconfiguration,
];

/// A limit for a tenant with its own count, with additional fields.
fn limit(tenant: &str, more: &[(&str, &str)]) -> Value {
    let host = json!({"key": "host", "from": {"header": "x-host"}});
    let mut limit = global(&json!([host, {"key": "tenant", "value": tenant}]));
    for (field, value) in more {
        limit["global"][*field] = (*value).into();
    }
    limit
}

/// Limits that reject requests without an answer, by default and explicitly, and one that admits them.
fn routes(wait: &str) -> Value {
    let limit = |tenant, more: &[_]| limit(tenant, &[&[("timeout", wait)], more].concat());
    json!([
        route("/default", &[limit("a", &[])]),
        route("/deny", &[limit("b", &[("onFailure", "deny")])]),
        route("/allow", &[limit("c", &[("onFailure", "allow")])]),
    ])
}

/// Checks both hosts while there is no answer.
async fn is_without_answer(shop: &Shop) -> Result<()> {
    for host in HOSTS {
        for path in ["/default", "/deny"] {
            let seen = shop.web.requests();
            let answer = shop.get(host, path, &[("accept", "application/json")]).await?;
            ensure!(answer.status == 503, "{host}{path}: {answer:?}");
            let body: Value = serde_json::from_slice(&answer.body)?;
            ensure!(body["error"] == "unavailable", "{body}");
            // The time of recovery is unknown.
            for header in [
                "retry-after",
                "ratelimit-limit",
                "ratelimit-remaining",
                "ratelimit-reset",
            ] {
                ensure!(answer.header(header).is_empty(), "{answer:?}");
            }
            ensure!(shop.web.requests() == seen, "the upstream was asked");
        }
        let answer = shop.get(host, "/allow", &[]).await?;
        ensure!(
            answer.backend() == "web" && answer.header("ratelimit-limit").is_empty(),
            "{answer:?}"
        );
    }
    Ok(())
}

/// Waits until the service is asked again, and its answers take effect.
async fn has_answers(shop: &Shop) -> Result<()> {
    for host in HOSTS {
        for path in ["/default", "/deny", "/allow"] {
            until(&format!("{host}{path} is limited"), async || {
                let answer = shop.get(host, path, &[]).await?;
                ensure!(answer.status == 429, "{answer:?}");
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

async fn on_failure_applies_while_the_service_is_down(source: Source) -> Result<()> {
    let mut shop = Shop::start(source, &routes(super::PATIENT)).await?;
    for host in HOSTS {
        ensure!(shop.statuses(host, "/allow", 3).await? == [200; 3]);
        ensure!(shop.statuses(host, "/deny", 4).await? == [200; 4]);
    }
    shop.limits.service.kill().await?;
    is_without_answer(&shop).await?;
    is_without_answer(&shop).await?;
    ensure!(counted(&shop, "default/plain_route_/allow", "unasked").await? == 2);
    ensure!(counted(&shop, "default/plain_route_/deny", "denied_no_answer").await? == 2);
    shop.limits.restart_service().await?;
    // The earlier counts are still there; requests that were admitted without an answer are not counted.
    for host in HOSTS {
        until("the service is asked again", async || {
            let answer = shop.get(host, "/deny", &[]).await?;
            ensure!(answer.status == 429, "{answer:?}");
            Ok(())
        })
        .await?;
        let answer = shop.get(host, "/allow", &[]).await?;
        ensure!(
            (answer.status, answer.header("ratelimit-remaining")) == (200, "0"),
            "{answer:?}"
        );
    }
    has_answers(&shop).await
}

async fn hanging_service_is_bounded_by_the_timeout(source: Source) -> Result<()> {
    const WAIT: Duration = Duration::from_millis(400);
    let shop = Shop::start(source, &routes("400ms")).await?;
    hang(&shop.limits.service).await?;
    let started = Instant::now();
    is_without_answer(&shop).await?;
    let took = started.elapsed();
    // Three requests for each host, with a margin for a busy machine.
    ensure!(took >= 6 * WAIT && took < 60 * WAIT, "{took:?}");
    wake(&shop.limits.service)?;
    has_answers(&shop).await
}

/// Redis hangs or is down: the service does not answer, or answers with an error.
async fn redis_failure_counts_as_no_answer(source: Source) -> Result<()> {
    let mut shop = Shop::start(source, &routes("2s")).await?;
    hang(&shop.limits.redis).await?;
    is_without_answer(&shop).await?;
    wake(&shop.limits.redis)?;
    has_answers(&shop).await?;
    shop.limits.redis.kill().await?;
    is_without_answer(&shop).await?;
    shop.limits.restart_redis().await?;
    has_answers(&shop).await
}

/// A limit of the service with one concurrent request. Requests that wait for the service hold no place, and ended
/// requests give theirs back.
fn one_place() -> Value {
    let mut route = route("/", &[limit("gold", &[])]);
    route["concurrency"] = json!({"max": 1});
    json!([route])
}

async fn request_aborted_while_waiting_reaches_no_upstream(source: Source) -> Result<()> {
    let shop = Shop::start(source, &one_place()).await?;
    for host in HOSTS {
        hang(&shop.limits.service).await?;
        let seen = shop.web.requests();
        let mut http2 = Http2::open(shop.world.http()).await?;
        for number in 0..3 {
            let reset = hyper::Request::get(format!("http://{host}/reset/{number}")).header("x-host", host);
            goes(&shop, http2.start(reset, empty()), number + 1).await?;
        }
        let mut gone = Connection::open(shop.world.http()).await?;
        let request = get(host, "/gone").header("x-host", host);
        goes(&shop, gone.start(request, empty()), 4).await?;
        drop(gone);
        until("they are gone", async || {
            let stats = envoy(&shop)?.admin("/stats?filter=downstream_rq_active").await?;
            let mut stats = stats.lines().filter(|line| !line.starts_with("http.admin."));
            ensure!(stats.all(|line| line.ends_with(": 0")), "{stats:?}");
            Ok(())
        })
        .await?;
        wake(&shop.limits.service)?;
        // The service counts each of them.
        until("those that are gone are counted", async || {
            let counted = shop.limits.counted(&format!("{host}_tenant_gold")).await?;
            ensure!(counted == 4, "{counted}");
            Ok(())
        })
        .await?;
        for remaining in ["2", "1", "0"] {
            let answer = shop.get(host, "/", &[]).await?;
            ensure!(
                (answer.status, answer.header("ratelimit-remaining")) == (200, remaining),
                "{answer:?}"
            );
        }
        let kept = http2
            .start(
                hyper::Request::get(format!("http://{host}/kept")).header("x-host", host),
                empty(),
            )
            .await?;
        ensure!(kept.status() == 429, "{kept:?}");
        ensure!(
            shop.web.requests() == seen + 3,
            "the upstream was asked for those that are gone"
        );
    }
    is_well(&shop)
}

/// Cancels a request once this many are in flight to the service.
async fn goes(
    shop: &Shop,
    answer: impl Future<Output = Result<Response<Incoming>>>,
    asked: usize,
) -> Result<()> {
    tokio::select! {
        answer = answer => bail!("it was answered: {answer:?}"),
        is_asked = is_asked(shop, asked) => is_asked,
    }
}

/// Checks that no Wasm VM has failed.
fn is_well(shop: &Shop) -> Result<()> {
    let log = envoy(shop)?.process.log()?;
    ensure!(
        !log.contains("Wasm VM failed") && !log.contains("panicked"),
        "{log}"
    );
    Ok(())
}

fn envoy(shop: &Shop) -> Result<&Envoy> {
    shop.world.envoys.first().context("an Envoy")
}

async fn waiting_request_survives_reconfiguration(source: Source) -> Result<()> {
    let shop = Shop::start(source, &json!([route("/", &[limit("a", &[])])])).await?;
    for host in HOSTS {
        hang(&shop.limits.service).await?;
        let server = shop.world.http();
        let waits = tokio::spawn(async move {
            switchyard_tests::client::once(server, get(host, "/waits").header("x-host", host)).await
        });
        is_asked(&shop, 1).await?;
        let other = crate::fixture::on_both(&json!([
            route("/", &[limit("a", &[])]),
            route(&format!("/new/{host}"), &[]),
        ]));
        shop.world.write("routes.yaml", &other)?;
        shop.world.served_by(host, &format!("/new/{host}"), "web").await?;
        ensure!(!waits.is_finished());
        wake(&shop.limits.service)?;
        let answer = waits.await??;
        ensure!(
            answer.status == 200 && answer.header("ratelimit-remaining") == "3",
            "{answer:?}"
        );
        let statuses = shop.statuses(host, "/", 4).await?;
        ensure!(statuses == [200, 200, 200, 429], "{statuses:?}");
    }
    is_well(&shop)
}

/// Waits until Envoy has this many requests in flight to the service.
async fn is_asked(shop: &Shop, requests: usize) -> Result<()> {
    until("the service is asked", async || {
        let stats = envoy(shop)?
            .admin("/stats?filter=limits.*upstream_rq_active")
            .await?;
        let number = format!(": {requests}");
        ensure!(stats.lines().any(|line| line.ends_with(&number)), "{stats}");
        Ok(())
    })
    .await
}
