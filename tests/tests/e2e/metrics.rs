//! What control tells of itself: to Prometheus, to the kubelet, and to people.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::Value;
use std::{fs, net::SocketAddr};
use switchyard_tests::{
    client::{Answer, Connection, get, once},
    control::{Control, ControlOptions, loopback},
    metrics::Scrape,
    paths,
    wait::until,
    world::{Source, World},
};

use crate::{
    fixture::{BlueGreen, HOST, ROOT, damage_filter},
    scenarios,
};

scenarios![
    a_switch_is_counted_with_its_way_to_the_proxies,
    a_refusal_is_counted_and_logged,
    the_log_level_is_changed_at_run_time_and_a_bad_one_is_refused,
    the_graph_is_shown_as_tree_shows_it_and_as_a_drawing,
];

const SWITCHED: &str = "switchyard_switched_total";
const PROPAGATED: &str = "switchyard_xds_propagation_seconds_count";
const BUILT: &str = "switchyard_graph_build_seconds_count";
const SENT: &str = "switchyard_xds_resources_sent_total{type=\"TypedExtensionConfig\"}";
const ACKED: &str = "switchyard_xds_acks_total{type=\"TypedExtensionConfig\"}";
const REFUSED: &str = "switchyard_xds_nacks_total{type=\"TypedExtensionConfig\"}";

/// Waits until a scrape has all of this.
async fn says(control: &Control, want: &[(&str, f64)]) -> Result<Scrape> {
    until("the metrics say so", async || {
        let scrape = Scrape::of(control).await?;
        for (sample, value) in want {
            let found = scrape.value(sample)?;
            ensure!(found == *value, "{sample}: {found}, not {value}");
        }
        Ok(scrape)
    })
    .await
}

/// Waits until samples are at least this.
async fn reaches(control: &Control, want: &[(&str, f64)]) -> Result<Scrape> {
    until("the metrics have risen", async || {
        let scrape = Scrape::of(control).await?;
        for (sample, value) in want {
            let found = scrape.value(sample)?;
            ensure!(found >= *value, "{sample}: {found}, less than {value}");
        }
        Ok(scrape)
    })
    .await
}

async fn a_switch_is_counted_with_its_way_to_the_proxies(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let settled = [
        (SWITCHED, 0.0),
        ("switchyard_xds_connections", 1.0),
        ("switchyard_xds_proxies_behind", 0.0),
        ("switchyard_xds_proxies_refusing", 0.0),
        ("switchyard_hosts", 1.0),
        ("switchyard_switches", 1.0),
        ("switchyard_objects{kind=\"IngressRoute\"}", 3.0),
        ("switchyard_ingressroutes{status=\"valid\"}", 2.0),
        ("switchyard_ingressroutes{status=\"orphaned\"}", 1.0),
        ("switchyard_ingressroutes{status=\"invalid\"}", 0.0),
    ];
    let before = says(&world.control, &settled).await?;
    before.check().await?;
    world.switch(&[ROOT, "green"]).await?;
    let rises = [PROPAGATED, BUILT, SENT, ACKED];
    let mut want = vec![(SWITCHED, 1.0)];
    for sample in rises {
        want.push((sample, before.value(sample)? + 1.0));
    }
    let after = reaches(&world.control, &want).await?;
    ensure!(after.value(SWITCHED)? == 1.0, "{after:?}");
    ensure!(after.value(REFUSED)? == 0.0, "{after:?}");
    let seconds = after.value("switchyard_xds_propagation_seconds_sum")?;
    ensure!(seconds > 0.0 && seconds < 30.0, "{seconds}");
    ensure!(after.value("process_resident_memory_bytes")? > 1e6, "{after:?}");
    ensure!(after.value("process_open_fds")? > 3.0, "{after:?}");
    after.check().await
}

async fn a_refusal_is_counted_and_logged(source: Source) -> Result<()> {
    let world = &mut BlueGreen::start(source).await?.world;
    damage_filter(world).await?;
    reaches(
        &world.control,
        &[(REFUSED, 1.0), ("switchyard_xds_proxies_refusing", 1.0)],
    )
    .await?;
    let log = world.control.process.log()?;
    let told = log
        .lines()
        .find(|line| line.contains("A proxy refuses a resource"));
    let told = told.context("nothing is logged")?;
    ensure!(
        told.contains("envoy-0") && told.contains("Unable to create Wasm"),
        "{told}"
    );
    Ok(())
}

async fn put(server: SocketAddr, path: &str, body: &'static str) -> Result<Answer> {
    let request = Request::put(path).header("host", "admin");
    let mut connection = Connection::open(server).await?;
    connection.send_body(request, Full::from(body).boxed()).await
}

