//! Envoy's metrics of policies: by policy, route, branch and result.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    client::{Connection, get},
    echo::Echo,
    manifests::{ingress_route, service},
    world::{Builder, Source, World},
};

const HOST: &str = "bar.com";
/// The maximum number of series that a worker distinguishes by policy, route and branch, and of additional ones by
/// policy only.
const MAX_SERIES: usize = 1_000;

fn to_web(prefix: &str) -> Value {
    json!({"match": prefix, "services": [{"name": "web", "port": 80}]})
}

/// Adds a limit that is never reached.
fn limited(mut level: Value) -> Value {
    level["rateLimits"] = json!([{"requests": 1_000_000, "unit": "day"}]);
    level
}

fn root(virtualhost: &Value, routes: &Value) -> String {
    ingress_route("root", &json!({"virtualhost": virtualhost, "routes": routes}))
}

async fn start(manifests: &str) -> Result<(World, Echo)> {
    let web = Echo::start("web").await?;
    let world = Builder::new(Source::Directory)?
        .workers(1)
        .manifest("routes.yaml", manifests)?
        .manifest("web.yaml", &service("default", "web", &[web.address]))?
        .start()
        .await?;
    Ok((world, web))
}

/// The policy samples in Envoy's Prometheus output.
pub(crate) async fn scrape(world: &World) -> Result<Vec<String>> {
    let envoy = world.envoys.first().context("an Envoy")?;
    let text = envoy.admin("/stats/prometheus?filter=switchyard.policy").await?;
    let samples = text.lines().filter(|line| line.starts_with("switchyard_policy{"));
    Ok(samples.map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_results_are_counted_by_route_and_branch() -> Result<()> {
    let below = |name: &str, prefix: &str, to: &str| {
        let delegate = json!({"match": prefix, "delegate": {"name": to}});
        ingress_route(name, &json!({"routes": [delegate]}))
    };
    let routes = json!([
        limited(json!({"match": "/", "delegate": {"name": "team"}})),
        limited(to_web("/v1.2")),
    ]);
    let manifests = root(&limited(json!({"fqdn": HOST})), &routes)
        + &below("team", "/", "green")
        + &ingress_route("green", &json!({"routes": [limited(to_web("/"))]}));
    let (world, _web) = start(&manifests).await?;
    world.served_by(HOST, "/", "web").await?;
    world.served_by(HOST, "/v1.2", "web").await?;
    let samples = scrape(&world).await?;
    let of = |policy: &str, route: &str, branch: &str| {
        let labels = format!(r#"policy="{policy}",route="{route}",branch="{branch}",result="allowed""#);
        samples.iter().any(|sample| sample.contains(&labels))
    };
    ensure!(
        of(
            "default/root_virtualhost",
            "bar.com/",
            "default/team>default/green"
        ) && of("default/root_virtualhost", "bar.com/v1.2", "")
            && of("default/root_route_/", "bar.com/", "default/team>default/green")
            && of("default/green_route_/", "bar.com/", "default/team>default/green")
            && of("default/root_route_/v1.2", "bar.com/v1.2", "")
            && samples.len() == 5,
        "{samples:#?}"
    );
    Ok(())
}

/// Many routes get one request each, and the first ones another at the end. Beyond the bound, requests are counted by
/// policy only, and finally all together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_metrics_have_bounded_cardinality() -> Result<()> {
    // More than the counters that a worker caches, so that those of the first routes are evicted.
    const ROUTES: usize = 8 * MAX_SERIES + 100;
    const TWICE: usize = 10;
    let prefix = |number: usize| format!("/{number}/");
    let routes = (0..ROUTES).map(|number| limited(to_web(&prefix(number))));
    let (world, _web) = start(&root(&json!({"fqdn": HOST}), &routes.collect())).await?;
    world.served_by(HOST, "/0/", "web").await?;
    let mut connection = Connection::open(world.http()).await?;
    for number in (1..ROUTES).chain(1..=TWICE) {
        let answer = connection.send(get(HOST, &prefix(number))).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    let samples = scrape(&world).await?;
    let count = |part: &str| samples.iter().filter(|sample| sample.contains(part)).count();
    let twice = samples.iter().filter(|sample| sample.ends_with("} 2"));
    let counts = [
        samples.len(),
        count(r#"route="other",branch="other""#),
        twice.count(),
    ];
    ensure!(
        counts == [2 * MAX_SERIES + 1, MAX_SERIES + 1, TWICE],
        "{counts:?}"
    );
    let rest = format!(
        r#"switchyard_policy{{policy="other",route="other",branch="other",result="allowed"}} {}"#,
        ROUTES - 2 * MAX_SERIES
    );
    ensure!(samples.contains(&rest), "{samples:#?}");
    Ok(())
}
