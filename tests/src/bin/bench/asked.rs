//! An installation for measuring the cost of policies: one upstream, behind a route with policies and a route without.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use switchyard_tests::{
    client::{get, once},
    echo::Echo,
    load::{Headers, Load},
    manifests::{ingress_route, service},
    twins::Twin,
    world::{Builder, Source, World},
};

use crate::compare::Way;

/// The host whose requests meet a policy. All host names have the same length, because each byte costs time.
pub(crate) const ASKED: &str = "asked.bar.com";
/// The host whose requests meet no policy, on plain routes.
pub(crate) const PLAIN: &str = "plain.bar.com";

pub(crate) struct Asked {
    pub(crate) world: World,
    web: Echo,
}

// === impl Asked ===

impl Asked {
    /// Starts an installation. `policies` are hosts and the policies of their virtualhosts, `more` further objects such
    /// as Secrets.
    pub(crate) async fn start(name: &str, policies: &[(&str, Value)], more: &str) -> Result<Self> {
        let asked = policies.iter().enumerate();
        let asked = asked.map(|(number, (fqdn, policy))| root(&format!("asked-{number}"), fqdn, policy));
        let objects = asked.collect::<String>() + &root("plain", PLAIN, &json!({})) + more;
        Self::with(Builder::named(Source::Directory, name)?, &objects).await
    }

    /// Starts an installation with these objects and a Service `web`, behind an Envoy with one worker.
    pub(crate) async fn with(builder: Builder, objects: &str) -> Result<Self> {
        Self::with_workers(1, builder, objects).await
    }

    pub(crate) async fn with_workers(workers: usize, builder: Builder, objects: &str) -> Result<Self> {
        let web = Echo::start("web").await?;
        let world = builder
            .workers(workers)
            .manifest("web.yaml", &service("default", "web", &[web.address]))?
            .manifest("all.yaml", objects)?
            .start()
            .await?;
        Ok(Self { world, web })
    }

    /// The number of requests that the upstream got.
    pub(crate) fn requests(&self) -> usize {
        self.web.requests()
    }

    /// A way to send requests to control's own listener.
    pub(crate) fn way(&self, host: &str, headers: Headers) -> Way {
        Way::new(Load {
            headers,
            ..Load::new(self.world.http(), host, "/item")
        })
    }
}

/// A root with a plain route to `web`, and with the given policy on its virtualhost.
pub(crate) fn root(name: &str, fqdn: &str, policy: &Value) -> String {
    let routes = json!([{"match": "/", "services": [{"name": "web", "port": 80}]}]);
    ingress_route(
        name,
        &json!({"virtualhost": asking(json!({"fqdn": fqdn}), policy), "routes": routes}),
    )
}

/// Adds a policy to a virtualhost or route.
pub(crate) fn asking(mut level: Value, policy: &Value) -> Value {
    if let (Value::Object(level), Value::Object(policy)) = (&mut level, policy) {
        level.extend(policy.clone());
    }
    level
}

/// Checks that a request without credentials is refused, and so that the policy under test is in force.
pub(crate) async fn is_refused(server: SocketAddr, host: &str, status: u16) -> Result<()> {
    let answer = once(server, get(host, "/item")).await?;
    ensure!(answer.status == status, "{host} at {server}: {answer:?}");
    Ok(())
}

/// The same requests sent to a twin, on a route without policies: the twin enforces them instead.
pub(crate) fn twin_way(twin: &Twin, headers: Headers) -> Way {
    Way::new(Load {
        headers,
        ..Load::new(twin.address, PLAIN, "/item")
    })
}

/// Headers that are the same for all requests.
pub(crate) fn always(name: &'static str, value: &str) -> Headers {
    Headers::new(vec![vec![(name, value.to_owned())]])
}
