//! Rate limits counted in the proxy.

use super::{PATHS, Proxy, SOURCE, filter};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use switchyard_policy::limit::{SETS, set::BUCKETS};
use switchyard_tests::{
    client::{Connection, get},
    load::{Load, Outcome, Samples},
    statics::HOST,
    tokens::Issuer,
    wait::until,
};
use tokio::time::sleep;

/// A limit with this burst, and no further requests for the duration of a test.
fn limit(burst: u32, key: &Value) -> Value {
    json!({"local": {"requests": 1, "perSeconds": 86_400, "burst": burst, "key": key}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_is_exact_across_workers() -> Result<()> {
    // Enough for the workers to compete for the shared bucket.
    const BURST: u32 = 10_000;
    let proxy = Proxy::start(&filter(&json!({"rateLimits": [limit(BURST, &json!([]))]}))).await?;
    let load = Load {
        pause: Duration::ZERO,
        ..Load::new(proxy.envoy.http, HOST, "/")
    };
    let load = load.start().await?;
    until("the limit is reached", async || {
        ensure!(proxy.envoy.counted(SOURCE, "limited").await? > 1_000);
        Ok(())
    })
    .await?;
    let tally = load.stop().await.tally();
    ensure!(tally.get("200 blue") == Some(&(BURST as usize)), "{tally:?}");
    ensure!(tally.len() == 2, "{tally:?}");
    for worker in 0..2 {
        let address = proxy.envoy.http.to_string().replace(':', "_");
        let name = format!("listener.{address}.worker_{worker}.downstream_cx_total");
        ensure!(proxy.envoy.envoy.stat(&name).await? > 1, "{name}");
    }
    ensure!(proxy.envoy.counted(SOURCE, "allowed").await? == u64::from(BURST));
    ensure!(proxy.envoy.counted(SOURCE, "limited").await? == tally["429 "] as u64);
    Ok(())
}

/// The refill under load is exact as well, for a limit's only bucket and for one of many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_refill_is_exact_under_load() -> Result<()> {
    const A_SECOND: u32 = 400;
    for key in [json!([]), json!(["clientIP"])] {
        // The burst covers a second, so that no refill is lost while the machine is busy.
        let limit = json!({"local": {"requests": A_SECOND, "perSeconds": 1, "burst": A_SECOND, "key": key}});
        let proxy = Proxy::start(&filter(&json!({"rateLimits": [limit]}))).await?;
        let load = Load {
            pause: Duration::ZERO,
            ..Load::new(proxy.envoy.http, HOST, "/")
        };
        let load = load.start().await?;
        sleep(Duration::from_secs(5)).await;
        let samples = load.stop().await;
        let admitted = proxy.blue.requests() as f64;
        let (least, most) = saturated(&samples)?;
        let allowed = [least, most].map(|seconds| f64::from(A_SECOND) * (1.0 + seconds));
        ensure!(
            admitted >= 0.99 * allowed[0] && admitted <= 1.01 * allowed[1],
            "{admitted} of {allowed:?}: {:?}",
            samples.tally()
        );
    }
    Ok(())
}

/// The time with less than one request left in the bucket, from the first request on: lower and upper bounds in
/// seconds, as observed by clients.
fn saturated(Samples(samples): &Samples) -> Result<(f64, f64)> {
    let is_refused = |outcome: &Outcome| matches!(outcome, Outcome::Answered { status: 429, .. });
    let refused = samples.iter().filter(|sample| is_refused(&sample.outcome));
    let last = refused
        .map(|sample| sample.sent)
        .max()
        .context("none was refused")?;
    let first_sent = samples
        .iter()
        .map(|sample| sample.sent)
        .min()
        .context("a sample")?;
    let first_done = samples
        .iter()
        .map(|sample| sample.done)
        .min()
        .context("a sample")?;
    let last_done = samples
        .iter()
        .map(|sample| sample.done)
        .max()
        .context("a sample")?;
    Ok((
        (last - first_done).as_secs_f64(),
        (last_done - first_sent).as_secs_f64(),
    ))
}

/// Excess clients evict the buckets with the most requests left, and this is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_table_evicts_buckets_with_most_requests_left() -> Result<()> {
    const CLIENTS: usize = 3 * SETS * BUCKETS / 2;
    const CONNECTIONS: usize = 8;
    let limits = json!({"rateLimits": [limit(3, &json!([{"header": "x-client"}]))]});
    let proxy = Proxy::start(&filter(&limits)).await?;
    let spender = [("x-client", "spender")];
    for want in [200, 200, 200, 429] {
        ensure!(proxy.status("/", &spender).await? == want);
    }
    let come = async |connection: usize| {
        let mut client = Connection::open(proxy.envoy.http).await?;
        for number in (connection..CLIENTS).step_by(CONNECTIONS) {
            let answer = client.send(get(HOST, "/").header("x-client", number)).await?;
            ensure!(answer.status == 200, "{number}: {answer:?}");
        }
        Ok(())
    };
    try_join_all((0..CONNECTIONS).map(come)).await?;
    let crowded = proxy.envoy.counted(SOURCE, "crowded").await?;
    let at_least = CLIENTS - SETS * BUCKETS;
    ensure!(
        crowded >= at_least as u64 && crowded < CLIENTS as u64,
        "{crowded}, {at_least}"
    );
    ensure!(proxy.status("/", &spender).await? == 429);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_counts_by_token_claim() -> Result<()> {
    let issuer = Issuer::new("ES256")?;
    let jwt = json!({"issuer": "https://issuer.example", "clockSkewSeconds": 0, "keys": [issuer.key()?]});
    let proxy = Proxy::start(&filter(&json!({
        "auth": [{"anyOf": [{"jwt": jwt}]}],
        "rateLimits": [limit(2, &json!([{"claim": "sub"}]))],
    })))
    .await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let token = |who: &str, number: u64| {
        let expires = now + 600 + number;
        issuer.token(&json!({"iss": "https://issuer.example", "sub": who, "exp": expires}))
    };
    for who in ["ann", "ben"] {
        // Each request has a new token.
        for (number, want) in (0..).zip([200, 200, 429]) {
            let bearer = format!("Bearer {}", token(who, number)?);
            let status = proxy.status("/", &[("authorization", &bearer)]).await?;
            ensure!(status == want, "{who} {number}: {status}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_headers_report_remaining_and_reset() -> Result<()> {
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

/// The count outlives changes of the limit's numbers, of other policies and of routes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_outlive_configuration_changes() -> Result<()> {
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
    // A limit of another policy has its own count.
    config["policies"]["0"]["source"] = "default/other".into();
    proxy.envoy.configure(&config).await?;
    ensure!(proxy.status("/", &[]).await? == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_key_selects_the_bucket() -> Result<()> {
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

/// Envoy trusts no proxy with the client's address here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_uses_envoys_client_address() -> Result<()> {
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
async fn rate_limit_applies_match_and_dry_run() -> Result<()> {
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
