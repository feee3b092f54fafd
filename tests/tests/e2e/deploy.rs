//! What is shipped for a cluster: it applies as it is, and has the rights that it needs and no others.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use switchyard_tests::{
    cluster::Cluster,
    control::switchyard,
    paths,
    wait::until,
    world::{Builder, Source, World},
};

use tokio::process::Command;

use crate::{
    fixture::{BlueGreen, HOST},
    status::says,
};

const NAMESPACE: &str = "switchyard";
/// What is rendered from the chart.
const WHOLE: &str = "deploy/switchyard.yaml";
/// The root, as an object.
const NAME: &str = "blue-green-root";

fn shipped(path: &str) -> PathBuf {
    paths::repository().join(path)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}

/// Acts as an account of what is shipped.
fn kubeconfig_of(cluster: &Cluster, account: &str, dir: &Path) -> Result<PathBuf> {
    let mut config: Value = serde_json::from_slice(&fs::read(cluster.kubeconfig())?)?;
    let name = format!("system:serviceaccount:{NAMESPACE}:{account}");
    config["users"][0]["user"]["as"] = name.into();
    // A pod's namespace.
    config["contexts"][0]["context"]["namespace"] = NAMESPACE.into();
    let kubeconfig = dir.join(format!("{account}.kubeconfig"));
    fs::write(&kubeconfig, config.to_string())?;
    Ok(kubeconfig)
}

