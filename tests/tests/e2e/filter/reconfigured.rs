//! The configuration that applies to a request while it changes.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::client::{get, once};
use tokio::time::{Duration, sleep};

use super::{HOST, Proxy, filter};

/// Envoy creates the filters of a stream before the first one gets its request, and an earlier filter may hold the
/// request for a while. This keeps the old configuration alive, and Envoy reuses it if it comes again, without another
/// `proxy_on_configure`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_keeps_its_initial_configuration() -> Result<()> {
    let proxy = Proxy::start(&saying("before")).await?;
    let server = proxy.envoy.http;
    let kept = get(HOST, "/").header("x-envoy-fault-delay-request", "3000");
    let kept = tokio::spawn(async move { once(server, kept).await });
    sleep(Duration::from_millis(500)).await; // long enough to reach the delaying filter, much shorter than the delay
    for what in ["between", "before", "after"] {
        proxy.envoy.configure(&saying(what)).await?;
        let answer = proxy.get("/", &[]).await?;
        ensure!(answer.header("says") == what, "{answer:?}");
    }
    ensure!(!kept.is_finished(), "it was not kept");
    let answer = kept.await??;
    ensure!(answer.header("says") == "before", "{answer:?}");
    Ok(())
}

/// A configuration that is visible in responses.
fn saying(what: &str) -> Value {
    let header = json!({"name": "says", "value": what});
    filter(&json!({"headers": {"response": {"set": [header]}}}))
}
