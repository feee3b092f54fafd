//! A Kubernetes API server and its etcd, for one test. No nodes: pods are addresses of 10.244.0.0/16, which in the
//! network namespace of `scripts/netns.sh` are this machine.

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
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::Mutex};

use crate::{
    client::Connection,
    control::loopback,
    process::Process,
    tls::Authority,
    wait::{PATIENCE, until},
};

/// An address that is this machine's, and that an API server takes for a pod's.
pub const POD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 1));
/// What `scripts/netns.sh` gives the namespace: kube-apiserver wants to tell others an address of its own.
const NODE: &str = "10.244.255.1";
/// Of the group `system:masters`.
const ADMIN_TOKEN: &str = "admin";
const CRDS: &str = "deploy/crds/crds.yaml";

/// What scenarios make, and control.
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
    /// Whether a test has ended its API server.
    disturbed: bool,
    objects: Mutex<Objects>,
    /// What its processes and its clients belong to.
    runtime: Handle,
}

// === impl Cluster ===

impl Cluster {
    /// Starts one that has the CRDs, with all that it writes in `dir`.
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
        cluster.install_crds()?;
        Ok(cluster)
    }

    /// Where the API server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Ends the API server with no warning. What it stored stays.
    pub async fn kill_api_server(&mut self) -> Result<()> {
        self.disturbed = true;
        match self.api_server.take() {
            Some(mut process) => process.kill().await,
            None => bail!("it does not run"),
        }
    }

    /// Starts the API server, where it was before.
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

    /// Takes every object away that a scenario may have made.
    ///
    /// # Errors
    ///
    /// If it does not run, or is not as it was at the start.
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

    /// `kubectl ARGUMENTS`, as the administrator; what it prints.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&self.assets, &self.dir, arguments, "")
    }

    /// Makes the cluster hold what the manifests of a folder say: applies them, and deletes what it was made to hold before
    /// and they say no longer.
    pub fn hold(&self, manifests: &Path) -> Result<()> {
        let held = async { self.objects.lock().await.hold(manifests).await };
        tokio::task::block_in_place(|| self.runtime.block_on(held))
    }

    /// Edits an object by a JSON patch (RFC 6902), as `kubectl patch --type=json` does; on a connection that is kept. `path` is
    /// that of the object, from `/api` or `/apis` on.
    pub async fn patch(&self, path: &str, patch: &Value) -> Result<()> {
        self.objects.lock().await.patch(path, patch).await
    }

    /// Makes etcd forget how it came to be what it is: to go on from any earlier version is then answered 410.
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

    fn install_crds(&self) -> Result<()> {
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
        // To kubectl one that has no status yet is an error, for which it does not wait.
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.kubectl(&established) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Asks etcd's JSON gateway.
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

/// The API server's certificate, the key that it signs accounts with, and the administrator's way in.
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

/// Waits for it: a scenario goes on when it has happened.
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

/// `$KUBEBUILDER_ASSETS`: what `scripts/kube.sh` prints.
fn assets() -> Result<PathBuf> {
    let assets = env::var_os("KUBEBUILDER_ASSETS");
    let assets = assets.context("KUBEBUILDER_ASSETS is not set: KUBEBUILDER_ASSETS=$(scripts/kube.sh)")?;
    Ok(assets.into())
}
