//! A whole installation: manifests, control, Envoys.

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

/// Where control gets its objects from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// `serve --manifests`: a directory of YAML.
    Directory,
    /// `serve --kubeconfig`: a real API server, which is told what the directory says.
    ApiServer,
}

/// What a scenario asks for before anything runs.
#[derive(Debug)]
pub struct Builder {
    pub dir: PathBuf,
    pub control: ControlOptions,
    source: Source,
    envoys: usize,
    workers: usize,
    dispatcher_stats: bool,
}

/// What runs. Dropping it ends it all; logs and manifests stay in `dir`.
#[derive(Debug)]
pub struct World {
    pub dir: PathBuf,
    pub control: Control,
    pub envoys: Vec<Envoy>,
    pub cluster: Option<Lent>,
}

// === impl Builder ===

impl Builder {
    /// Named after the test, which libtest makes its thread's name.
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

    /// A file of manifests, there from the start.
    pub fn manifest(self, file: &str, yaml: &str) -> Result<Self> {
        fs::write(self.control.manifests.join(file), yaml)?;
        Ok(self)
    }

    /// A further flag of `switchyard serve`.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.control.flags.push(flag.to_owned());
        self
    }

    /// How many Envoys; one if not said. They share the listening ports: the kernel spreads connections over them.
    #[must_use]
    pub fn envoys(mut self, count: usize) -> Self {
        self.envoys = count;
        self
    }

    /// Worker threads of each Envoy; two if not said.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Has Envoy measure the turns of its event loops.
    #[must_use]
    pub fn dispatcher_stats(mut self) -> Self {
        self.dispatcher_stats = true;
        self
    }

    /// Starts everything.
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

    /// The cluster that control is to read from, and all that the manifests say in it.
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

    /// Waits until every Envoy has all it needs and its workers run.
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

    /// A GET on a connection of its own.
    pub async fn get(&self, host: &str, path: &str) -> Result<Answer> {
        once(self.http(), get(host, path)).await
    }

    /// Waits until a GET is answered with this status.
    pub async fn status(&self, host: &str, path: &str, status: u16) -> Result<Answer> {
        until(&format!("{host}{path} answers {status}"), async || {
            let answer = self.get(host, path).await?;
            ensure!(answer.status == status, "{answer:?}");
            Ok(answer)
        })
        .await
    }

    /// Waits until a GET is answered by this backend.
    pub async fn served_by(&self, host: &str, path: &str, backend: &str) -> Result<Answer> {
        until(&format!("{host}{path} is served by {backend}"), async || {
            let answer = self.get(host, path).await?;
            ensure!(answer.backend() == backend, "{answer:?}");
            Ok(answer)
        })
        .await
    }

    /// Writes a file of manifests; whole at once, as an editor that renames does.
    pub fn write(&self, file: &str, yaml: &str) -> Result<()> {
        let aside = self.dir.join("written");
        fs::write(&aside, yaml)?;
        fs::rename(&aside, self.manifests().join(file))?;
        self.hold()
    }

    /// Takes a file of manifests away.
    pub fn remove(&self, file: &str) -> Result<()> {
        fs::remove_file(self.manifests().join(file))?;
        self.hold()
    }

    /// Tells the cluster, if there is one, what the manifests say.
    fn hold(&self) -> Result<()> {
        self.cluster
            .as_ref()
            .map_or(Ok(()), |cluster| cluster.hold(self.manifests()))
    }

    /// `switchyard switch ...` where the objects are; must succeed.
    pub async fn switch(&self, arguments: &[&str]) -> Result<Outcome> {
        self.try_switch(arguments).await?.succeeded()
    }

    /// `switchyard switch ...` where the objects are, whatever comes of it.
    pub async fn try_switch(&self, arguments: &[&str]) -> Result<Outcome> {
        let control = format!("http://{}", self.control.options.admin);
        self.ask("switch", &[arguments, &["--control", &control]].concat())
            .await
    }

    /// A command of `switchyard` where the objects are, whatever comes of it.
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

/// Has `switchyard bootstrap` write what an Envoy starts with.
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
    let (xds, admin) = (control.xds.to_string(), options.admin.port().to_string());
    let arguments = [
        ["--out", &out],
        ["--node-id", node],
        ["--xds-address", &xds],
        ["--admin-port", &admin],
        ["--wasm", &wasm],
    ];
    let more = control.bootstrap_flags.iter().map(String::as_str);
    let arguments = ["bootstrap"].into_iter().chain(arguments.into_iter().flatten());
    switchyard(&arguments.chain(more).collect::<Vec<_>>())
        .await?
        .succeeded()?;
    Ok(options)
}

/// Adds to the bootstrap, which is JSON.
fn enable_dispatcher_stats(bootstrap: &Path) -> Result<()> {
    let mut config: Value = serde_json::from_slice(&fs::read(bootstrap)?)?;
    config["enable_dispatcher_stats"] = true.into();
    Ok(fs::write(bootstrap, config.to_string())?)
}
