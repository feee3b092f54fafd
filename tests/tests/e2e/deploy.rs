//! The shipped manifests: they apply unchanged, and have the permissions that they need and no others.

use anyhow::{Context, Result, bail, ensure};
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
/// The manifest rendered from the chart.
const WHOLE: &str = "deploy/switchyard.yaml";
/// The name of the root object.
const NAME: &str = "blue-green-root";

fn shipped(path: &str) -> PathBuf {
    paths::repository().join(path)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}

/// A kubeconfig that impersonates a service account of the shipped manifests.
fn kubeconfig_of(cluster: &Cluster, account: &str, dir: &Path) -> Result<PathBuf> {
    let mut config: Value = serde_json::from_slice(&fs::read(cluster.kubeconfig())?)?;
    let name = format!("system:serviceaccount:{NAMESPACE}:{account}");
    config["users"][0]["user"]["as"] = name.into();
    // The namespace of the pod.
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
async fn shipped_manifests_apply_unchanged() -> Result<()> {
    let dir = Builder::new(Source::Directory)?.dir;
    let cluster = Cluster::start(&dir.join("cluster")).await?;
    let whole = shipped(WHOLE);
    for arguments in [
        &["apply", "-f", text(&whole)?][..],
        // Applies again, in both ways.
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
    // The first job of the installation, run as its own account.
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

/// Checks every container of every workload, as stored by the API server.
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

/// The objects of a kind in the rendered chart.
fn rendered(kind: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(shipped(WHOLE))?;
    let documents = text
        .split("\n---\n")
        .filter(|document| document.contains(&format!("\nkind: {kind}\n")));
    documents
        .map(|document| Ok(serde_saphyr::from_str(document)?))
        .collect()
}

fn flags(container: &Value) -> Vec<&str> {
    let words = container["command"].as_array().into_iter().flatten();
    words.filter_map(Value::as_str).collect()
}

/// A tenant's Service may have endpoints that are Envoy's own pod, another Envoy's, or control's.
#[test]
fn platform_ports_are_closed_to_envoy_upstreams() -> Result<()> {
    let daemon_sets = rendered("DaemonSet")?;
    let [envoy] = &daemon_sets[..] else {
        bail!("one DaemonSet")
    };
    let pod = &envoy["spec"]["template"]["spec"];
    let containers: Vec<_> = ["initContainers", "containers"]
        .into_iter()
        .filter_map(|list| pod[list].as_array())
        .flatten()
        .collect();
    let names: Vec<_> = containers.iter().map(|container| &container["name"]).collect();
    ensure!(names == ["bootstrap", "envoy", "shutdown-manager"], "{names:?}");
    for container in &containers {
        // HTTP hooks and probes would need a port that a process listens on.
        ensure!(container.get("lifecycle").is_none(), "{container:#}");
        let ports = container["ports"].as_array().into_iter().flatten();
        let ports: Vec<_> = ports.map(|port| &port["name"]).collect();
        let known = if container["name"] == "envoy" {
            &["http", "https", "status"][..]
        } else {
            &[]
        };
        ensure!(ports == known, "{container:#}");
        ensure!(
            !flags(container).iter().any(|flag| flag.contains("admin-address")),
            "{container:#}"
        );
    }
    ensure!(
        containers[1]["restartPolicy"] == "Always",
        "it ends after the shutdown manager"
    );
    ensure!(
        flags(containers[0]).contains(&"--status-external-only"),
        "{pod:#}"
    );
    ensure!(
        flags(containers[2]).contains(&"--envoy-admin-socket=/config/admin.sock"),
        "{pod:#}"
    );

    let deployments = rendered("Deployment")?;
    let [control] = &deployments[..] else {
        bail!("one Deployment")
    };
    let control = &control["spec"]["template"]["spec"]["containers"][0];
    // The debug pages are on loopback, and xDS requires client certificates.
    let told = flags(control);
    ensure!(
        !told
            .iter()
            .any(|flag| flag.starts_with("--admin-address") || *flag == "--insecure"),
        "{told:?}"
    );
    ensure!(
        told.iter().any(|flag| flag.starts_with("--xds-ca-file=")),
        "{told:?}"
    );
    ensure!(!told.contains(&"--allow-external-names"), "{told:?}");

    for policy in rendered("NetworkPolicy")? {
        for rule in policy["spec"]["ingress"].as_array().context("rules")? {
            for port in rule["ports"].as_array().context("ports")? {
                let open = ["http", "https"].iter().any(|open| port["port"] == *open);
                let from = rule["from"].as_array().map_or(&[][..], Vec::as_slice);
                let of_envoy = from.iter().any(reaches_from_envoy);
                ensure!(
                    open || port["port"] == "xds" || (!from.is_empty() && !of_envoy),
                    "{rule:#}"
                );
            }
        }
    }
    Ok(())
}

/// Returns true if a NetworkPolicy peer selects the Envoy pods.
fn reaches_from_envoy(peer: &Value) -> bool {
    !excludes_envoy(&peer["podSelector"]) && !excludes_envoy(&peer["namespaceSelector"])
}

fn excludes_envoy(selector: &Value) -> bool {
    let excludes = |expression: &Value| {
        let label = match expression["key"].as_str() {
            Some("app.kubernetes.io/component") => "envoy",
            Some("kubernetes.io/metadata.name") => NAMESPACE,
            _ => "switchyard",
        };
        let mut values = expression["values"].as_array().into_iter().flatten();
        expression["operator"] == "NotIn" && values.any(|value| value == label)
    };
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    expressions.any(excludes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_runs_with_the_shipped_permissions() -> Result<()> {
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
    // Control writes Events only for changes that it has seen.
    until("control leads", async || {
        let log = world.control.process.log()?;
        ensure!(
            log.contains("Acquired the leader lease") && log.contains("serving proxies"),
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

    // Shows that the permissions matter: without this one, the status is not updated.
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
async fn switchyard_runs_as_kubectl_plugin() -> Result<()> {
    let installation = BlueGreen::start(Source::ApiServer).await?;
    let world = &installation.world;
    let cluster = world.cluster.as_ref().context("a cluster")?;
    // kubectl finds plugins on the PATH by their names.
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