async fn the_log_level_is_changed_at_run_time_and_a_bad_one_is_refused(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let admin = world.control.options.admin;
    let level = async || Ok::<_, anyhow::Error>(once(admin, get("admin", "/log-level")).await?.body);
    ensure!(level().await? == "info\n");
    for bad in ["debgu", "", "switchyard=loud"] {
        let answer = put(admin, "/log-level", bad).await?;
        ensure!(
            answer.status == 400 && !answer.body.is_empty(),
            "{bad}: {answer:?}"
        );
    }
    ensure!(level().await? == "info\n");
    world.switch(&[ROOT, "green"]).await?;
    let log = world.control.process.log()?;
    ensure!(
        log.contains("Switched") && !log.contains("Committed"),
        "only what info has: {log}"
    );
    let answer = put(admin, "/log-level", "info,switchyard=debug").await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(level().await? == "info,switchyard=debug\n");
    world.switch(&[ROOT, "blue"]).await?;
    until("the log says more", async || {
        let log = world.control.process.log()?;
        ensure!(log.contains("The log level changes"), "{log}");
        ensure!(log.contains("Committed"), "{log}");
        Ok(())
    })
    .await
}

async fn the_graph_is_shown_as_tree_shows_it_and_as_a_drawing(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let admin = world.control.options.admin;
    let answer = once(admin, get("admin", "/debug/graph")).await?;
    ensure!(answer.header("content-type") == "application/json", "{answer:?}");
    let shown: Value = serde_json::from_slice(&answer.body)?;
    let tree = world.ask("tree", &["-o", "json"]).await?.succeeded()?;
    let tree: Value = serde_json::from_str(&tree.stdout)?;
    ensure!(shown == tree, "{shown:#}\n{tree:#}");
    let drawn = once(admin, get("admin", "/debug/graph?format=dot")).await?;
    let drawn = String::from_utf8(drawn.body.into())?;
    for part in [
        "digraph switchyard {",
        HOST,
        "[label=\"/\", style=bold]",
        "default/green\\nnot delegated to",
    ] {
        ensure!(drawn.contains(part), "{part}: {drawn}");
    }
    let wrong = once(admin, get("admin", "/debug/graph?format=svg")).await?;
    ensure!(wrong.status == 400, "{wrong:?}");
    Ok(())
}

/// What is answered where the kubelet asks.
async fn probe(control: &Control, path: &str) -> Result<u16> {
    Ok(once(control.options.metrics, get("kubelet", path)).await?.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_its_api_server_is_well_and_not_ready() -> Result<()> {
    let dir = paths::scratch("metrics::control_without_its_api_server")?;
    let kubeconfig = dir.join("kubeconfig");
    let nowhere = loopback()?;
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}],
        clusters: [{{name: c, cluster: {{server: \"http://{nowhere}\"}}}}], users: [{{name: u, user: {{}}}}]}}"
    );
    fs::write(&kubeconfig, text)?;
    let mut options = ControlOptions::new(&dir, &dir.join("control.log"))?;
    options.kubeconfig = Some(kubeconfig);
    let control = Control::start(&options)?;
    let scrape = reaches(
        &control,
        &[("switchyard_watch_restarts_total{kind=\"Secret\"}", 1.0)],
    )
    .await?;
    ensure!(scrape.value("switchyard_leader")? == 0.0, "{scrape:?}");
    scrape.check().await?;
    ensure!(probe(&control, "/healthz").await? == 200);
    ensure!(probe(&control, "/readyz").await? == 503);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_its_writes_and_broken_watches_are_counted() -> Result<()> {
    let world: &mut World = &mut BlueGreen::start(Source::ApiServer).await?.world;
    let written = "switchyard_status_writes_total{result=\"success\"}";
    let restarts = "switchyard_watch_restarts_total{kind=\"IngressRoute\"}";
    let want = [("switchyard_leader", 1.0), (written, 1.0)];
    let scrape = reaches(&world.control, &want).await?;
    let before = scrape.value(restarts)?;
    scrape.check().await?;
    ensure!(probe(&world.control, "/healthz").await? == 200);
    ensure!(probe(&world.control, "/readyz").await? == 200);
    world
        .cluster
        .as_mut()
        .context("a cluster")?
        .kill_api_server()
        .await?;
    reaches(&world.control, &[(restarts, before + 1.0)]).await?;
    ensure!(
        probe(&world.control, "/readyz").await? == 200,
        "what was read goes on"
    );
    Ok(())
}
