//! mTLS of xDS: accepted clients, and certificate rotation without interruption.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use switchyard_tests::{
    client::{get, once},
    control::switchyard,
    envoy::Envoy,
    load::Load,
    paths,
    tls::{Authority, Client},
    wait::{PATIENCE, until},
    world::{Source, World, bootstrap},
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::fixture::{BlueGreen, HOST, ROOT};

/// The server name that Envoys expect of control.
const SERVER: &str = "switchyard";
const PARTS: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Control's timeout for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The way in which files are replaced.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Each file is renamed into place.
    Rename,
    /// The layout of a Secret volume: files are symlinks into `..data`, a symlink that is replaced by a rename.
    Link,
}

/// Certificates of `switchyard certgen`, in the folders `server` and `client`.
struct Certificates {
    dir: PathBuf,
    way: Way,
    version: usize,
}

/// An installation with mTLS.
struct Secured {
    installation: BlueGreen,
    certificates: Certificates,
}

/// A new folder for the certificates of a test.
fn folder() -> Result<PathBuf> {
    let test = thread::current().name().unwrap_or("main").to_owned();
    Ok(paths::scratch(&format!("{test}-certificates"))?.canonicalize()?)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}

// === impl Certificates ===

impl Certificates {
    async fn new(way: Way) -> Result<Self> {
        let mut certificates = Self {
            dir: folder()?,
            way,
            version: 0,
        };
        certificates.rotate().await?;
        Ok(certificates)
    }

    fn side(&self, side: &str) -> PathBuf {
        self.dir.join(side)
    }

    fn flags(&self, side: &str) -> Vec<String> {
        let flag = |(flag, file)| [flag, self.side(side).join(file).display().to_string()];
        [
            ("--xds-ca-file".to_owned(), PARTS[0]),
            ("--xds-cert-file".to_owned(), PARTS[1]),
            ("--xds-key-file".to_owned(), PARTS[2]),
        ]
        .into_iter()
        .flat_map(flag)
        .collect()
    }

    /// Certificates of which each side has its own copy, updated from `made` at its own time.
    fn apart(dir: &Path) -> Result<Self> {
        let apart = Self {
            dir: dir.to_owned(),
            way: Way::Rename,
            version: 0,
        };
        apart.take("server")?;
        apart.take("client")?;
        Ok(apart)
    }

    /// Updates the copy of a side.
    fn take(&self, side: &str) -> Result<()> {
        let (made, taken) = (self.dir.join("made").join(side), self.side(side));
        fs::create_dir_all(&taken)?;
        for part in PARTS {
            let aside = self.dir.join("aside");
            fs::copy(made.join(part), &aside)?;
            fs::rename(&aside, taken.join(part))?;
        }
        Ok(())
    }

    /// Replaces the CA, the certificates and the keys of both sides.
    async fn rotate(&mut self) -> Result<()> {
        self.version += 1;
        let made = match self.way {
            Way::Rename => self.dir.clone(),
            Way::Link => self.dir.join(format!("version-{}", self.version)),
        };
        switchyard(&["certgen", "--output-dir", text(&made)?, "--overwrite"])
            .await?
            .succeeded()?;
        match self.way {
            Way::Rename => Ok(()),
            Way::Link => ["server", "client"]
                .into_iter()
                .try_for_each(|side| self.publish(&made, side)),
        }
    }

    /// Updates a side's volume like the kubelet.
    fn publish(&self, made: &Path, side: &str) -> Result<()> {
        let volume = self.side(side);
        let data = format!("..{}", self.version);
        fs::create_dir_all(volume.join(&data))?;
        for part in PARTS {
            fs::copy(made.join(side).join(part), volume.join(&data).join(part))?;
            if self.version == 1 {
                symlink(format!("..data/{part}"), volume.join(part))?;
            }
        }
        symlink(&data, volume.join("..data_tmp"))?;
        Ok(fs::rename(volume.join("..data_tmp"), volume.join("..data"))?)
    }

    /// Copies the current files of the client for later use.
    fn client_as_it_is(&self) -> Result<PathBuf> {
        let copy = self.dir.join("client-before");
        fs::create_dir_all(&copy)?;
        for part in PARTS {
            fs::copy(self.side("client").join(part), copy.join(part))?;
        }
        Ok(copy)
    }
}

