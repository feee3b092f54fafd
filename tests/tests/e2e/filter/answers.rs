//! The answer, log entry and metrics of a rejected request.

use super::{PATHS, Proxy, SOURCE, filter};
use anyhow::{Result, ensure};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use switchyard_tests::{
    client::{Http2, empty, get, once},
    statics::HOST,
    wait::until,
};

fn key() -> Value {
    json!({"anyOf": [{"apiKey": {"header": "x-api-key", "keys": {}}}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejection_is_text_or_json_by_accept_header() -> Result<()> {
    let proxy = Proxy::start(&filter(&json!({"auth": [key()]}))).await?;
    for path in PATHS {
        let text = proxy.get(path, &[("accept", "*/*")]).await?;
        ensure!(
            (text.status, text.header("content-type")) == (401, "text/plain"),
            "{text:?}"
        );
        ensure!(text.body == "credentials are missing, or not valid\n", "{text:?}");
        let json = proxy.get(path, &[("accept", "application/json")]).await?;
        ensure!(json.header("content-type") == "application/json", "{json:?}");
        let body: Value = serde_json::from_slice(&json.body)?;
        ensure!(
            body["error"] == "unauthenticated" && body["status"] == 401,
            "{body}"
        );
    }
    ensure!(proxy.blue.requests() == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_grpc_call_gets_grpc_status() -> Result<()> {
    let nobody = json!({"anyOf": [{"ip": {"deny": ["0.0.0.0/0", "::/0"]}}]});
    let once_a_day = json!({"local": {"requests": 1, "perSeconds": 86_400, "burst": 1}});
    for (policy, counts, status) in [
        (json!({"auth": [key()]}), false, "16"),
        (json!({"auth": [nobody]}), false, "7"),
        (json!({"rateLimits": [once_a_day]}), true, "8"),
        (json!({"concurrency": {"max": 1}}), true, "14"),
    ] {
        let proxy = Proxy::start(&filter(&policy)).await?;
        // For the limits, a first request takes the only token or place.
        let mut connection = Http2::open(proxy.envoy.http).await?;
        let slow = hyper::Request::get(format!("http://{HOST}/")).header("echo-delay-ms", "60000");
        let first = tokio::spawn(async move {
            if counts {
                connection.start(slow, empty()).await.ok();
            }
        });
        until("the first is under way", async || {
            ensure!(proxy.blue.requests() == usize::from(counts));
            Ok(())
        })
        .await?;
        let mut other = Http2::open(proxy.envoy.http).await?;
        let call = hyper::Request::post(format!("http://{HOST}/"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let answer = other.start(call, empty()).await;
        first.abort();
        let answer = answer?;
        ensure!(answer.status() == 200, "{policy}: {answer:?}");
        ensure!(
            answer.headers()["content-type"] == "application/grpc",
            "{answer:?}"
        );
        ensure!(answer.headers()["grpc-status"] == status, "{policy}: {answer:?}");
        ensure!(answer.headers().contains_key("grpc-message"), "{answer:?}");
        ensure!(answer.into_body().collect().await?.to_bytes().is_empty());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_metrics_name_the_rejecting_policy() -> Result<()> {
    let proxy = Proxy::start(&filter(&json!({"auth": [key()]}))).await?;
    for path in PATHS {
        proxy.get(path, &[]).await?;
        let entry = proxy.envoy.logged(path).await?;
        ensure!(entry["policy"] == format!("{SOURCE} auth[0]"), "{entry}");
        ensure!(
            entry["reason"] == "no credentials" && entry["status"] == 401,
            "{entry}"
        );
    }
    ensure!(proxy.envoy.counted(SOURCE, "denied_missing").await? == 2);
    ensure!(proxy.envoy.counted(SOURCE, "allowed").await? == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unauthenticated_client_cannot_probe_routes() -> Result<()> {
    let mut config = filter(&json!({"auth": [key()]}));
    config["exposeBranch"] = true.into();
    config["switches"]["bar.com/"]["branches"]["default/blue"] = json!([
        {"prefix": "/there", "leaf": {"clusters": [{"name": "blue"}]}},
        {"prefix": "/broken", "unavailable": "no service"},
    ]);
    let proxy = Proxy::start(&config).await?;
    for path in ["/there", "/broken", "/nothing"] {
        let answer = proxy.get(path, &[]).await?;
        ensure!(answer.status == 401, "{path}: {answer:?}");
        ensure!(
            answer.header("x-switchyard-branch").is_empty(),
            "{path}: {answer:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configuration_with_missing_policy_is_rejected() -> Result<()> {
    let mut config = filter(&json!({}));
    let proxy = Proxy::start(&config).await?;
    ensure!(proxy.status("/", &[]).await? == 200);
    // An invalid configuration is rejected, and the last valid one stays in use.
    config["policies"] = json!({});
    ensure!(proxy.envoy.configure(&config).await.is_err());
    ensure!(proxy.status("/", &[]).await? == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_is_answered_only_for_allowed_origins() -> Result<()> {
    let cors = json!({
        "allowOrigins": ["https://app.bar.com"],
        "allowMethods": ["PUT"],
        "allowHeaders": ["x-api-key"],
        "maxAgeSeconds": 600,
        "allowCredentials": true,
    });
    let proxy = Proxy::start(&filter(&json!({"cors": cors, "auth": [key()]}))).await?;
    for path in PATHS {
        let asks = hyper::Request::options(path)
            .header("host", HOST)
            .header("origin", "https://app.bar.com")
            .header("access-control-request-method", "PUT");
        let answer = once(proxy.envoy.http, asks).await?;
        let told = [
            "allow-origin",
            "allow-methods",
            "allow-headers",
            "allow-credentials",
            "max-age",
        ];
        let told = told.map(|name| answer.header(&format!("access-control-{name}")).to_owned());
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(
            told == ["https://app.bar.com", "PUT", "x-api-key", "true", "600"],
            "{answer:?}"
        );
        let refused = once(
            proxy.envoy.http,
            get(HOST, path).header("origin", "https://app.bar.com"),
        )
        .await?;
        ensure!(refused.status == 401, "{refused:?}");
        ensure!(
            refused.header("access-control-allow-origin") == "https://app.bar.com",
            "{refused:?}"
        );
        let other = hyper::Request::options(path)
            .header("host", HOST)
            .header("origin", "https://evil.com")
            .header("access-control-request-method", "PUT");
        let answer = once(proxy.envoy.http, other).await?;
        ensure!(answer.status == 403 && answer.header("access-control-allow-origin").is_empty());
    }
    ensure!(proxy.blue.requests() == 0);
    Ok(())
}
