//! The statuses and Events of IngressRoutes at an API server: errors and progress.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use switchyard_tests::{
    manifests::{ingress_route, root},
    wait::{PATIENCE, until, within},
    world::{Source, World},
};
use tokio::time::sleep;

use crate::fixture::{BlueGreen, HOST, ROOT, damage_filter};

/// The number of IngressRoutes, more than most clusters have.
const MANY: usize = 3000;

/// An IngressRoute from the API server.
pub(crate) fn get(world: &World, name: &str) -> Result<Value> {
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let object = cluster.kubectl(&["get", "ingressroute", name, "-o", "json"])?;
    Ok(serde_json::from_str(&object)?)
}

/// Waits until a status has all of these values.
pub(crate) async fn says(world: &World, name: &str, want: &[(&str, Value)]) -> Result<Value> {
    until(&format!("the status of {name}"), async || {
        let object = get(world, name)?;
        for (pointer, value) in want {
            let found = object["status"].pointer(pointer);
            ensure!(found == Some(value), "{pointer}: {value}: {}", object["status"]);
        }
        Ok(object)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_reports_errors_and_the_live_branch() -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start_with(Source::ApiServer, |builder| {
        let broken = json!({"virtualhost": {"fqdn": "broken.bar.com"}, "routes": [
            {"match": "/", "delegate": {"name": "nobody"}},
            {"match": "/x", "services": [{"name": "nothing", "port": 80}]},
        ]});
        let alone = json!({"routes": [{"match": "/", "services": [{"name": "blue", "port": 80}]}]});
        builder
            .manifest("broken.yaml", &ingress_route("broken", &broken))?
            .manifest("alone.yaml", &ingress_route("alone", &alone))
    })
    .await?;
    let valid = |text: &str| ("/conditions/0/reason", json!(text));
    let generation = ("/observedGeneration", json!(1));
    says(
        world,
        "blue-green-root",
        &[
            ("/currentStatus", json!("valid")),
            ("/description", json!("valid IngressRoute")),
            ("/switches/0/host", json!(HOST)),
            ("/switches/0/match", json!("/")),
            ("/switches/0/active", json!("default/blue")),
            ("/switches/0/proxies", json!("1/1")),
            ("/activeBranch", json!("default/blue")),
            ("/conditions/1/type", json!("Programmed")),
            ("/conditions/1/status", json!("True")),
            valid("Valid"),
            generation.clone(),
        ],
    )
    .await?;
    says(
        world,
        "broken",
        &[
            ("/currentStatus", json!("invalid")),
            (
                "/errors/1",
                json!("spec.routes[1].services[0].name: Service [nothing:80] is invalid or missing"),
            ),
            valid("Invalid"),
            generation.clone(),
        ],
    )
    .await?;
    let orphaned = [
        ("/currentStatus", json!("orphaned")),
        valid("Orphaned"),
        generation,
    ];
    says(world, "alone", &orphaned).await?;

    applied_by_switchyard(world)?;
    world.switch(&[ROOT, "green"]).await?;
    let switched = [
        ("/activeBranch", json!("default/green")),
        ("/switches/0/previous", json!("default/blue")),
        ("/switches/0/proxies", json!("1/1")),
        ("/observedGeneration", json!(2)),
    ];
    says(world, "blue-green-root", &switched).await?;
    events(world).await
}

/// Checks that the status was written by server-side apply, which leaves the fields of other managers alone.
fn applied_by_switchyard(world: &World) -> Result<()> {
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let arguments = [
        "get",
        "ingressroute",
        "blue-green-root",
        "--show-managed-fields",
        "-o",
        "json",
    ];
    let object: Value = serde_json::from_str(&cluster.kubectl(&arguments)?)?;
    let managers = object["metadata"]["managedFields"].as_array().context("a list")?;
    let of_status = managers.iter().find(|manager| manager["subresource"] == "status");
    let of_status = of_status.context("nobody has written the status")?;
    ensure!(
        of_status["manager"] == "switchyard" && of_status["operation"] == "Apply",
        "{of_status}"
    );
    Ok(())
}

/// Control writes Events only for changes after its start.
async fn events(world: &World) -> Result<()> {
    // The manifest of the root still names blue.
    world.remove("blue.yaml")?;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let uid = get(world, "blue-green-root")?["metadata"]["uid"].clone();
    until("the Events are there", async || {
        let events = cluster.kubectl(&["get", "events", "-o", "json"])?;
        let events: Value = serde_json::from_str(&events)?;
        let all = events["items"].as_array().context("a list")?;
        let of_root = all.iter().filter(|event| event["involvedObject"]["uid"] == uid);
        let told: Vec<_> = of_root
            .map(|event| format!("{} {} {}", event["type"], event["reason"], event["message"]))
            .collect();
        for want in [
            "\"Normal\" \"Switched\" \"blue-green.bar.com /: from default/blue to default/green",
            "\"Warning\" \"Invalid\"",
        ] {
            ensure!(
                told.iter().any(|event| event.starts_with(want)),
                "{want}: {told:#?}"
            );
        }
        Ok(())
    })
    .await
}

/// The Events of the root's switches, oldest first.
fn switched(world: &World) -> Result<Vec<String>> {
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let uid = get(world, "blue-green-root")?["metadata"]["uid"].clone();
    let events = cluster.kubectl(&["get", "events.events.k8s.io", "-o", "json"])?;
    let events: Value = serde_json::from_str(&events)?;
    let all = events["items"].as_array().context("a list")?;
    let told = all
        .iter()
        .filter(|event| event["regarding"]["uid"] == uid && event["reason"] == "Switched");
    let mut told: Vec<_> = told
        .map(|event| (event["eventTime"].to_string(), event["note"].to_string()))
        .collect();
    told.sort();
    Ok(told.into_iter().map(|(_, note)| note).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switch_event_names_its_author() -> Result<()> {
    let delegate = |delegate: Value| {
        let routes = json!([{"match": "/", "delegate": delegate}]);
        ingress_route(
            "blue-green-root",
            &json!({"virtualhost": {"fqdn": HOST}, "routes": routes}),
        )
    };
    let listed = delegate(json!({"name": "blue", "standby": ["blue", "green"]}));
    let BlueGreen { world, .. } = &BlueGreen::start_with(Source::ApiServer, |builder| {
        builder.manifest("root.yaml", &listed)
    })
    .await?;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let patch = |path: &str, value: Value| {
        let patch =
            json!([{"op": "replace", "path": format!("/spec/routes/0/delegate/{path}"), "value": value}]);
        cluster.kubectl(&[
            "patch",
            "ingressroute",
            "blue-green-root",
            "--type=json",
            "-p",
            &patch.to_string(),
        ])
    };
    let green = ("/switches/0/active", json!("default/green"));
    let blue = ("/switches/0/active", json!("default/blue"));
    says(world, "blue-green-root", std::slice::from_ref(&blue)).await?;
    patch("name", json!("green"))?;
    says(
        world,
        "blue-green-root",
        &[green.clone(), ("/currentStatus", json!("valid"))],
    )
    .await?;
    // These edits are not switches.
    patch("standby", json!(["green", "blue"]))?;
    cluster.kubectl(&[
        "patch", "ingressroute", "blue-green-root", "--type=json", "-p",
        r#"[{"op": "add", "path": "/spec/routes/0/delegate/canary", "value": {"percent": 5, "branch": "green"}}]"#,
    ])?;
    patch("name", json!("blue"))?;
    says(world, "blue-green-root", &[blue]).await?;
    world.ask("switch", &[ROOT, "green"]).await?.succeeded()?;
    world.ask("switch", &[ROOT, "--undo"]).await?.succeeded()?;
    let [forth, back] = [("blue", "green"), ("green", "blue")]
        .map(|(from, to)| format!("blue-green.bar.com /: from default/{from} to default/{to}, by"));
    let want = [
        format!("\"{forth} kubectl-patch\""),
        format!("\"{back} kubectl-patch\""),
        format!("\"{forth} switchyard-switch\""),
        format!("\"{back} switchyard-undo\""),
    ];
    until("each switch is told", async || {
        let told = switched(world)?;
        ensure!(told == want, "{told:#?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switch_without_control_waits_for_the_status() -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(Source::ApiServer).await?;
    for (arguments, branch) in [(&[ROOT, "green"][..], "green"), (&[ROOT, "--undo"], "blue")] {
        let outcome = world.ask("switch", arguments).await?.succeeded()?;
        ensure!(
            outcome.stdout.starts_with("live on 1/1 proxies in "),
            "{outcome:?}"
        );
        world.served_by(HOST, "/", branch).await?;
    }
    let outcome = world.ask("switch", &[ROOT, "nobody"]).await?;
    ensure!(
        outcome.code == Some(1) && outcome.stderr.contains("there are: blue, green"),
        "{outcome:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switch_names_lagging_proxies_from_the_status() -> Result<()> {
    let world: &mut World = &mut BlueGreen::start_with(Source::ApiServer, |builder| Ok(builder.envoys(2)))
        .await?
        .world;
    says(world, "blue-green-root", &[("/switches/0/proxies", json!("2/2"))]).await?;
    let fails = async |world: &World, branch: &str, live: &str, why: &str| {
        let outcome = world.ask("switch", &[ROOT, branch, "--timeout", "3s"]).await?;
        ensure!(outcome.code == Some(1), "{outcome:?}");
        ensure!(outcome.stdout.contains(live), "{outcome:?}");
        ensure!(outcome.stderr.contains(why), "{outcome:?}");
        Ok(())
    };
    let stopped = world.envoys.first().context("an Envoy")?;
    stopped.process.signal(Signal::STOP)?;
    fails(world, "green", "live on 1/2 proxies", "envoy-0 has not answered").await?;
    stopped.process.signal(Signal::CONT)?;
    let outcome = world.ask("switch", &[ROOT, "blue"]).await?.succeeded()?;
    ensure!(
        outcome.stdout.starts_with("live on 2/2 proxies in "),
        "{outcome:?}"
    );

    damage_filter(world).await?;
    let mut branches = ["green", "blue"].into_iter().cycle();
    // Control was killed, and waits for its Lease.
    within(PATIENCE * 2, "the refusal is told", async || {
        let branch = branches.next().context("endless")?;
        let why = "1 of 2 connected proxies have acknowledged it; envoy-0 rejected TypedExtensionConfig ";
        fails(world, branch, "live on 1/2 proxies", why).await
    })
    .await
}

/// Retries up to three times: on a busy machine, the proxy may be late to reconnect, which is written to the status.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_keeps_unchanged_statuses() -> Result<()> {
    let mut installation = BlueGreen::start(Source::ApiServer).await?;
    let mut written = Vec::new();
    for restart in 1..=3 {
        let [before, after] = around_a_restart(&mut installation.world, restart).await?;
        let is_as_it_was = |field: &&str| before.pointer(field) == after.pointer(field);
        let fields = [
            "/status/conditions/0/lastTransitionTime",
            "/status/conditions/1/lastTransitionTime",
            "/metadata/uid",
        ];
        if fields.iter().all(is_as_it_was) {
            return Ok(());
        }
        written.push(format!("{before:#} {after:#}"));
    }
    bail!("{}", written.join("\n"))
}

/// The root before control restarts, and afterwards, once control has written another status.
async fn around_a_restart(world: &mut World, number: usize) -> Result<[Value; 2]> {
    let live = [
        ("/switches/0/proxies", json!("1/1")),
        ("/currentStatus", json!("valid")),
    ];
    let before = says(world, "blue-green-root", &live).await?;
    world.control.process.signal(Signal::TERM)?;
    until("it has given the Lease back", async || {
        let log = world.control.process.log()?;
        ensure!(log.matches("Released the Lease").count() == number, "{log}");
        Ok(())
    })
    .await?;
    world.control.restart().await?;
    until("it leads again", async || {
        let log = world.control.process.log()?;
        ensure!(
            log.matches("Acquired the leader lease").count() == number + 1,
            "{log}"
        );
        Ok(())
    })
    .await?;
    // Its status is written after all others.
    let name = format!("new-{number}");
    let manifest = root("default", &name, &format!("{name}.bar.com"), "green");
    world.write(&format!("{name}.yaml"), &manifest)?;
    says(world, &name, &[("/switches/0/proxies", json!("1/1"))]).await?;
    let after = says(world, "blue-green-root", &live).await?;
    Ok([before, after])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_status_is_overwritten_at_a_limited_rate() -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(Source::ApiServer).await?;
    let valid = [("/currentStatus", json!("valid"))];
    says(world, "blue-green-root", &valid).await?;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let theirs = r#"{"status": {"currentStatus": "theirs"}}"#;
    let mut ours = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        let patch = [
            "patch",
            "ingressroute",
            "blue-green-root",
            "--subresource=status",
            "--type=merge",
            "-p",
            theirs,
            "-o",
            "json",
        ];
        let written: Value = serde_json::from_str(&cluster.kubectl(&patch)?)?;
        sleep(Duration::from_millis(100)).await;
        ours += usize::from(version(&written) != version(&get(world, "blue-green-root")?));
    }
    println!("{ours} writes against somebody in {:?}", begun.elapsed());
    ensure!((1..=8).contains(&ours), "{ours}");
    says(world, "blue-green-root", &valid).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_of_thousands_of_objects_are_written() -> Result<()> {
    let mut installation = BlueGreen::start_with(Source::ApiServer, |builder| {
        (0..MANY).try_fold(builder, |builder, number| {
            let fqdn = format!("host-{number}.bar.com");
            let name = format!("root-{number}");
            builder.manifest(&format!("{name}.yaml"), &root("default", &name, &fqdn, "blue"))
        })
    })
    .await?;
    let world = &mut installation.world;
    // Recreates all objects, without statuses.
    world.control.process.kill().await?;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    cluster.clear()?;
    cluster.hold(world.manifests())?;
    let begun = Instant::now();
    world.control.restart().await?;
    // The duration is not checked here. Polling loads the API server as well, so that only the object that sorts last
    // is read each time.
    within(Duration::from_secs(180), "all have a status", async || {
        sleep(Duration::from_millis(500)).await;
        let last = get(world, "root-999")?;
        ensure!(last["status"]["currentStatus"] == "valid", "{last}");
        let path = "jsonpath={range .items[*]}{.status.currentStatus}{'\\n'}{end}";
        let statuses = cluster.kubectl(&["get", "ingressroutes", "-o", path])?;
        let written = statuses.lines().filter(|status| *status == "valid").count();
        // The statuses of the fixture come in addition.
        ensure!(written >= MANY, "{written}");
        Ok(())
    })
    .await?;
    println!(
        "{MANY} statuses were written within {:?} of the start",
        begun.elapsed()
    );
    Ok(())
}
