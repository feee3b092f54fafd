//! Certificates as Secrets of a real API server.

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use switchyard_tests::{
    cluster::Cluster,
    control::{Outcome, switchyard},
    world::{Builder, Source},
};

/// The number of concurrent runs.
const RUNS: usize = 6;

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}

/// A namespace of a real API server, and an account with the permissions listed in `--help`.
struct Namespace {
    cluster: Cluster,
    kubeconfig: PathBuf,
}

/// The permissions of the account.
const RBAC: &str = "---
apiVersion: v1
kind: Namespace
metadata: {name: edge}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: edge, name: certgen}
rules:
- apiGroups: ['']
  resources: [secrets]
  verbs: [get, create, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: edge, name: certgen}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: certgen}
subjects:
- {kind: ServiceAccount, namespace: edge, name: certgen}
";

// === impl Namespace ===

impl Namespace {
    async fn start() -> Result<Self> {
        let dir = Builder::new(Source::Directory)?.dir;
        let cluster = Cluster::start(&dir.join("cluster")).await?;
        let manifest = dir.join("rbac.yaml");
        fs::write(&manifest, RBAC)?;
        cluster.kubectl(&["apply", "-f", text(&manifest)?])?;
        let mut config: Value = serde_json::from_slice(&fs::read(cluster.kubeconfig())?)?;
        config["users"][0]["user"]["as"] = "system:serviceaccount:edge:certgen".into();
        let kubeconfig = dir.join("cluster/certgen.kubeconfig");
        fs::write(&kubeconfig, config.to_string())?;
        Ok(Self { cluster, kubeconfig })
    }

    async fn try_certgen(&self, arguments: &[&str]) -> Result<Outcome> {
        let before = ["certgen", "--kube", "--kubeconfig", text(&self.kubeconfig)?];
        switchyard(&[&before[..], arguments].concat()).await
    }

    async fn certgen(&self, arguments: &[&str]) -> Result<String> {
        let arguments = [&["-n", "edge"], arguments].concat();
        Ok(self.try_certgen(&arguments).await?.succeeded()?.stdout)
    }

    /// Data, version and labels of the Secrets, ordered by name.
    fn secrets(&self) -> Result<Vec<Value>> {
        let list = self
            .cluster
            .kubectl(&["-n", "edge", "get", "secrets", "-o", "json"])?;
        let list: Value = serde_json::from_str(&list)?;
        Ok(list["items"].as_array().context("a list")?.clone())
    }
}

/// The outcome for each Secret: the word after its name.
fn fates(report: &str) -> Vec<&str> {
    report
        .lines()
        .filter_map(|line| line.split_once(": ")?.1.split_whitespace().next())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certgen_creates_keeps_renews_and_overwrites_secrets() -> Result<()> {
    let namespace = Namespace::start().await?;
    let report = namespace.certgen(&["--lifetime", "1d"]).await?;
    ensure!(fates(&report) == ["created,", "created,", "created,"], "{report}");
    let made = namespace.secrets()?;
    let names: Vec<_> = made
        .iter()
        .map(|secret| secret["metadata"]["name"].clone())
        .collect();
    ensure!(
        names
            == [
                "switchyard-xds-ca",
                "switchyard-xds-client",
                "switchyard-xds-server"
            ],
        "{names:?}"
    );
    for secret in &made {
        ensure!(secret["type"] == "kubernetes.io/tls", "{secret}");
        ensure!(secret["data"]["ca.crt"] == made[0]["data"]["tls.crt"], "{secret}");
    }

    let report = namespace.certgen(&[]).await?;
    ensure!(fates(&report) == ["kept,", "kept,", "kept,"], "{report}");
    ensure!(namespace.secrets()? == made);

    let label = [
        "-n",
        "edge",
        "label",
        "secret",
        "switchyard-xds-client",
        "team=edge",
    ];
    namespace.cluster.kubectl(&label)?;
    let report = namespace.certgen(&["--renew-before", "2d"]).await?;
    ensure!(fates(&report) == ["kept,", "renewed,", "renewed,"], "{report}");
    let renewed = namespace.secrets()?;
    ensure!(renewed[0] == made[0]);
    for (new, old) in renewed.iter().zip(&made).skip(1) {
        ensure!(new["data"]["tls.crt"] != old["data"]["tls.crt"]);
        ensure!(new["data"]["tls.key"] != old["data"]["tls.key"]);
        ensure!(new["data"]["ca.crt"] == old["data"]["ca.crt"]);
    }
    ensure!(
        renewed[1]["metadata"]["labels"]["team"] == "edge",
        "{}",
        renewed[1]
    );
    let report = namespace.certgen(&["--renew-before", "2d"]).await?;
    ensure!(fates(&report) == ["kept,", "kept,", "kept,"], "{report}");

    let report = namespace.certgen(&["--overwrite"]).await?;
    ensure!(fates(&report) == ["renewed,", "renewed,", "renewed,"], "{report}");
    ensure!(namespace.secrets()?[0]["data"]["tls.crt"] != made[0]["data"]["tls.crt"]);

    let refused = namespace.try_certgen(&["-n", "elsewhere"]).await?;
    let said = "cannot get Secret elsewhere/switchyard-xds-ca";
    ensure!(
        refused.code == Some(1) && refused.stderr.contains(said),
        "{refused:?}"
    );
    Ok(())
}

/// Concurrent runs happen with two upgrades, or with a job and an administrator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_runs_agree_on_one_ca() -> Result<()> {
    let namespace = Namespace::start().await?;
    for arguments in [&[][..], &["--overwrite"]] {
        join_all((0..RUNS).map(|_| namespace.certgen(arguments)))
            .await
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        let secrets = namespace.secrets()?;
        ensure!(secrets.len() == 3);
        for secret in &secrets {
            ensure!(
                secret["data"]["ca.crt"] == secrets[0]["data"]["tls.crt"],
                "{secret}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn printed_secrets_apply_and_are_kept() -> Result<()> {
    let namespace = Namespace::start().await?;
    for format in ["yaml", "json"] {
        let printed = switchyard(&["certgen", "-n", "edge", "-o", format])
            .await?
            .succeeded()?;
        let file = namespace.kubeconfig.with_file_name(format!("secrets.{format}"));
        fs::write(&file, printed.stdout)?;
        namespace
            .cluster
            .kubectl(&["apply", "--server-side", "-f", text(&file)?])?;
        let report = namespace.certgen(&["--renew-before", "30d"]).await?;
        ensure!(fates(&report) == ["kept,", "kept,", "kept,"], "{report}");
    }
    Ok(())
}
