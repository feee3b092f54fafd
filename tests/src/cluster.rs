//! A Kubernetes API server and its etcd, for tests. There are no nodes; pods have addresses in 10.244.0.0/16, which are
//! local in the network namespace of `scripts/netns.sh`.

mod objects;

use self::objects::Objects;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::{
    env, fs,
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Mutex};

use crate::{client::Connection, control::loopback, process::Process, tls::Authority, wait::until};

/// A local address that the API server accepts as a pod's.
pub const POD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 1));
/// The address that `scripts/netns.sh` assigns to the namespace: kube-apiserver needs a non-loopback address to
/// advertise.
const NODE: &str = "10.244.255.1";
/// The bearer token of a member of `system:masters`.
const ADMIN_TOKEN: &str = "admin";
const CRDS: &str = "deploy/crds/crds.yaml";

/// The kinds that scenarios and control create.
const MADE: [(&str, &str); 6] = [
    ("apis/contour.heptio.com/v1beta1", "ingressroutes"),
    ("apis/contour.heptio.com/v1beta1", "tlscertificatedelegations"),
    ("apis/discovery.k8s.io/v1", "endpointslices"),
    ("apis/coordination.k8s.io/v1", "leases"),
    ("api/v1", "services"),
    ("api/v1", "secrets"),
];

/// A running cluster. Dropping it kills it.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    assets: PathBuf,
    address: SocketAddr,
    etcd_address: SocketAddr,
    etcd: Process,
    api_server: Option<Process>,
    /// Set once a test has killed the API server.
    disturbed: bool,
    objects: Mutex<Objects>,
    /// The runtime that the processes and clients belong to.
    runtime: Handle,
}

// === impl Cluster ===

impl Cluster {
    /// Starts a cluster with the CRDs, which writes all its files to `dir`.
    pub async fn start(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let (address, etcd_address, assets) = (loopback()?, loopback()?, assets()?);
        let authority = write_credentials(dir, address)?;
        let mut cluster = Self {
            dir: dir.to_owned(),
            etcd: start_etcd(&assets, dir, etcd_address)?,
            assets,
            address,
            etcd_address,
            api_server: None,
            disturbed: false,
            objects: Mutex::new(Objects::new(address, authority)),
            runtime: Handle::current(),
        };
        cluster.start_api_server().await?;
        cluster.install_crds().await?;
        Ok(cluster)
    }

    /// The address of the API server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Kills the API server. Its stored objects stay.
    pub async fn kill_api_server(&mut self) -> Result<()> {
        self.disturbed = true;
        match self.api_server.take() {
            Some(mut process) => process.kill().await,
            None => bail!("it does not run"),
        }
    }

    /// Starts the API server at its previous address.
    pub async fn start_api_server(&mut self) -> Result<()> {
        let mut command = tokio::process::Command::new(self.assets.join("kube-apiserver"));
        command
            .arg(format!("--etcd-servers=http://{}", self.etcd_address))
            .arg(format!("--secure-port={}", self.address.port()))
            .args(["--bind-address=127.0.0.1", "--advertise-address", NODE])
            .args([
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",
            ])
            .args([
                "--service-cluster-ip-range=10.96.0.0/16",
                "--token-auth-file=tokens",
            ])
            .args(["--service-account-issuer=https://kubernetes.default.svc"])
            .args(["--service-account-key-file=accounts.pub"])
            .args(["--service-account-signing-key-file=accounts.pem"])
            .args(["--tls-cert-file=server.crt", "--tls-private-key-file=server.key"])
            .current_dir(&self.dir);
        self.api_server = Some(Process::spawn(command, &self.dir.join("kube-apiserver.log"))?);
        let Self { etcd, api_server, .. } = self;
        until("the API server is ready", async || {
            etcd.check()?;
            api_server.as_mut().context("it runs")?.check()?;
            kubectl(&self.assets, &self.dir, &["get", "--raw", "/readyz"], "")
        })
        .await?;
        Ok(())
    }

    /// The CPU time of the API server and of etcd since their start.
    ///
    /// # Errors
    ///
    /// If one of them is not running.
    pub fn cpu(&self) -> Result<Duration> {
        let api_server = self.api_server.as_ref().context("it does not run")?;
        Ok(api_server.cpu()? + self.etcd.cpu()?)
    }

    /// Deletes every object that a scenario may have created.
    ///
    /// # Errors
    ///
    /// If the cluster is not running, or is not in its initial state.
    pub fn clear(&self) -> Result<()> {
        ensure!(!self.disturbed, "its API server was ended");
        self.delete_all(&MADE)
    }

    /// Deletes all objects of these kinds, given as the path of their group and version, and their plural.
    pub fn delete_all(&self, kinds: &[(&str, &str)]) -> Result<()> {
        let deleted = async { self.objects.lock().await.clear(kinds).await };
        tokio::task::block_in_place(|| self.runtime.block_on(deleted))
    }

    #[must_use]
    pub fn kubectl_program(&self) -> PathBuf {
        self.assets.join("kubectl")
    }

