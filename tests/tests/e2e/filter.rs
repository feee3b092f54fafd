//! The policies that the filter enforces, on real Envoy without control.

mod answers;
mod auth;
mod changes;
mod concurrency;
mod limits;
mod logins;
mod reconfigured;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::thread;
use switchyard_tests::{
    client::{Answer, get, once},
    echo::Echo,
    statics::{Cluster, HOST, PLAIN, SWITCH, Static},
    wait::until,
};

/// The paths of a switch and of a plain route.
const PATHS: [&str; 2] = ["/switched", "/plain"];
/// The name of the policy in its log line and counters.
const SOURCE: &str = "default/root virtualhost";

/// An Envoy and its backend `blue`.
struct Proxy {
    envoy: Static,
    blue: Echo,
}

/// A configuration with one policy, the root's, on both routes to `blue`.
fn filter(policy: &Value) -> Value {
    let mut policy = policy.clone();
    policy["source"] = SOURCE.into();
    levels(&[policy])
}

/// The same with a policy for each level, outermost first.
fn levels(policies: &[Value]) -> Value {
    let keys: Vec<_> = (0..policies.len()).map(|at| at.to_string()).collect();
    json!({
        "switches": {SWITCH: {
            "root": "default/root",
            "prefix": "/",
            "policies": keys,
            "active": "default/blue",
            "branches": {"default/blue": [{"prefix": "/", "leaf": {"clusters": [{"name": "blue"}]}}]},
        }},
        "routes": {PLAIN: {"policies": keys}},
        "policies": keys.iter().cloned().zip(policies.iter().cloned()).collect::<serde_json::Map<_, _>>(),
    })
}

// === impl Proxy ===

impl Proxy {
    async fn start(filter: &Value) -> Result<Self> {
        Self::start_beside(filter, &[]).await
    }

    /// Starts with additional clusters, whose addresses accept connections.
    async fn start_beside(filter: &Value, clusters: &[Cluster<'_>]) -> Result<Self> {
        let blue = Echo::start_on_loopback("blue").await?;
        let all = [&[Cluster::new("blue", blue.address)], clusters].concat();
        let name = thread::current().name().context("a test has a name")?.to_owned();
        let this = Self {
            envoy: Static::start(&name, &all, filter)?,
            blue,
        };
        until("Envoy serves", async || {
            let answer = once(this.envoy.http, get("nobody", "/")).await?;
            ensure!(answer.status == 503, "{answer:?}");
            Ok(())
        })
        .await?;
        Ok(this)
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let request = headers.iter().fold(get(HOST, path), |request, (name, value)| {
            request.header(*name, *value)
        });
        once(self.envoy.http, request).await
    }

    async fn status(&self, path: &str, headers: &[(&str, &str)]) -> Result<u16> {
        Ok(self.get(path, headers).await?.status)
    }
}
