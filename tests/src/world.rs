//! A complete installation: manifests, control, Envoys.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
};

use crate::{
    client::{Answer, get, once},
    clusters::{self, Lent},
    control::{Control, ControlOptions, Outcome, loopback, switchyard},
    envoy::{Envoy, EnvoyOptions},
    paths,
    wait::until,
};

/// The source of control's objects.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// `serve --manifests`: a folder of YAML.
    Directory,
    /// `serve --kubeconfig`: a real API server that holds the objects of the folder.
    ApiServer,
}

/// The options of an installation.
#[derive(Debug)]
pub struct Builder {
    pub dir: PathBuf,
    pub control: ControlOptions,
    source: Source,
    envoys: usize,
    workers: usize,
    dispatcher_stats: bool,
}

/// A running installation. Dropping it ends all processes; logs and manifests stay in `dir`.
#[derive(Debug)]
pub struct World {
    pub dir: PathBuf,
    pub control: Control,
    pub envoys: Vec<Envoy>,
    pub cluster: Option<Lent>,
}

// === impl Builder ===

impl Builder {
    /// Names the installation after the test, which is the name of libtest's thread.
    pub fn new(source: Source) -> Result<Self> {
        Self::named(source, thread::current().name().unwrap_or("main"))
    }

    pub fn named(source: Source, name: &str) -> Result<Self> {
        let dir = paths::scratch(name)?.canonicalize()?;
        let manifests = dir.join("manifests");
        fs::create_dir(&manifests)?;
        let control = ControlOptions::new(&manifests, &dir.join("control.log"))?;
        Ok(Self {
            dir,
            control,
            source,
            envoys: 1,
            workers: 2,
            dispatcher_stats: false,
        })
    }

    /// Adds a file of manifests.
    pub fn manifest(self, file: &str, yaml: &str) -> Result<Self> {
        fs::write(self.control.manifests.join(file), yaml)?;
        Ok(self)
    }

    /// Adds a flag of `switchyard serve`.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.control.flags.push(flag.to_owned());
        self
    }

    /// Sets the number of Envoys; the default is one. They share the listening ports, and the kernel distributes
    /// connections among them.
    #[must_use]
    pub fn envoys(mut self, count: usize) -> Self {
        self.envoys = count;
        self
    }

    /// Sets the number of worker threads of each Envoy; the default is two.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Makes Envoy record the durations of its event loops.
    #[must_use]
    pub fn dispatcher_stats(mut self) -> Self {
        self.dispatcher_stats = true;
        self
    }

    /// Starts all processes, and waits until the Envoys are live.
    pub async fn start(mut self) -> Result<World> {
        let cluster = self.cluster()?;
        let control = Control::start(&self.control)?;
        let mut envoys = Vec::new();
        for number in 0..self.envoys {
            let node = format!("envoy-{number}");
            let options = bootstrap(&self.dir, &self.control, &node, self.workers).await?;
            if self.dispatcher_stats {
                enable_dispatcher_stats(&options.bootstrap)?;
            }
            envoys.push(Envoy::start(&options)?);
        }
        let mut world = World {
            dir: self.dir,
            control,
            envoys,
            cluster,
        };
        world.live().await?;
        Ok(world)
    }

    /// Takes a cluster if control reads from one, and applies the manifests to it.
    fn cluster(&mut self) -> Result<Option<Lent>> {
        match self.source {
            Source::Directory => Ok(None),
            Source::ApiServer => {
                let cluster = clusters::take()?;
                cluster.hold(&self.control.manifests)?;
                self.control.kubeconfig = Some(cluster.kubeconfig());
                Ok(Some(cluster))
            }
        }
    }
}

// === impl World ===