    /// Runs `kubectl ARGUMENTS` as the administrator, and returns its output.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&self.assets, &self.dir, arguments, "")
    }

    /// Applies the manifests of a folder, and deletes the objects that an earlier call applied and that are no longer
    /// in them.
    pub fn hold(&self, manifests: &Path) -> Result<()> {
        let held = async { self.objects.lock().await.hold(manifests).await };
        tokio::task::block_in_place(|| self.runtime.block_on(held))
    }

    /// Edits an object by a JSON patch (RFC 6902), as `kubectl patch --type=json` does, but on a persistent connection.
    /// `path` is the object's, from `/api` or `/apis` on.
    pub async fn patch(&self, path: &str, patch: &Value) -> Result<()> {
        self.objects.lock().await.patch(path, patch).await
    }

    /// Creates an object, on the same connection. `path` is that of its kind.
    pub async fn create(&self, path: &str, object: &Value) -> Result<()> {
        self.objects.lock().await.create(path, object).await
    }

    /// Compacts etcd to the latest revision: watches from earlier versions are then answered 410.
    pub async fn compact(&self) -> Result<()> {
        let revision = self.etcd("/v3/kv/range", &json!({"key": "AA=="})).await?;
        let revision = revision["header"]["revision"].clone();
        self.etcd(
            "/v3/kv/compaction",
            &json!({"revision": revision, "physical": true}),
        )
        .await?;
        Ok(())
    }

    async fn install_crds(&self) -> Result<()> {
        let crds = crate::paths::repository().join(CRDS);
        let crds = crds.to_str().context("a path that is text")?;
        self.kubectl(&["apply", "--server-side", "-f", crds])?;
        let established = [
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "crd",
            "--all",
        ];
        // `kubectl wait` fails for a CRD without a status instead of waiting for it.
        until("the CRDs are established", async || self.kubectl(&established)).await?;
        Ok(())
    }

    /// Sends a request to etcd's JSON gateway.
    async fn etcd(&self, path: &str, request: &Value) -> Result<Value> {
        let body = Full::new(Bytes::from(request.to_string())).boxed();
        let request = Request::post(path).header("host", self.etcd_address.to_string());
        let mut connection = Connection::open(self.etcd_address).await?;
        let answer = connection.send_body(request, body).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

fn start_etcd(assets: &Path, dir: &Path, address: SocketAddr) -> Result<Process> {
    let (clients, peers) = (format!("http://{address}"), format!("http://{}", loopback()?));
    let mut command = tokio::process::Command::new(assets.join("etcd"));
    command
        .arg("--data-dir=etcd")
        .arg("--unsafe-no-fsync")
        .arg(format!("--listen-client-urls={clients}"))
        .arg(format!("--advertise-client-urls={clients}"))
        .arg(format!("--listen-peer-urls={peers}"))
        .arg(format!("--initial-advertise-peer-urls={peers}"))
        .arg(format!("--initial-cluster=default={peers}"))
        .current_dir(dir);
    Process::spawn(command, &dir.join("etcd.log"))
}

/// Writes the API server's certificate, its key for service account tokens, and the administrator's token and
/// kubeconfig.
fn write_credentials(dir: &Path, address: SocketAddr) -> Result<Authority> {
    let authority = Authority::new()?;
    let certificate = authority.issue("127.0.0.1")?;
    fs::write(dir.join("ca.crt"), authority.pem())?;
    fs::write(dir.join("server.crt"), &certificate.chain)?;
    fs::write(dir.join("server.key"), &certificate.key)?;
    let accounts = KeyPair::generate()?;
    fs::write(dir.join("accounts.pem"), accounts.serialize_pem())?;
    fs::write(dir.join("accounts.pub"), accounts.public_key_pem())?;
    fs::write(
        dir.join("tokens"),
        format!("{ADMIN_TOKEN},admin,admin,system:masters\n"),
    )?;
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://{address}"), "certificate-authority": dir.join("ca.crt"),
        }}],
        "users": [{"name": "admin", "user": {"token": ADMIN_TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    });
    fs::write(dir.join("kubeconfig"), kubeconfig.to_string())?;
    Ok(authority)
}

/// Runs kubectl and blocks until it exits.
fn kubectl(assets: &Path, dir: &Path, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(assets.join("kubectl"))
        .arg("--kubeconfig")
        .arg(dir.join("kubeconfig"))
        .arg(format!("--cache-dir={}", dir.join("kubectl").display()))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("it has an input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = tokio::task::block_in_place(|| child.wait_with_output())?;
    ensure!(
        output.status.success(),
        "kubectl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The folder `$KUBEBUILDER_ASSETS`, as printed by `scripts/kube.sh`.
fn assets() -> Result<PathBuf> {
    let assets = env::var_os("KUBEBUILDER_ASSETS");
    let assets = assets.context("KUBEBUILDER_ASSETS is not set: KUBEBUILDER_ASSETS=$(scripts/kube.sh)")?;
    Ok(assets.into())
}