// === impl Secured ===

impl Secured {
    async fn start(way: Way) -> Result<Self> {
        Self::start_with(Certificates::new(way).await?).await
    }

    async fn start_with(certificates: Certificates) -> Result<Self> {
        let installation = BlueGreen::start_with(Source::Directory, |mut builder| {
            builder.control.flags.extend(certificates.flags("server"));
            builder
                .control
                .bootstrap_flags
                .extend(certificates.flags("client"));
            Ok(builder)
        })
        .await?;
        Ok(Self {
            installation,
            certificates,
        })
    }

    fn world(&self) -> &World {
        &self.installation.world
    }

    /// Checks that a client with this identity is accepted: the server sends data once it has accepted the client's
    /// certificate.
    async fn enter(&self, identity: Option<&Path>) -> Result<()> {
        let ca = self.certificates.side("client").join("ca.crt");
        let client = Client {
            ca: &ca,
            identity,
            version: &rustls::version::TLS13,
        };
        self.enter_as(client).await
    }

    async fn enter_as(&self, client: Client<'_>) -> Result<()> {
        let xds = self.world().control.options.xds;
        let mut stream = client.connect(xds, SERVER).await?;
        let mut settings = [0; 9];
        timeout(PATIENCE, stream.read_exact(&mut settings)).await??;
        let (_, connection) = stream.get_ref();
        ensure!(connection.alpn_protocol() == Some(b"h2"), "no ALPN");
        Ok(())
    }

    async fn enter_as_now(&self) -> Result<()> {
        self.enter(Some(&self.certificates.side("client"))).await
    }

    /// Starts another Envoy.
    async fn another_envoy(&self, node: &str) -> Result<Envoy> {
        let World { dir, control, .. } = self.world();
        let mut envoy = Envoy::start(&bootstrap(dir, &control.options, node, 1).await?)?;
        until("the other Envoy is live", async || {
            envoy.process.check()?;
            let ready = envoy.admin("/ready").await?;
            ensure!(ready.trim() == "LIVE", "{ready}");
            Ok(())
        })
        .await?;
        Ok(envoy)
    }
}

/// The connected Envoys, from `/proxies`.
async fn proxies(world: &World) -> Result<Vec<Value>> {
    let answer = once(world.control.options.admin, get("admin", "/proxies")).await?;
    Ok(serde_json::from_slice(&answer.body)?)
}

