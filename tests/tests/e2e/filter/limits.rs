//! Rate limits, counted in the proxy.

use super::{PATHS, Proxy, SOURCE, filter};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use switchyard_tests::{load::Load, statics::HOST};
use tokio::time::sleep;

/// So many at once, and in a day not one more.
fn limit(burst: u32, key: &Value) -> Value {
    json!({"local": {"requests": 1, "perSeconds": 86_400, "burst": burst, "key": key}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_exact_across_workers() -> Result<()> {
    const BURST: u32 = 500;
    let proxy = Proxy::start(&filter(&json!({"rateLimits": [limit(BURST, &json!([]))]}))).await?;
    let load = Load {
        pause: Duration::ZERO,
        ..Load::new(proxy.envoy.http, HOST, "/")
    };
    let load = load.start().await?;
    sleep(Duration::from_secs(3)).await;
    let tally = load.stop().await.tally();
    ensure!(tally.get("200 blue") == Some(&(BURST as usize)), "{tally:?}");
    ensure!(tally.len() == 2 && tally["429 "] > 1_000, "{tally:?}");
    for worker in 0..2 {
        let address = proxy.envoy.http.to_string().replace(':', "_");
        let name = format!("listener.{address}.worker_{worker}.downstream_cx_total");
        ensure!(proxy.envoy.envoy.stat(&name).await? > 1, "{name}");
    }
    ensure!(proxy.envoy.counted(SOURCE, "allowed").await? == u64::from(BURST));
    ensure!(proxy.envoy.counted(SOURCE, "limited").await? == tally["429 "] as u64);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_what_is_left_and_when_to_come_again() -> Result<()> {
    let minute = json!({"local": {"requests": 1, "perSeconds": 60, "burst": 2}});
    let proxy = Proxy::start(&filter(&json!({"rateLimits": [minute]}))).await?;
    let mut told = Vec::new();
    for _ in 0..3 {
        let answer = proxy.get("/", &[("accept", "application/json")]).await?;
        let headers = ["ratelimit-limit", "ratelimit-remaining", "retry-after"];
        let headers = headers.map(|name| answer.header(name).to_owned());
        let reset: u64 = answer.header("ratelimit-reset").parse()?;
        ensure!((1..=120).contains(&reset), "{answer:?}");
        told.push((answer.status, headers, answer.body));
    }
    let [first, second, third] = told.as_slice() else {
        unreachable!()
    };
    let of = |status, headers: [&str; 3]| (status, headers.map(str::to_owned));
    ensure!((first.0, first.1.clone()) == of(200, ["2", "1", ""]), "{first:?}");
    ensure!(
        (second.0, second.1.clone()) == of(200, ["2", "0", ""]),
        "{second:?}"
    );
    ensure!(
        third.0 == 429 && (59..=60).contains(&third.1[2].parse::<u64>()?),
        "{third:?}"
    );
    let body: Value = serde_json::from_slice(&third.2)?;
    ensure!(body["error"] == "resource_exhausted", "{body}");
    Ok(())
}

/// Whatever else changes: the numbers, other policies, and where requests go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_outlive_changes_of_the_configuration() -> Result<()> {
    let mut config = filter(&json!({"rateLimits": [limit(20, &json!([]))]}));
    let proxy = Proxy::start(&config).await?;
    for _ in 0..20 {
        ensure!(proxy.status("/", &[]).await? == 200);
    }
    for burst in [20, 10, 40] {
        let mut changed = filter(&json!({
            "rateLimits": [limit(7, &json!(["method"])), limit(burst, &json!([]))],
            "timeoutMs": burst,
        }));
        changed["exposeBranch"] = true.into();
        proxy.envoy.configure(&changed).await?;
        ensure!(proxy.status("/", &[]).await? == 429, "{burst}");
    }
    // Another that counts the same starts afresh.
    config["policies"]["0"]["source"] = "default/other".into();
    proxy.envoy.configure(&config).await?;
    ensure!(proxy.status("/", &[]).await? == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_go_by_what_the_key_says() -> Result<()> {
    let limits = json!({"rateLimits": [limit(1, &json!([{"header": "x-tenant"}, "path"]))]});
    let proxy = Proxy::start(&filter(&limits)).await?;
    for path in PATHS {
        for tenant in ["a", "b"] {
            let statuses = [
                proxy.status(path, &[("x-tenant", tenant)]).await?,
                proxy.status(path, &[("x-tenant", tenant)]).await?,
            ];
            ensure!(statuses == [200, 429], "{path} {tenant} {statuses:?}");
        }
    }
    Ok(())
}

/// Envoy trusts nobody here with who the client is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_the_one_that_envoy_says_it_is() -> Result<()> {
    let proxy = Proxy::start(&filter(&json!({"rateLimits": [limit(1, &json!(["clientIP"]))]}))).await?;
    let mut statuses = BTreeMap::new();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let headers = [("x-forwarded-for", address), ("x-real-ip", address)];
        *statuses.entry(proxy.status("/", &headers).await?).or_insert(0) += 1;
    }
    ensure!(statuses == [(200, 1), (429, 2)].into(), "{statuses:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_for_what_it_matches_and_may_be_tried_out() -> Result<()> {
    let mut posts = limit(1, &json!([]));
    posts["match"] = json!({"prefix": "/switched/a"});
    posts["status"] = 503.into();
    let mut tried = limit(1, &json!(["method"]));
    tried["dryRun"] = true.into();
    let proxy = Proxy::start(&filter(&json!({"rateLimits": [posts, tried]}))).await?;
    for (path, want) in [
        ("/switched/a/b", 200),
        ("/switched/a", 503),
        ("/switched//a", 503),
        ("/switched/x/../a", 503),
        ("/switched/%61", 503),
        ("/switched/ab", 200),
    ] {
        let status = proxy.status(path, &[]).await?;
        ensure!(status == want, "{path}: {status}");
    }
    ensure!(proxy.envoy.counted(SOURCE, "would_limit").await? == 1);
    Ok(())
}