impl World {
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.control.options.http
    }

    #[must_use]
    pub fn https(&self) -> SocketAddr {
        self.control.options.https
    }

    #[must_use]
    pub fn manifests(&self) -> &Path {
        &self.control.options.manifests
    }

    /// Waits until every Envoy is live.
    pub async fn live(&mut self) -> Result<()> {
        for number in 0..self.envoys.len() {
            self.live_one(number).await?;
        }
        Ok(())
    }

    async fn live_one(&mut self, number: usize) -> Result<()> {
        let Self { control, envoys, .. } = self;
        let envoy = envoys.get_mut(number).context("no such Envoy")?;
        until("Envoy is live", async || {
            control.process.check()?;
            envoy.process.check()?;
            let ready = envoy.admin("/ready").await?;
            ensure!(ready.trim() == "LIVE", "{ready}");
            Ok(())
        })
        .await
    }

    /// Sends a GET request on a new connection.
    pub async fn get(&self, host: &str, path: &str) -> Result<Answer> {
        once(self.http(), get(host, path)).await
    }

    /// Waits until a GET request is answered with this status.
    pub async fn status(&self, host: &str, path: &str, status: u16) -> Result<Answer> {
        until(&format!("{host}{path} answers {status}"), async || {
            let answer = self.get(host, path).await?;
            ensure!(answer.status == status, "{answer:?}");
            Ok(answer)
        })
        .await
    }

    /// Waits until a GET request is answered by this backend.
    pub async fn served_by(&self, host: &str, path: &str, backend: &str) -> Result<Answer> {
        until(&format!("{host}{path} is served by {backend}"), async || {
            let answer = self.get(host, path).await?;
            ensure!(answer.backend() == backend, "{answer:?}");
            Ok(answer)
        })
        .await
    }

    /// Writes a file of manifests atomically, like an editor that renames.
    pub fn write(&self, file: &str, yaml: &str) -> Result<()> {
        let aside = self.dir.join("written");
        fs::write(&aside, yaml)?;
        fs::rename(&aside, self.manifests().join(file))?;
        self.hold()
    }

    /// Removes a file of manifests.
    pub fn remove(&self, file: &str) -> Result<()> {
        fs::remove_file(self.manifests().join(file))?;
        self.hold()
    }

    /// Applies the manifests to the cluster, if there is one.
    fn hold(&self) -> Result<()> {
        self.cluster
            .as_ref()
            .map_or(Ok(()), |cluster| cluster.hold(self.manifests()))
    }

    /// Runs `switchyard switch ...` on the source of the objects; it must succeed.
    pub async fn switch(&self, arguments: &[&str]) -> Result<Outcome> {
        self.try_switch(arguments).await?.succeeded()
    }

    /// Runs `switchyard switch ...` on the source of the objects, and returns its outcome.
    pub async fn try_switch(&self, arguments: &[&str]) -> Result<Outcome> {
        let control = format!("http://{}", self.control.options.admin);
        self.ask("switch", &[arguments, &["--control", &control]].concat())
            .await
    }

    /// Runs a command of `switchyard` on the source of the objects, and returns its outcome.
    pub async fn ask(&self, command: &str, arguments: &[&str]) -> Result<Outcome> {
        let ControlOptions {
            manifests,
            kubeconfig,
            ..
        } = &self.control.options;
        let place = kubeconfig.as_ref().unwrap_or(manifests);
        let place = place.to_str().context("a path that is text")?;
        let before = match kubeconfig {
            None => vec![command, place],
            Some(_) => vec![command, "--kubeconfig", place],
        };
        switchyard(&[&before[..], arguments].concat()).await
    }
}

/// Runs `switchyard bootstrap` to write an Envoy's bootstrap.
pub async fn bootstrap(
    dir: &Path,
    control: &ControlOptions,
    node: &str,
    concurrency: usize,
) -> Result<EnvoyOptions> {
    let options = EnvoyOptions {
        bootstrap: dir.join(node).join("bootstrap.json"),
        admin: loopback()?,
        concurrency,
        log: dir.join(format!("{node}.log")),
    };
    fs::create_dir_all(dir.join(node))?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is text");
    let (out, wasm) = (text(&options.bootstrap)?, text(&control.wasm)?);
    let (xds, admin) = (control.xds.to_string(), options.admin.to_string());
    let arguments = [
        ["--out", &out],
        ["--node-id", node],
        ["--xds-address", &xds],
        ["--admin-address", &admin],
        ["--wasm", &wasm],
    ];
    let more = control.bootstrap_flags.iter().map(String::as_str);
    let arguments = ["bootstrap"].into_iter().chain(arguments.into_iter().flatten());
    switchyard(&arguments.chain(more).collect::<Vec<_>>())
        .await?
        .succeeded()?;
    Ok(options)
}

/// Edits the bootstrap, which is JSON.
fn enable_dispatcher_stats(bootstrap: &Path) -> Result<()> {
    let mut config: Value = serde_json::from_slice(&fs::read(bootstrap)?)?;
    config["enable_dispatcher_stats"] = true.into();
    Ok(fs::write(bootstrap, config.to_string())?)
}