async fn connected(world: &World, count: usize) -> Result<Vec<Value>> {
    until("the Envoys are connected", async || {
        let proxies = proxies(world).await?;
        ensure!(proxies.len() == count, "{proxies:?}");
        Ok(proxies)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xds_requires_tls_13_and_a_certificate_of_the_ca() -> Result<()> {
    let secured = Secured::start(Way::Rename).await?;
    let others = secured.certificates.dir.join("others");
    switchyard(&["certgen", "--output-dir", text(&others)?])
        .await?
        .succeeded()?;

    secured.enter_as_now().await?;
    let (server, other) = (secured.certificates.side("server"), others.join("client"));
    for (identity, alert) in [
        (None, "CertificateRequired"),
        (Some(other.as_path()), "UnknownCA"),
        // Control's own certificate is not valid for a client.
        (Some(server.as_path()), "UnsupportedCertificate"),
    ] {
        let refusal = secured.enter(identity).await.err().context("it gets in")?;
        ensure!(
            format!("{refusal:#}").contains(alert),
            "{identity:?}: {refusal:#}"
        );
    }
    let (ca, own) = (server.join("ca.crt"), secured.certificates.side("client"));
    let older = Client {
        ca: &ca,
        identity: Some(&own),
        version: &rustls::version::TLS12,
    };
    let refusal = secured.enter_as(older).await.err().context("it gets in")?;
    ensure!(format!("{refusal:#}").contains("ProtocolVersion"), "{refusal:#}");
    // Plain text is rejected as well.
    let mut plain = TcpStream::connect(secured.world().control.options.xds).await?;
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    let mut answer = Vec::new();
    // The connection may also be reset.
    drop(timeout(PATIENCE, plain.read_to_end(&mut answer)).await?);
    ensure!(answer.len() < 16, "{answer:?}");

    let log = secured.world().control.process.log()?;
    ensure!(log.contains("Rejected an xDS connection"), "{log}");
    let address = proxies(secured.world()).await?[0]["address"].to_string();
    ensure!(address.contains("127.0.0.1:"), "{address}");
    Ok(())
}

/// Envoy rejects a control that it cannot verify.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_rejects_control_of_another_ca_or_name() -> Result<()> {
    let secured = Secured::start(Way::Rename).await?;
    let World { dir, control, .. } = secured.world();
    let others = secured.certificates.dir.join("others");
    switchyard(&["certgen", "--output-dir", text(&others)?])
        .await?
        .succeeded()?;
    let mut of_another_ca = control.options.clone();
    fs::copy(
        secured.certificates.side("client").join("tls.crt"),
        others.join("client/tls.crt"),
    )?;
    fs::copy(
        secured.certificates.side("client").join("tls.key"),
        others.join("client/tls.key"),
    )?;
    for flag in &mut of_another_ca.bootstrap_flags {
        *flag = flag.replace(
            text(&secured.certificates.side("client"))?,
            text(&others.join("client"))?,
        );
    }
    let mut of_another_name = control.options.clone();
    let name = ["--xds-server-name", "another"].map(str::to_owned);
    of_another_name.bootstrap_flags.extend(name);
    for (node, options) in [("another-ca", of_another_ca), ("another-name", of_another_name)] {
        let envoy = Envoy::start(&bootstrap(dir, &options, node, 1).await?)?;
        let failed = match node {
            "another-ca" => "cluster.switchyard-xds.ssl.fail_verify_error",
            _ => "cluster.switchyard-xds.ssl.fail_verify_san",
        };
        until("it refuses control", async || {
            let failures = envoy.stat(failed).await?;
            ensure!(failures > 0, "{failures}");
            Ok(())
        })
        .await?;
        ensure!(envoy.admin("/ready").await?.trim() != "LIVE");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renamed_certificate_files_are_reloaded_under_load() -> Result<()> {
    all_certificates_change_under_load(Way::Rename).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_certificate_symlink_is_reloaded_under_load() -> Result<()> {
    all_certificates_change_under_load(Way::Link).await
}

/// Both sides get new files from another CA. No process restarts: the streams continue, new connections use the new
/// files, and the old certificates are rejected.
async fn all_certificates_change_under_load(way: Way) -> Result<()> {
    let mut secured = Secured::start(way).await?;
    let load = Load::new(secured.world().http(), HOST, "/").start().await?;
    let before = secured.certificates.client_as_it_is()?;
    secured.enter(Some(&before)).await?;
    let stream = proxies(secured.world()).await?[0]["address"].clone();

    secured.certificates.rotate().await?;
    until("the new files count", async || secured.enter_as_now().await).await?;
    let refusal = secured.enter(Some(&before)).await.err().context("it gets in")?;
    ensure!(format!("{refusal:#}").contains("UnknownCA"), "{refusal:#}");

    let world = secured.world();
    world.switch(&[ROOT, "green"]).await?;
    ensure!(
        proxies(world).await?[0]["address"] == stream,
        "the stream was ended"
    );
    let _late = secured.another_envoy("late").await?;
    connected(world, 2).await?;

    // The first Envoy has to reconnect, to a control that does not know its old certificate.
    let world = &mut secured.installation.world;
    let pid = world.control.process.pid();
    world.control.process.check()?;
    world.envoys[0].process.check()?;
    world.control.restart().await?;
    ensure!(world.control.process.pid() != pid);
    connected(world, 2).await?;
    world.switch(&[ROOT, "blue"]).await?;
    world.served_by(HOST, "/", "blue").await?;
    load.stop().await.all_succeeded()
}

/// A CA close to its expiry is renewed, and then the certificates that it signed. Each side gets its files at its own
/// time, and Envoy reconnects after each step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ca_renewal_fails_no_connection() -> Result<()> {
    let dir = folder()?;
    let made = dir.join("made");
    let old = Authority::good_for(DAY * 300)?;
    fs::create_dir_all(made.join("ca"))?;
    for (part, pem) in [
        ("ca.crt", old.pem()),
        ("tls.crt", old.pem()),
        ("tls.key", old.key_pem()),
    ] {
        fs::write(made.join("ca").join(part), pem)?;
    }
    let certgen = async |arguments: &[&str]| {
        let command = ["certgen", "--output-dir", text(&made)?];
        let outcome = switchyard(&[&command[..], arguments].concat()).await?;
        anyhow::Ok(outcome.succeeded()?.stdout)
    };
    certgen(&[]).await?;
    let mut secured = Secured::start_with(Certificates::apart(&dir)?).await?;
    let load = Load::new(secured.world().http(), HOST, "/").start().await?;
    for (arguments, fates) in [
        (
            &["--renew-before", "30d"][..],
            ["renewed", "with the new CA", "with the new CA"],
        ),
        (
            &["--renew-before", "350d", "--lifetime", "400d"],
            ["kept, valid until", "renewed", "renewed"],
        ),
    ] {
        let report = certgen(arguments).await?;
        for (line, fate) in report.lines().zip(fates) {
            ensure!(line.contains(fate), "{fate}: {report}");
        }
        for side in ["server", "client"] {
            secured.certificates.take(side)?;
            let world = &mut secured.installation.world;
            world.control.restart().await?;
            connected(world, 1).await?;
        }
    }
    let world = secured.world();
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/", "green").await?;
    load.stop().await.all_succeeded()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_certificate_files_keep_the_last_valid_ones() -> Result<()> {
    let secured = Secured::start(Way::Rename).await?;
    let world = secured.world();
    let other = Authority::new()?.issue(SERVER)?;
    let (server, aside) = (
        secured.certificates.side("server"),
        secured.certificates.dir.join("aside"),
    );
    let faults = [
        ("tls.crt", "no PEM at all", "contains no certificate in PEM"),
        ("tls.key", other.key.as_str(), "is not the key of"),
        ("ca.crt", "", "contains no certificate in PEM"),
    ];
    for (before, (part, broken, reason)) in faults.into_iter().enumerate() {
        let path = server.join(part);
        let good = fs::read(&path)?;
        fs::write(&aside, broken)?;
        fs::rename(&aside, &path)?;
        let complaint = format!("{}: {reason}", path.display());
        until("control complains", async || {
            let log = world.control.process.log()?;
            ensure!(log.contains(&complaint), "{complaint}: {log}");
            Ok(())
        })
        .await?;
        secured.enter_as_now().await?;
        fs::write(&path, good)?;
        until("control is content", async || {
            let log = world.control.process.log()?;
            ensure!(
                log.matches("xDS certificates are valid again").count() == before + 1,
                "{log}"
            );
            Ok(())
        })
        .await?;
    }
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/", "green").await?;
    let log = world.control.process.log()?;
    ensure!(
        log.matches("the last valid ones stay in use").count() == 3,
        "{log}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_clients_are_closed_and_delay_no_other() -> Result<()> {
    let secured = Secured::start(Way::Rename).await?;
    let xds = secured.world().control.options.xds;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(xds).await?);
    }
    let begun = Instant::now();
    for _ in 0..10 {
        secured.enter_as_now().await?;
    }
    let _late = secured.another_envoy("late").await?;
    let took = begun.elapsed();
    ensure!(took < HANDSHAKE, "{took:?}");
    for stream in &mut silent {
        let read = timeout(PATIENCE, stream.read(&mut [0])).await?;
        ensure!(read.is_err() || read? == 0, "a silent client was answered");
    }
    let log = secured.world().control.process.log()?;
    let lines = log.matches("no TLS handshake within 5s").count();
    ensure!((1..10).contains(&lines), "{lines} lines: {log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn insecure_flag_logs_a_warning() -> Result<()> {
    let installation =
        BlueGreen::start_with(Source::Directory, |builder| Ok(builder.flag("--insecure"))).await?;
    let log = installation.world.control.process.log()?;
    let warned = log
        .lines()
        .any(|line| line.contains("WARN") && line.contains("NOT ENCRYPTED"));
    ensure!(warned, "{log}");
    Ok(())
}