fn switch_to(world: &World, branch: &str) -> Result<()> {
    let cluster = world.cluster.as_ref().context("a cluster")?;
    let patch = json!([{"op": "replace", "path": "/spec/routes/0/delegate/name", "value": branch}]);
    let patch = patch.to_string();
    cluster.kubectl(&["patch", "ingressroute", NAME, "--type=json", "-p", &patch])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shipped_applies_as_it_is() -> Result<()> {
    let dir = Builder::new(Source::Directory)?.dir;
    let cluster = Cluster::start(&dir.join("cluster")).await?;
    let whole = shipped(WHOLE);
    for arguments in [
        &["apply", "-f", text(&whole)?][..],
        // A second time, and by the other way to apply.
        &["apply", "-f", text(&whole)?],
        &[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "-f",
            text(&whole)?,
        ],
    ] {
        let told = cluster.kubectl(arguments)?;
        ensure!(told.contains("daemonset.apps/switchyard-envoy"), "{told}");
    }
    runs_with_the_least_that_it_needs(&cluster)?;
    let mut examples = 0;
    for example in fs::read_dir(shipped("deploy/examples"))? {
        cluster.kubectl(&["apply", "-f", text(&example?.path())?])?;
        examples += 1;
    }
    ensure!(examples >= 10, "{examples}");
    let kubeconfig = cluster.kubeconfig();
    let checked = switchyard(&["check", "--kubeconfig", text(&kubeconfig)?]).await?;
    ensure!(checked.code == Some(0), "{checked:?}");
    // The first thing that runs of it, as its own account.
    let kubeconfig = kubeconfig_of(&cluster, "switchyard-certgen", &dir)?;
    let certgen = [
        "certgen",
        "--kube",
        "-n",
        NAMESPACE,
        "--kubeconfig",
        text(&kubeconfig)?,
    ];
    for _ in 0..2 {
        switchyard(&[&certgen[..], &["--renew-before", "90d"]].concat())
            .await?
            .succeeded()?;
    }
    let secrets = cluster.kubectl(&["-n", NAMESPACE, "get", "secrets", "-o", "name"])?;
    ensure!(secrets.lines().count() == 3, "{secrets}");
    Ok(())
}

/// Every container of every workload, as the API server has it.
fn runs_with_the_least_that_it_needs(cluster: &Cluster) -> Result<()> {
    let kinds = "deployments,daemonsets,jobs,cronjobs";
    let workloads = cluster.kubectl(&["-n", NAMESPACE, "get", kinds, "-o", "json"])?;
    let workloads: Value = serde_json::from_str(&workloads)?;
    let workloads = workloads["items"].as_array().context("a list")?;
    ensure!(workloads.len() == 4, "{workloads:#?}");
    for workload in workloads {
        let spec = match workload["kind"].as_str() {
            Some("CronJob") => &workload["spec"]["jobTemplate"]["spec"],
            _ => &workload["spec"],
        };
        let pod = &spec["template"]["spec"];
        let of_pod = &pod["securityContext"];
        ensure!(of_pod["runAsNonRoot"] == true, "{pod:#}");
        ensure!(of_pod["seccompProfile"]["type"] == "RuntimeDefault", "{pod:#}");
        let lists = ["initContainers", "containers"].map(|list| pod[list].as_array());
        let containers: Vec<_> = lists.into_iter().flatten().flatten().collect();
        ensure!(!containers.is_empty(), "{pod:#}");
        for container in containers {
            let context = &container["securityContext"];
            ensure!(context["readOnlyRootFilesystem"] == true, "{container:#}");
            ensure!(context["allowPrivilegeEscalation"] == false, "{container:#}");
            ensure!(context["capabilities"]["drop"] == json!(["ALL"]), "{container:#}");
            ensure!(
                container["resources"]["limits"]["memory"].is_string(),
                "{container:#}"
            );
        }
        let is_scraped = &spec["template"]["metadata"]["annotations"]["prometheus.io/scrape"];
        let serves = ["Deployment", "DaemonSet"]
            .map(Some)
            .contains(&workload["kind"].as_str());
        ensure!((is_scraped == "true") == serves, "{workload:#}");
    }
    let kept = "networkpolicies,poddisruptionbudgets";
    let kept = cluster.kubectl(&["-n", NAMESPACE, "get", kept, "-o", "name"])?;
    ensure!(kept.lines().count() == 4, "{kept}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_needs_no_right_that_is_not_shipped_with_it() -> Result<()> {
    let certificate = fs::read_to_string(shipped("deploy/examples/tls.yaml"))?;
    let mut installation = BlueGreen::start_with(Source::ApiServer, |builder| {
        builder.manifest("tls.yaml", &certificate)
    })
    .await?;
    let world = &mut installation.world;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    cluster.kubectl(&["apply", "-f", text(&shipped(WHOLE))?])?;
    world.control.options.kubeconfig = Some(kubeconfig_of(cluster, "switchyard", &world.dir)?);
    world.control.options.log = world.dir.join("control-as-itself.log");
    world.control.restart().await?;
    // It tells only of what it saw happen.
    until("control leads", async || {
        let log = world.control.process.log()?;
        ensure!(
            log.contains("Leading") && log.contains("answering proxies"),
            "{log}"
        );
        Ok(())
    })
    .await?;

    switch_to(world, "green")?;
    world.served_by(HOST, "/", "green").await?;
    let live = |branch: &str| {
        [
            ("/activeBranch", json!(format!("default/{branch}"))),
            ("/switches/0/proxies", json!("1/1")),
        ]
    };
    says(world, NAME, &live("green")).await?;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    until(
        "the certificate was read, and Events and Leases written",
        async || {
            let status = "jsonpath={.status.currentStatus}";
            let blog = cluster.kubectl(&["-n", "team-blog", "get", "ingressroute", "blog", "-o", status])?;
            ensure!(blog == "valid", "{blog}");
            let events = cluster.kubectl(&["get", "events.events.k8s.io", "-o", "name"])?;
            ensure!(!events.is_empty());
            let leases = cluster.kubectl(&["-n", NAMESPACE, "get", "leases", "-o", "name"])?;
            ensure!(leases.lines().count() == 2, "{leases}");
            Ok(())
        },
    )
    .await?;
    let log = world.control.process.log()?;
    ensure!(!log.contains("orbidden"), "{log}");

    // That the rights are what lets it: one less, and the status stays behind.
    let less = json!([
        {"op": "test", "path": "/rules/1/resources", "value": ["ingressroutes/status"]},
        {"op": "remove", "path": "/rules/1"},
    ])
    .to_string();
    let role = format!("{NAMESPACE}:{NAMESPACE}");
    cluster.kubectl(&["patch", "clusterrole", &role, "--type=json", "-p", &less])?;
    switch_to(world, "blue")?;
    world.served_by(HOST, "/", "blue").await?;
    until("control is refused", async || {
        let log = world.control.process.log()?;
        ensure!(
            log.contains("Cannot write the status") && log.contains("orbidden"),
            "{log}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switchyard_is_a_plugin_of_kubectl() -> Result<()> {
    let installation = BlueGreen::start(Source::ApiServer).await?;
    let world = &installation.world;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    // As kubectl finds plugins: by their name, on PATH.
    let path = world.dir.join("path");
    fs::create_dir_all(&path)?;
    symlink(paths::switchyard()?, path.join("kubectl-switchyard"))?;
    let kubectl = async |arguments: &[&str]| -> Result<String> {
        let output = Command::new(cluster.kubectl_program())
            .arg("switchyard")
            .args(arguments)
            .env("PATH", &path)
            .env("KUBECONFIG", cluster.kubeconfig())
            .output()
            .await?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let switch = ["switch", "-n", "default", "--context", "test", NAME, "green"];
    kubectl(&switch).await?;
    world.served_by(HOST, "/", "green").await?;
    let tree: Value = serde_json::from_str(&kubectl(&["tree", "-n", "default", "-o", "json"]).await?)?;
    ensure!(tree.to_string().contains("default/green"), "{tree}");
    Ok(())
}
