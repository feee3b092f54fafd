//! The start and the end of an Envoy, with the components of its pod.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use switchyard_tests::{
    client::{Answer, Connection, get, once},
    cluster::POD,
    control::{Control, ControlOptions, loopback, switchyard},
    envoy::{Envoy, EnvoyOptions},
    load::Load,
    paths,
    process::Process,
    wait::until,
    world::{Source, World, bootstrap},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, UnixStream},
    process::Command,
    time::{Instant, sleep, timeout},
};

use crate::fixture::{BlueGreen, HOST};

/// A shutdown manager.
pub(crate) struct Manager(Process);

// === impl Manager ===

impl Manager {
    /// Starts a manager for the first Envoy.
    pub(crate) async fn start(world: &World, flags: &[&str]) -> Result<Self> {
        let admin = world.envoys.first().context("an Envoy")?.options.admin;
        let log = world.dir.join("shutdown-manager.log");
        Self::start_at(&log, ["--envoy-admin-address", &admin.to_string()], flags).await
    }

    async fn start_at(log: &Path, envoy: [&str; 2], flags: &[&str]) -> Result<Self> {
        let mut command = Command::new(paths::switchyard()?);
        command.arg("shutdown-manager").args(envoy).args(flags);
        // Removes the log of an earlier manager.
        fs::write(log, "")?;
        let process = Process::spawn(command, log)?;
        until("the shutdown manager waits", async || {
            ensure!(process.log()?.contains("Waiting for SIGTERM"));
            Ok(())
        })
        .await?;
        Ok(Self(process))
    }

    /// Makes the manager drain Envoy, waits until it exits, and returns its log.
    pub(crate) fn drain(self) -> tokio::task::JoinHandle<Result<String>> {
        tokio::spawn(async move {
            let log = self.0.log_path().to_owned();
            self.0.terminate().await?;
            Ok(fs::read_to_string(log)?)
        })
    }
}

/// Starts an installation with a status port for the kubelet.
async fn with_status() -> Result<(BlueGreen, SocketAddr)> {
    let status = loopback()?;
    let port = status.port().to_string();
    let flags = ["--status-port", &port].map(str::to_owned);
    let installation = BlueGreen::start_with(Source::Directory, |mut builder| {
        builder.control.bootstrap_flags = flags.to_vec();
        Ok(builder)
    })
    .await?;
    Ok((installation, status))
}

