//! The headers and rejections of limits that the service counts.

use super::{Shop, YEAR, by_host, counted, route};
use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::{Value, json};
use switchyard_tests::{
    client::{Answer, Connection, get, once},
    world::{Builder, Source},
};

use crate::{fixture::HOSTS, scenarios};

scenarios![
    rate_limited_response_has_reason_and_retry_after,
    headers_report_the_limit_with_least_remaining,
    unmatched_request_does_not_reach_the_service,
    dry_run_limit_rejects_nothing,
    rate_limit_headers_are_not_duplicated,
    waiting_request_keeps_its_body,
];

/// A limit for requests of this tenant.
fn tenant(name: &str) -> Value {
    by_host(&[json!({"key": "tenant", "value": name})])
}

fn with(mut limit: Value, field: &str, value: Value) -> Value {
    limit[field] = value;
    limit
}

/// Uses up the limit of the route's tenant.
async fn spent(shop: &Shop, host: &str, path: &str) -> Result<()> {
    let statuses = shop.statuses(host, path, 4).await?;
    ensure!(statuses == [200; 4], "{host}{path}: {statuses:?}");
    Ok(())
}

/// The seconds until the count resets.
fn reset(answer: &Answer) -> Result<u64> {
    let reset = answer.header("ratelimit-reset").parse()?;
    ensure!((1..=YEAR).contains(&reset), "{answer:?}");
    Ok(reset)
}

async fn rate_limited_response_has_reason_and_retry_after(source: Source) -> Result<()> {
    let routes = json!([
        route("/", &[tenant("a")]),
        route("/other", &[with(tenant("b"), "status", json!(420))]),
    ]);
    let shop = Shop::start(source, &routes).await?;
    for host in HOSTS {
        spent(&shop, host, "/").await?;
        spent(&shop, host, "/other").await?;
        let seen = shop.web.requests();
        let plain = shop.get(host, "/", &[]).await?;
        ensure!(plain.status == 429, "{plain:?}");
        ensure!(
            plain.header("retry-after") == reset(&plain)?.to_string(),
            "{plain:?}"
        );
        ensure!(
            plain.header("content-type") == "text/plain" && !plain.body.is_empty(),
            "{plain:?}"
        );
        let json = shop.get(host, "/", &[("accept", "application/json")]).await?;
        let body: Value = serde_json::from_slice(&json.body)?;
        ensure!(
            json.status == 429 && body["error"] == "resource_exhausted" && body["status"] == 429,
            "{json:?}"
        );
        let grpc = shop
            .get(host, "/", &[("content-type", "application/grpc")])
            .await?;
        ensure!(
            grpc.status == 200 && grpc.header("grpc-status") == "8",
            "{grpc:?}"
        );
        let other = shop.get(host, "/other", &[]).await?;
        ensure!(
            other.status == 420 && !other.header("retry-after").is_empty(),
            "{other:?}"
        );
        ensure!(shop.web.requests() == seen, "the upstream was asked");
    }
    ensure!(counted(&shop, "default/plain_route_/", "limited").await? == 3);
    ensure!(counted(&shop, "default/plain_route_/", "allowed").await? == 4);
    Ok(())
}

/// Combines two limits of the service with one of the proxy.
async fn headers_report_the_limit_with_least_remaining(source: Source) -> Result<()> {
    let local = |requests: u32| json!({"requests": requests, "unit": "hour"});
    let routes = json!([
        route("/", &[local(9), tenant("gold"), tenant("a")]),
        route("/local", &[tenant("b"), local(2)]),
    ]);
    let shop = Shop::start(source, &routes).await?;
    for host in HOSTS {
        let answer = shop.get(host, "/", &[]).await?;
        let told = (answer.all("ratelimit-limit"), answer.all("ratelimit-remaining"));
        ensure!(told == (vec!["4"], vec!["3"]), "{answer:?}");
        let answer = shop.get(host, "/local", &[]).await?;
        let told = (answer.all("ratelimit-limit"), answer.all("ratelimit-remaining"));
        ensure!(told == (vec!["2"], vec!["1"]), "{answer:?}");
        // The service is not asked about requests that the proxy rejects.
        let statuses = shop.statuses(host, "/local", 4).await?;
        ensure!(statuses == [200, 429, 429, 429], "{statuses:?}");
        let counted = shop.limits.counted(&format!("{host}_tenant_b")).await?;
        ensure!(counted == 2, "{counted}");
    }
    Ok(())
}

