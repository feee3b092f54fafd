//! The filter handles routes of any name and identifies them correctly.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    echo::Echo,
    manifests::{ingress_route, service},
    world::{Builder, Source},
};

/// Adds a limit, so that `RateLimit-Limit` shows that the filter has handled the request.
fn limited(mut route: Value, requests: usize) -> Value {
    route["rateLimits"] = json!([{"requests": requests, "unit": "day"}]);
    route
}

/// Prefixes that look like Envoy's command operators, and one that is too long for a header value set by a route.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_with_unusual_name_is_identified() -> Result<()> {
    let web = Echo::start("web").await?;
    let long = format!("/{}", "x".repeat(20_000));
    let prefixes = ["/a%20b", "/%25ROUTE_NAME%25", long.as_str()];
    let services = json!([{"name": "web", "port": 80}]);
    let routes = |to: &dyn Fn(&str) -> Value| {
        let numbered = prefixes.iter().enumerate();
        let routes = numbered.map(|(number, prefix)| limited(to(prefix), 100 + number));
        routes.collect::<Vec<_>>()
    };
    let root = |name: &str, routes: Vec<Value>| {
        let fqdn = format!("{name}.bar.com");
        ingress_route(name, &json!({"virtualhost": {"fqdn": fqdn}, "routes": routes}))
    };
    let plain = routes(&|prefix| json!({"match": prefix, "services": services}));
    let switched = routes(&|prefix| json!({"match": prefix, "delegate": {"name": "all"}}));
    let all = prefixes.map(|prefix| json!({"match": prefix, "services": services}));
    let manifests =
        root("plain", plain) + &root("switched", switched) + &ingress_route("all", &json!({"routes": all}));
    let world = Builder::new(Source::Directory)?
        .manifest("routes.yaml", &manifests)?
        .manifest("web.yaml", &service("default", "web", &[web.address]))?
        .start()
        .await?;
    for host in ["plain.bar.com", "switched.bar.com"] {
        for (number, prefix) in prefixes.iter().enumerate() {
            let path = format!("{prefix}/x");
            world.served_by(host, &path, "web").await?;
            let answer = world.get(host, &path).await?;
            let limit = answer.header("ratelimit-limit");
            ensure!(
                limit == (100 + number).to_string(),
                "{host}, {number}: {answer:?}"
            );
        }
    }
    Ok(())
}