async fn status_of(status: SocketAddr, method: Method, path: &str) -> Result<Answer> {
    let request = get("status", path).method(method);
    timeout(Duration::from_secs(2), once(status, request)).await?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_is_ready_only_with_configuration() -> Result<()> {
    let (installation, _) = with_status().await?;
    let world = &installation.world;
    let status = loopback()?;
    let port = status.port().to_string();
    let options = ControlOptions {
        xds: loopback()?,
        http: loopback()?,
        https: loopback()?,
        admin: loopback()?,
        metrics: loopback()?,
        log: world.dir.join("late.log"),
        bootstrap_flags: ["--status-port", &port].map(str::to_owned).to_vec(),
        ..world.control.options.clone()
    };
    let envoy = Envoy::start(&bootstrap(&world.dir, &options, "early", 1).await?)?;
    // Longer than Envoy's default timeout for its configuration.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(17) {
        let ready = status_of(status, Method::GET, "/ready").await;
        ensure!(
            ready.as_ref().map_or(true, |answer| answer.status != 200),
            "{ready:?}"
        );
        sleep(Duration::from_millis(500)).await;
    }
    ensure!(envoy.admin("/ready").await?.contains("INITIALIZING"));
    let _control = Control::start(&options)?;
    until("it is ready", async || {
        let answer = status_of(status, Method::GET, "/ready").await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await?;
    // A ready Envoy serves requests.
    let answer = once(options.http, get(HOST, "/")).await?;
    ensure!(answer.backend() == "blue", "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_port_serves_only_readiness_and_statistics() -> Result<()> {
    let (installation, status) = with_status().await?;
    let statistics = status_of(status, Method::GET, "/stats/prometheus?usedonly").await?;
    let text = String::from_utf8(statistics.body.into())?;
    ensure!(text.contains("envoy_http_downstream_rq_total"), "{text}");
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/config_dump"),
        (Method::GET, "/stats"),
        (Method::GET, "/ready/../config_dump"),
        (Method::GET, "/ready/%2e%2e/config_dump"),
        (Method::GET, "//config_dump"),
        (Method::POST, "/quitquitquit"),
        (Method::POST, "/ready"),
        (Method::POST, "/stats/prometheus"),
        (Method::POST, "/ready/../quitquitquit"),
    ] {
        let answer = status_of(status, method.clone(), path).await?;
        ensure!(answer.status == 404, "{method} {path}: {answer:?}");
    }
    installation.world.served_by(HOST, "/", "blue").await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_envoy_is_not_ready_and_finishes_requests() -> Result<()> {
    let (installation, status) = with_status().await?;
    let world = &installation.world;
    let manager = Manager::start(world, &["--min-wait", "1s"]).await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    let mut slow = Connection::open(world.http()).await?;
    let begun = Instant::now();
    let asked = get(HOST, "/").header("echo-delay-ms", "4000");
    let answer = tokio::spawn(async move { slow.send(asked).await });
    sleep(Duration::from_millis(300)).await;

    let drained = manager.drain();
    until("it is not ready", async || {
        let ready = status_of(status, Method::GET, "/ready").await?;
        ensure!(ready.status == 503, "{ready:?}");
        Ok(())
    })
    .await?;
    // New requests are still served, and their connections closed.
    let late = once(world.http(), get(HOST, "/")).await?;
    ensure!(
        late.status == 200 && late.header("connection") == "close",
        "{late:?}"
    );
    sleep(Duration::from_secs(2)).await;
    load.stop().await.all_succeeded()?;
    ensure!(!drained.is_finished(), "a request is under way");
    ensure!(answer.await??.status == 200);
    let end = drained.await??;
    ensure!(end.contains("Drain ended: drained"), "{end}");
    ensure!(begun.elapsed() >= Duration::from_secs(4));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_ends_at_max_wait() -> Result<()> {
    let (installation, _) = with_status().await?;
    let world = &installation.world;
    let flags = ["--min-wait", "0s", "--max-wait", "2s"];
    let mut idle = Connection::open(world.http()).await?;
    ensure!(idle.send(get(HOST, "/")).await?.status == 200);
    let manager = Manager::start(world, &flags).await?;
    let end = manager.drain().await??;
    ensure!(end.contains("open connections"), "{end}");
    // The manager does not wait for a tolerated number of connections.
    let manager = Manager::start(world, &["--min-wait", "0s", "--min-open-connections", "9"]).await?;
    let end = manager.drain().await??;
    ensure!(end.contains("Drain ended: drained"), "{end}");
    drop(idle);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_manager_exits_if_envoy_is_gone() -> Result<()> {
    let (mut installation, _) = with_status().await?;
    let world = &mut installation.world;
    let manager = Manager::start(world, &[]).await?;
    world
        .envoys
        .first_mut()
        .context("an Envoy")?
        .process
        .kill()
        .await?;
    let end = manager.drain().await??;
    ensure!(end.contains("Envoy does not answer any more"), "{end}");
    Ok(())
}

/// An Envoy with its admin interface at the default place of `switchyard bootstrap`.
struct WithAdminSocket {
    envoy: Envoy,
    socket: PathBuf,
    /// Removed with this. Not below the target folder, whose path can be longer than a socket's may be.
    _folder: TempDir,
}

async fn with_admin_socket(world: &World, flags: &[&str]) -> Result<WithAdminSocket> {
    let folder = tempfile::tempdir()?;
    let bootstrap = folder.path().join("envoy.json");
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is text");
    let (out, wasm) = (text(&bootstrap)?, text(&paths::wasm()?)?);
    let xds = world.control.options.xds.to_string();
    let fixed = [
        "bootstrap",
        "--out",
        &out,
        "--wasm",
        &wasm,
        "--node-id",
        "s",
        "--xds-address",
        &xds,
    ];
    switchyard(&[&fixed[..], flags].concat()).await?.succeeded()?;
    let envoy = Envoy::start(&EnvoyOptions {
        bootstrap,
        // An unused address.
        admin: loopback()?,
        concurrency: 1,
        log: world.dir.join("s.log"),
    })?;
    Ok(WithAdminSocket {
        envoy,
        socket: folder.path().join("admin.sock"),
        _folder: folder,
    })
}

/// The answer of an admin interface on a socket.
async fn ask(socket: &Path, target: &str) -> Result<String> {
    ask_over(UnixStream::connect(socket).await?, target).await
}

async fn ask_over(mut stream: impl AsyncRead + AsyncWrite + Unpin, target: &str) -> Result<String> {
    let request = format!("GET {target} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The TCP ports that a process listens on.
fn listening(pid: i32) -> Result<BTreeSet<u16>> {
    let mut inodes = BTreeSet::new();
    for file in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // The file may be closed already.
        let Ok(target) = fs::read_link(file?.path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        let inode = target
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'));
        inodes.extend(inode.map(str::to_owned));
    }
    let mut ports = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        for line in fs::read_to_string(format!("/proc/{pid}/net/{table}"))?
            .lines()
            .skip(1)
        {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else {
                continue;
            };
            // The state TCP_LISTEN.
            if state == "0A" && inodes.contains(inode) {
                let port = local.rsplit(':').next().context("a port")?;
                ports.insert(u16::from_str_radix(port, 16)?);
            }
        }
    }
    Ok(ports)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_interface_is_only_on_a_socket() -> Result<()> {
    let installation = BlueGreen::start(Source::Directory).await?;
    let world = &installation.world;
    let status = loopback()?;
    let port = status.port().to_string();
    let WithAdminSocket {
        mut envoy,
        socket,
        _folder,
    } = with_admin_socket(world, &["--status-port", &port]).await?;
    // The second start replaces the socket that the first one left.
    for _ in 0..2 {
        envoy.restart().await?;
        until("it is live", async || {
            let answer = ask(&socket, "/ready").await?;
            ensure!(answer.contains("LIVE"), "{answer}");
            Ok(())
        })
        .await?;
    }
    let mode = fs::metadata(&socket)?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    let ready = status_of(status, Method::GET, "/ready").await?;
    ensure!(ready.status == 200, "{ready:?}");
    let ports = listening(envoy.process.pid())?;
    let known = [world.http().port(), status.port()].into();
    ensure!(ports == known, "{ports:?} {known:?}");

    // The shutdown manager uses the socket.
    let log = world.dir.join("manager-of-s.log");
    let at = socket.to_str().context("a path that is text")?;
    let manager = Manager::start_at(&log, ["--envoy-admin-socket", at], &["--min-wait", "0s"]).await?;
    let end = manager.drain().await??;
    ensure!(end.contains("Drain ended: drained"), "{end}");
    ensure!(status_of(status, Method::GET, "/ready").await?.status == 503);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_port_closes_connections_from_its_own_pod() -> Result<()> {
    let installation = BlueGreen::start(Source::Directory).await?;
    let world = &installation.world;
    let status = loopback()?;
    let port = status.port().to_string();
    let flags = ["--status-port", &port, "--status-external-only"];
    let WithAdminSocket { socket, .. } = &with_admin_socket(world, &flags).await?;
    until("it is live", async || {
        let answer = ask(socket, "/ready").await?;
        ensure!(answer.contains("LIVE"), "{answer}");
        Ok(())
    })
    .await?;
    // A worker that does not listen yet counts nothing.
    until("refusals are counted", async || {
        // Over loopback, and over the pod's own address.
        for host in [status.ip(), POD] {
            let own = SocketAddr::new(host, status.port());
            let refused = status_of(own, Method::GET, "/stats/prometheus").await;
            ensure!(refused.is_err(), "{own}: {refused:?}");
        }
        let refusals = ask(socket, "/stats?filter=switchyard-status.no_filter_chain_match").await?;
        let is_counted = refusals.contains("no_filter_chain_match: ");
        ensure!(
            is_counted && !refusals.contains("no_filter_chain_match: 0"),
            "{refusals}"
        );
        Ok(())
    })
    .await?;
    // Another pod is served once control knows that Envoy has its routes, which is later than `LIVE`.
    until("another pod is told that it is ready", async || {
        let other = TcpSocket::new_v4()?;
        other.bind(SocketAddr::from(([10, 244, 0, 2], 0)))?;
        let stream = other.connect(SocketAddr::new(POD, status.port())).await?;
        let answer = ask_over(stream, "/ready").await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(())
    })
    .await
}