async fn unmatched_request_does_not_reach_the_service(source: Source) -> Result<()> {
    let posts = json!({"methods": ["POST"], "prefix": "/login", "headers": [{"name": "x-match"}]});
    let shop = Shop::start(source, &json!([route("/", &[with(tenant("a"), "match", posts)])])).await?;
    let post = async |host: &str, path: &str, header: &str| {
        let request = Request::post(path)
            .header("host", host)
            .header("x-host", host)
            .header(header, "1");
        Ok::<_, anyhow::Error>(once(shop.world.http(), request).await?.status)
    };
    for host in HOSTS {
        let statuses = shop.statuses(host, "/login", 6).await?;
        ensure!(statuses == [200; 6], "{statuses:?}");
        for (path, header) in [("/", "x-match"), ("/loginx", "x-match"), ("/login", "x-other")] {
            for _ in 0..6 {
                ensure!(post(host, path, header).await? == 200, "{host}{path} {header}");
            }
        }
        for want in [200, 200, 200, 200, 429] {
            ensure!(
                post(host, "/login/now", "x-match").await? == want,
                "{host} {want}"
            );
        }
    }
    Ok(())
}

async fn dry_run_limit_rejects_nothing(source: Source) -> Result<()> {
    let tried = with(tenant("a"), "dryRun", json!(true));
    let shop = Shop::start(source, &json!([route("/", &[tried])])).await?;
    for host in HOSTS {
        for _ in 0..6 {
            let answer = shop.get(host, "/", &[]).await?;
            ensure!(
                answer.status == 200 && answer.header("ratelimit-limit").is_empty(),
                "{answer:?}"
            );
        }
    }
    ensure!(counted(&shop, "default/plain_route_/", "would_limit").await? == 2);
    Ok(())
}

/// The service can be configured to send these headers itself; they are not duplicated.
async fn rate_limit_headers_are_not_duplicated(source: Source) -> Result<()> {
    let routes = json!([route("/", &[tenant("a")])]);
    let variables = [("LIMIT_RESPONSE_HEADERS_ENABLED", "true")];
    let shop = Shop::build(Builder::new(source)?, &routes, &variables).await?;
    for host in HOSTS {
        for remaining in ["3", "2", "1", "0", "0"] {
            let answer = shop.get(host, "/", &[]).await?;
            let told = ["limit", "remaining", "reset"].map(|name| answer.all(&format!("ratelimit-{name}")));
            ensure!(
                told[0] == ["4"] && told[1] == [remaining] && told[2].len() == 1,
                "{answer:?}"
            );
        }
    }
    Ok(())
}

async fn waiting_request_keeps_its_body(source: Source) -> Result<()> {
    const SIZE: usize = 4 << 20;
    let shop = Shop::start(source, &json!([route("/", &[tenant("a")])])).await?;
    for host in HOSTS {
        let body = Full::new(Bytes::from(vec![b'x'; SIZE])).boxed();
        let request = Request::post("/upload")
            .header("host", host)
            .header("x-host", host);
        let mut connection = Connection::open(shop.world.http()).await?;
        let seen = connection.send_body(request, body).await?.seen()?;
        ensure!(
            seen.body_bytes == SIZE as u64 && seen.method == "POST",
            "{seen:?}"
        );
        let next = connection.send(get(host, "/next").header("x-host", host)).await?;
        ensure!(
            next.seen()?.path == "/next" && next.header("ratelimit-remaining") == "2",
            "{next:?}"
        );
    }
    Ok(())
}
