//! The cost of mirroring a share of requests.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{echo::Echo, load::Headers, manifests::service, report::Figure, twins::Twin};

use crate::{
    asked::{ASKED, Asked, asking, twin_way},
    compare::{Row, compare},
};

const PERCENT: usize = 10;
/// A host with a rate limit.
const LIMITED: &str = "limit.bar.com";

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let mut figures = measure_alone().await?;
    figures.extend(measure_beside_limit().await?);
    Ok(figures)
}

/// Measures mirroring as the only policy, against Envoy's own.
async fn measure_alone() -> Result<Vec<Figure>> {
    let copies = Echo::start("copies").await?;
    let copier = service("default", "copies", &[copies.address]);
    let mut asked = Asked::start("bench-mirror", &[(ASKED, mirroring())], &copier).await?;
    let dump = asked
        .world
        .envoys
        .first()
        .context("an Envoy")?
        .config_dump()
        .await?;
    let twin = Twin::bare("mirrored")?.on_routes(json!({"request_mirror_policies": [{
        "cluster": mirror(&dump)?,
        "runtime_fraction": {"default_value": {"numerator": PERCENT, "denominator": "HUNDRED"}},
        "disable_shadow_host_suffix_append": true,
    }]}));
    let ways = [
        asked.way(ASKED, Headers::default()),
        twin_way(&twin, Headers::default()),
    ];
    let costs = compare(&mut asked.world, &[twin], &ways).await?;
    let share = copies.requests() as f64 / asked.requests() as f64;
    ensure!(
        (share - PERCENT as f64 / 100.0).abs() < 0.01,
        "{share} of requests were copied"
    );
    let method = costs.method(["the filter", "`request_mirror_policies`"])
        + &format!(
            " {PERCENT} % of requests are copied, to the same cluster: by the filter's choice, of those that Envoy draws for it, and by \
             `runtime_fraction`. The backend of the copies got {:.2} % of all.",
            share * 100.0
        );
    let row = Row {
        way: 0,
        other: 1,
        cpu: "Envoy CPU for a request, 10 % mirrored against `runtime_fraction`",
        bar: Some(1.2),
        time: "99 % of answers, 10 % mirrored against `runtime_fraction`",
    };
    Ok(costs.figures(row, &method).into())
}

/// Measures the additional cost of mirroring when the filter already handles each request for a rate limit.
async fn measure_beside_limit() -> Result<Vec<Figure>> {
    let copies = Echo::start("copies").await?;
    let copier = service("default", "copies", &[copies.address]);
    let limit = json!({"rateLimits": [{"requests": 1_000_000_000, "unit": "second"}]});
    let policies = [(ASKED, asking(mirroring(), &limit)), (LIMITED, limit)];
    let mut asked = Asked::start("bench-mirror-limit", &policies, &copier).await?;
    let ways = [ASKED, LIMITED].map(|host| asked.way(host, Headers::default()));
    let costs = compare(&mut asked.world, &[], &ways).await?;
    ensure!(copies.requests() > 0, "nothing was copied");
    let method = costs.method(["limit and mirror", "limit"])
        + &format!(
            " A limit that is never reached, for all requests together; with it, {PERCENT} % are copied."
        );
    let row = Row {
        way: 0,
        other: 1,
        cpu: "Envoy CPU for a request, limited and 10 % mirrored against limited",
        bar: None,
        time: "99 % of answers, limited and 10 % mirrored against limited",
    };
    Ok(costs.figures(row, &method).into())
}

fn mirroring() -> Value {
    json!({"mirror": [{"service": "copies", "port": 80, "percent": PERCENT}]})
}

/// The name of the only mirror cluster.
fn mirror(dump: &Value) -> Result<String> {
    let configs = dump["configs"].as_array().context("no dump")?;
    let clusters = configs
        .iter()
        .filter_map(|config| config["dynamic_active_clusters"].as_array());
    let mut names = clusters
        .flatten()
        .filter_map(|cluster| cluster["cluster"]["name"].as_str());
    let name = names.find(|name| name.starts_with("mirror/"));
    Ok(name.context("no cluster that is a mirror")?.to_owned())
}
