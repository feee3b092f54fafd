//! Control's metrics, probes and log.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::{Value, json};
use std::{fs, net::SocketAddr};
use switchyard_tests::{
    client::{Answer, Connection, get, once},
    control::{Control, ControlOptions, loopback},
    manifests::ingress_route,
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
    switch_is_counted_with_its_propagation_time,
    nack_is_counted_and_logged,
    log_level_changes_at_run_time_and_invalid_is_rejected,
    json_log_has_a_line_for_each_decision,
    debug_graph_matches_tree_and_renders_as_dot,
];

const SWITCHED: &str = "switchyard_switched_total";
const PROPAGATED: &str = "switchyard_xds_propagation_seconds_count";
const BUILT: &str = "switchyard_graph_build_seconds_count";
const SENT: &str = "switchyard_xds_resources_sent_total{type=\"TypedExtensionConfig\"}";
const ACKED: &str = "switchyard_xds_acks_total{type=\"TypedExtensionConfig\"}";
const REFUSING: &str = "switchyard_xds_proxies_refusing{type=\"TypedExtensionConfig\"}";
const REFUSED: &str = "switchyard_xds_nacks_total{type=\"TypedExtensionConfig\"}";

/// Waits until a scrape has all of these samples.
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

/// Waits until samples are at least these values.
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

async fn switch_is_counted_with_its_propagation_time(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let settled = [
        (SWITCHED, 0.0),
        ("switchyard_xds_connections", 1.0),
        ("switchyard_xds_proxies_behind", 0.0),
        (REFUSING, 0.0),
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

async fn nack_is_counted_and_logged(source: Source) -> Result<()> {
    let world = &mut BlueGreen::start(source).await?.world;
    damage_filter(world).await?;
    reaches(&world.control, &[(REFUSED, 1.0), (REFUSING, 1.0)]).await?;
    let log = world.control.process.log()?;
    let told = log
        .lines()
        .find(|line| line.contains("Proxy rejected a resource"));
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

async fn log_level_changes_at_run_time_and_invalid_is_rejected(source: Source) -> Result<()> {
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
        ensure!(log.contains("Changing the log level"), "{log}");
        ensure!(log.contains("Committed"), "{log}");
        Ok(())
    })
    .await
}

/// The lines of a JSON log whose message starts with this text.
fn lines(log: &str, message: &str) -> Result<Vec<Value>> {
    let all = log.lines().map(serde_json::from_str::<Value>);
    let all = all
        .collect::<Result<Vec<_>, _>>()
        .context("a line that is no JSON")?;
    let says = |line: &Value| {
        line["fields"]["message"]
            .as_str()
            .is_some_and(|told| told.starts_with(message))
    };
    Ok(all.into_iter().filter(says).collect())
}

/// The only line of control's log with this message, once it is there.
async fn a_line(world: &World, message: &str) -> Result<Value> {
    until(message, async || {
        let lines = lines(&world.control.process.log()?, message)?;
        let [line] = &lines[..] else {
            anyhow::bail!("{message}: {} lines", lines.len());
        };
        Ok(line.clone())
    })
    .await
}

async fn json_log_has_a_line_for_each_decision(source: Source) -> Result<()> {
    let mut installation =
        BlueGreen::start_with(source, |builder| Ok(builder.flag("--log-format=json"))).await?;
    let world = &mut installation.world;
    let broken = json!({"virtualhost": {"fqdn": "broken.bar.com"}, "routes": []});
    let route = |service| json!([{"match": "/", "services": [{"name": service, "port": 80}]}]);
    for (service, status) in [("nothing", 503), ("blue", 200)] {
        let mut broken = broken.clone();
        broken["routes"] = route(service);
        world.write("broken.yaml", &ingress_route("broken", &broken))?;
        world.status("broken.bar.com", "/", status).await?;
    }
    world.switch(&[ROOT, "green"]).await?;
    // Control notices new proxies every few seconds.
    a_line(world, "A proxy connected").await?;
    world
        .envoys
        .first_mut()
        .context("an Envoy")?
        .process
        .kill()
        .await?;
    let invalid = "Invalid: Service [nothing:80] is invalid or missing";
    for (message, level, fields) in [
        (
            "Serving",
            "INFO",
            json!({"xds": world.control.options.xds.to_string()}),
        ),
        ("All objects are read", "INFO", json!({"hosts": 1, "switches": 1})),
        ("A proxy connected", "INFO", json!({"node": "envoy-0"})),
        (
            "Switched",
            "INFO",
            json!({"from": "default/blue", "to": "default/green"}),
        ),
        (
            invalid,
            "WARN",
            json!({"ingressroute": "default/broken", "orphaned": false}),
        ),
        ("Valid again", "INFO", json!({"ingressroute": "default/broken"})),
        ("A proxy disconnected", "WARN", json!({"node": "envoy-0"})),
    ] {
        let line = a_line(world, message).await?;
        ensure!(line["level"] == level && line["timestamp"].is_string(), "{line}");
        for (field, value) in fields.as_object().into_iter().flatten() {
            ensure!(line["fields"][field] == *value, "{field}: {value}: {line}");
        }
    }
    Ok(())
}

async fn debug_graph_matches_tree_and_renders_as_dot(source: Source) -> Result<()> {
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

/// The status of a probe.
async fn probe(control: &Control, path: &str) -> Result<u16> {
    Ok(once(control.options.metrics, get("kubelet", path)).await?.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_api_server_is_healthy_but_not_ready() -> Result<()> {
    let dir = paths::scratch("metrics::control_without_api_server")?;
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
async fn leadership_writes_and_watch_restarts_are_counted() -> Result<()> {
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
