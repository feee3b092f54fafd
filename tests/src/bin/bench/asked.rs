//! An installation for what policies cost: one upstream, behind a route that asks something of requests and behind one that
//! does not.

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

/// Whose requests are asked for something. Names of one length, for each byte is work.
pub(crate) const ASKED: &str = "asked.bar.com";
/// Whose requests are asked for nothing, by plain routes.
pub(crate) const PLAIN: &str = "plain.bar.com";

pub(crate) struct Asked {
    pub(crate) world: World,
    web: Echo,
}

// === impl Asked ===

impl Asked {
    /// `policies`: hosts, and what the virtualhost of each asks for. `more` objects, such as Secrets.
    pub(crate) async fn start(name: &str, policies: &[(&str, Value)], more: &str) -> Result<Self> {
        let asked = policies.iter().enumerate();
        let asked = asked.map(|(number, (fqdn, policy))| root(&format!("asked-{number}"), fqdn, policy));
        let objects = asked.collect::<String>() + &root("plain", PLAIN, &json!({})) + more;
        Self::with(Builder::named(Source::Directory, name)?, &objects).await
    }

    /// These objects, and a Service `web` for them, behind an Envoy of one worker.
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

    /// How many requests the upstream got.
    pub(crate) fn requests(&self) -> usize {
        self.web.requests()
    }

    /// Requests to control's own listener.
    pub(crate) fn way(&self, host: &str, headers: Headers) -> Way {
        Way::new(Load {
            headers,
            ..Load::new(self.world.http(), host, "/item")
        })
    }
}

/// A root that serves `web` by a plain route, and asks for that on its virtualhost.
pub(crate) fn root(name: &str, fqdn: &str, policy: &Value) -> String {
    let routes = json!([{"match": "/", "services": [{"name": "web", "port": 80}]}]);
    ingress_route(
        name,
        &json!({"virtualhost": asking(json!({"fqdn": fqdn}), policy), "routes": routes}),
    )
}

/// A level that asks for that as well.
pub(crate) fn asking(mut level: Value, policy: &Value) -> Value {
    if let (Value::Object(level), Value::Object(policy)) = (&mut level, policy) {
        level.extend(policy.clone());
    }
    level
}

/// Whether a request without what the headers show is refused, so that it is known what was measured.
pub(crate) async fn is_refused(server: SocketAddr, host: &str, status: u16) -> Result<()> {
    let answer = once(server, get(host, "/item")).await?;
    ensure!(answer.status == status, "{host} at {server}: {answer:?}");
    Ok(())
}

/// The same requests, to a twin, on a route that asks for nothing: it is the twin that does.
pub(crate) fn twin_way(twin: &Twin, headers: Headers) -> Way {
    Way::new(Load {
        headers,
        ..Load::new(twin.address, PLAIN, "/item")
    })
}

/// All requests have this header.
pub(crate) fn always(name: &'static str, value: &str) -> Headers {
    Headers::new(vec![vec![(name, value.to_owned())]])
}
