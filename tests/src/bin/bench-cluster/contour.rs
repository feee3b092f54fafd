//! Contour, started as by its example deployment, except that xDS is on loopback in plain text as Switchyard's is, and
//! that requests to the API server are not throttled.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use switchyard_tests::{
    cluster::Cluster,
    control::loopback,
    envoy::{Envoy, EnvoyOptions},
    process::Process,
};
use tokio::process::Command;

use crate::{
    installation::{Installation, Routes, WORKERS},
    manifests,
};

const ROUTES: Routes = Routes {
    kind: "httpproxies.projectcontour.io",
    api_version: "projectcontour.io/v1",
    kind_name: "HTTPProxy",
    collection: "/apis/projectcontour.io/v1/namespaces/default/httpproxies",
    spec: manifests::proxy_spec,
    delegate: "/spec/includes/0/name",
};

/// Contour's default, 20, delays its updates until the statuses are written.
const QUERIES_PER_SECOND: &str = "1000";

pub(crate) fn install_crds(cluster: &Cluster) -> Result<()> {
    let crds = assets()?.join("crds.yaml");
    let crds = crds.to_str().context("a path that is text")?;
    cluster.kubectl(&["apply", "--server-side", "-f", crds])?;
    let established = [
        "wait",
        "--for=condition=Established",
        "--timeout=30s",
        "crd",
        "--all",
    ];
    cluster.kubectl(&established).map(drop)
}

/// Starts Contour and its Envoy, which write all their files to `dir`.
pub(crate) async fn start(dir: &Path, cluster: &Cluster) -> Result<Installation> {
    let (xds, http) = (loopback()?, loopback()?);
    let control = Process::spawn(serve(cluster, xds, http)?, &dir.join("control.log"))?;
    let envoy = Envoy::start(&bootstrap(dir, xds).await?)?;
    Ok(Installation {
        control,
        envoy,
        http,
        routes: ROUTES,
    })
}

fn serve(cluster: &Cluster, xds: SocketAddr, http: SocketAddr) -> Result<Command> {
    let mut command = Command::new(assets()?.join("contour"));
    command
        .args(["serve", "--insecure"])
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .args(["--kubernetes-client-qps", QUERIES_PER_SECOND])
        .args(["--kubernetes-client-burst", QUERIES_PER_SECOND])
        .args(["--leader-election-resource-namespace", "default"]);
    for (name, address) in [
        ("xds", xds),
        ("envoy-service-http", http),
        ("envoy-service-https", loopback()?),
        ("stats", loopback()?),
        ("http", loopback()?),
        ("health", loopback()?),
        ("debug-http", loopback()?),
    ] {
        command
            .arg(format!("--{name}-address={}", address.ip()))
            .arg(format!("--{name}-port={}", address.port()));
    }
    Ok(command)
}

/// Contour's Envoy bootstrap, with the node names that its DaemonSet passes to Envoy on the command line.
async fn bootstrap(dir: &Path, xds: SocketAddr) -> Result<EnvoyOptions> {
    let bootstrap = dir.join("envoy.json");
    let output = Command::new(assets()?.join("contour"))
        .arg("bootstrap")
        .arg(&bootstrap)
        .arg(format!("--xds-address={}", xds.ip()))
        .arg(format!("--xds-port={}", xds.port()))
        .arg("--admin-address")
        .arg(dir.join("admin.sock"))
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(output.status.success(), "contour bootstrap: {output:?}");
    let mut config: Value = serde_json::from_slice(&fs::read(&bootstrap)?)?;
    config["node"] = json!({"id": "envoy", "cluster": "projectcontour"});
    fs::write(&bootstrap, config.to_string())?;
    Ok(EnvoyOptions {
        bootstrap,
        // The admin interface is on a Unix socket, and the benchmark does not use it.
        admin: loopback()?,
        concurrency: WORKERS,
        log: dir.join("envoy.log"),
    })
}

/// The folder `$CONTOUR`, as printed by `scripts/contour.sh`.
fn assets() -> Result<PathBuf> {
    let assets = env::var_os("CONTOUR");
    let assets = assets.context("CONTOUR is not set: CONTOUR=$(scripts/contour.sh)")?;
    Ok(assets.into())
}
