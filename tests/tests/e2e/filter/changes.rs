//! Changes to requests that pass, and to their responses.

use super::{PATHS, Proxy, SOURCE, filter, levels};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use switchyard_tests::{
    client::{Connection, get},
    echo::Echo,
    statics::{Cluster, HOST},
    wait::until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outermost_level_edits_headers_last() -> Result<()> {
    let edits = |who: &str| {
        json!({
            "source": who,
            "headers": {
                "request": {
                    "set": [{"name": "x-set", "value": who}],
                    "add": [{"name": "x-add", "value": who}],
                    "remove": ["x-remove"],
                },
                "response": {
                    "set": [{"name": "x-set", "value": who}],
                    "add": [{"name": "x-add", "value": who}],
                    "remove": ["x-remove"],
                },
            },
        })
    };
    let proxy = Proxy::start(&levels(&[edits("outer"), edits("inner")])).await?;
    for path in PATHS {
        let headers = [
            ("x-set", "client"),
            ("x-add", "client"),
            ("x-remove", "client"),
            ("x-switchyard-user", "root"),
            ("echo-header", "x-set=upstream"),
            ("echo-header", "x-remove=upstream"),
        ];
        let answer = proxy.get(path, &headers).await?;
        let seen = answer.seen()?;
        ensure!(seen.headers["x-set"] == "outer", "{seen:?}");
        ensure!(seen.headers["x-add"] == "client, inner, outer", "{seen:?}");
        for gone in ["x-remove", "x-switchyard-user", "x-switchyard-cluster"] {
            ensure!(!seen.headers.contains_key(gone), "{seen:?}");
        }
        ensure!(answer.all("x-set") == ["outer"], "{answer:?}");
        ensure!(answer.all("x-add") == ["inner", "outer"], "{answer:?}");
        ensure!(answer.header("x-remove").is_empty(), "{answer:?}");
    }
    Ok(())
}

/// The policies apply to routes without their own. For a route with its own, the filter does not set the header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeouts_and_retries_are_inherited() -> Result<()> {
    let policy = json!({"timeoutMs": 700, "retry": {"count": 2, "perTryTimeoutMs": 300}});
    let mut config = filter(&policy);
    let proxy = Proxy::start(&config).await?;
    for path in PATHS {
        let before = proxy.blue.requests();
        proxy.blue.fail_next(2);
        let answer = proxy.get(path, &[]).await?;
        ensure!(
            answer.status == 200 && proxy.blue.requests() - before == 3,
            "{path}: {answer:?}"
        );
        let seen = answer.seen()?;
        let steering = seen
            .headers
            .keys()
            .filter(|name| name.contains("retr") || name.contains("upstream-rq"));
        ensure!(steering.count() == 0, "{seen:?}");
        let answer = proxy.get(path, &[("echo-delay-ms", "5000")]).await?;
        ensure!(answer.status == 504, "{path}: {answer:?}");
    }
    config["switches"]["bar.com/"]["branches"]["default/blue"][0]["leaf"]["ownTimeout"] = true.into();
    config["switches"]["bar.com/"]["branches"]["default/blue"][0]["leaf"]["ownRetry"] = true.into();
    config["routes"]["bar.com/plain"]["ownTimeout"] = true.into();
    config["routes"]["bar.com/plain"]["ownRetry"] = true.into();
    proxy.envoy.configure(&config).await?;
    for path in PATHS {
        proxy.blue.fail_next(1);
        ensure!(proxy.status(path, &[]).await? == 503, "{path}");
        ensure!(
            proxy.status(path, &[("echo-delay-ms", "1500")]).await? == 200,
            "{path}"
        );
    }
    Ok(())
}

/// The share is exact to the percent, on each worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror_gets_its_percentage_without_delay() -> Result<()> {
    const REQUESTS: usize = 2_000;
    let copy = Echo::start_on_loopback("copy").await?;
    let slow = Echo::start_on_loopback("slow").await?;
    let mirror = |cluster: &str, percent: u32, r#match: Value| json!({"cluster": cluster, "percent": percent, "match": r#match});
    let policy = json!({"mirror": [
        mirror("copy", 10, json!({"methods": ["GET"]})),
        mirror("slow", 1, json!({})),
        mirror("nowhere", 100, json!({"prefix": "/plain"})),
    ]});
    let clusters = [
        Cluster::new("copy", copy.address),
        Cluster::new("slow", slow.address),
    ];
    let proxy = Proxy::start_beside(&filter(&policy), &clusters).await?;
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(Connection::open(proxy.envoy.http).await?);
    }
    for number in 0..REQUESTS {
        let path = PATHS[number % 2];
        let connection = &mut connections[number % 8];
        let answer = connection
            .send(get(HOST, path).header("x-number", number))
            .await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    until("all copies have come", async || {
        let copies = (copy.requests(), slow.requests());
        let of = |percent: usize, copies: usize| copies.abs_diff(REQUESTS * percent / 100) <= 2;
        ensure!(of(10, copies.0) && of(1, copies.1), "{copies:?}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mirrored = proxy.envoy.counted(SOURCE, "mirrored").await?;
    ensure!(
        mirrored == (copy.requests() + slow.requests() + REQUESTS / 2) as u64,
        "{mirrored}"
    );
    ensure!(proxy.blue.requests() == REQUESTS);
    Ok(())
}
