//! What copies of some requests cost.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    echo::Echo,
    load::{Headers, Load},
    manifests::service,
    report::Figure,
    twins::Twin,
};

use crate::{
    asked::{ASKED, Asked, twin_way},
    compare::{Row, Way, compare},
    least,
};

const PERCENT: usize = 10;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let copies = Echo::start("copies").await?;
    let policy = json!({"mirror": [{"service": "copies", "port": 80, "percent": PERCENT}]});
    let copier = service("default", "copies", &[copies.address]);
    let mut asked = Asked::start("bench-mirror", &[(ASKED, policy)], &copier).await?;
    let dump = asked
        .world
        .envoys
        .first()
        .context("an Envoy")?
        .config_dump()
        .await?;
    let cluster = mirror(&dump)?;
    let module = least::module(&asked.world.dir, &cluster)?;
    let least = Twin::with_module("least", module)?;
    let twin = Twin::bare("mirrored")?.on_routes(json!({"request_mirror_policies": [{
        "cluster": cluster,
        "runtime_fraction": {"default_value": {"numerator": PERCENT, "denominator": "HUNDRED"}},
        "disable_shadow_host_suffix_append": true,
    }]}));
    let ways = [
        asked.way(ASKED, Headers::default()),
        twin_way(&twin, Headers::default()),
        Way::new(Load::new(least.address, ASKED, "/item")),
    ];
    let costs = compare(&mut asked.world, &[twin, least], &ways).await?;
    let share = copies.requests() as f64 / asked.requests() as f64;
    ensure!(
        (share - PERCENT as f64 / 100.0).abs() < 0.01,
        "{share} of requests were copied"
    );
    let method = costs.method(["the filter", "`request_mirror_policies`", "the least module"])
        + &format!(
            " {PERCENT} % of requests are copied, to the same cluster: by the filter's choice, and by `runtime_fraction`. \
             The least module asks for the name of the route, and has each tenth request copied: what is below its cost no filter with the same callbacks can reach. The backend of the copies got {:.2} % of all.",
            share * 100.0
        );
    let rows = [
        Row {
            way: 0,
            other: 1,
            cpu: "Envoy CPU for a request, 10 % mirrored against `runtime_fraction`",
            bar: Some(1.2),
            time: "99 % of answers, 10 % mirrored against `runtime_fraction`",
        },
        Row {
            way: 2,
            other: 1,
            cpu: "Envoy CPU for a request, 10 % mirrored by the least module against `runtime_fraction`",
            bar: None,
            time: "99 % of answers, 10 % mirrored by the least module against `runtime_fraction`",
        },
        Row {
            way: 0,
            other: 2,
            cpu: "Envoy CPU for a request, 10 % mirrored against the least module",
            bar: None,
            time: "99 % of answers, 10 % mirrored against the least module",
        },
    ];
    Ok(rows.iter().flat_map(|row| costs.figures(*row, &method)).collect())
}

/// What control calls the only cluster that is a mirror.
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
