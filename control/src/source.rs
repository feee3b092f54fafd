//! Where objects come from: a directory of manifests, or an API server.

use crate::manifests::{Places, watch};
use anyhow::{Context, Result, ensure};
use clap::Args;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use switchyard_core::object::Batch;
use switchyard_k8s::{
    status::writer::Order,
    watch::{IngressClasses, Options, Restarts},
};
use tokio::sync::mpsc;

/// What says where objects come from.
#[derive(Clone, Debug, Args)]
pub struct SourceArgs {
    /// Read a directory of manifests, and no API server.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name"]
    )]
    manifests: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
}

/// Which API server, and what of it counts.
#[derive(Clone, Debug, Default, Args)]
pub struct ReadArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The namespaces to read [default: all].
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// The classes of IngressRoutes that count, by their annotation ingress.class [default: those of `contour`, and those
    /// that have none].
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    ingress_class_name: Vec<String>,
}

/// Which API server, as kubectl has it.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// The kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's own account].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig file [default: its current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A directory of manifests that is being watched.
#[derive(Clone, Debug)]
pub struct Files {
    pub directory: PathBuf,
    /// What stands where in it.
    pub places: Places,
}

/// What is being read.
pub enum Source {
    Files(Files),
    Cluster(Cluster),
}

/// An API server that is being watched.
pub struct Cluster {
    pub client: Client,
    /// What is ordered of the writer of statuses.
    pub orders: mpsc::UnboundedSender<Order>,
    /// The other end, where the writer listens; the watches have begun to tell what they see.
    pub ordered: mpsc::UnboundedReceiver<Order>,
    /// How often the watches broke.
    pub restarts: Arc<Restarts>,
}

// === impl SourceArgs ===

impl SourceArgs {
    /// Whether objects come from this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.manifests.is_some()
    }

    /// Starts to read.
    ///
    /// # Errors
    ///
    /// If there is no such directory, or nothing says where the API server is.
    pub async fn start(self, batches: mpsc::Sender<Batch>) -> Result<Source> {
        let Self { manifests, read } = self;
        let Some(directory) = manifests else {
            let (orders, ordered) = mpsc::unbounded_channel();
            let restarts = Arc::<Restarts>::default();
            let (cluster, options) = read.options();
            let options = Options {
                sightings: Some(orders.clone()),
                restarts: restarts.clone(),
                ..options
            };
            let mut config = cluster
                .config()
                .await
                .context("no --manifests, and no API server")?;
            // The watches try again by themselves, and sooner than an API server that starts asks for.
            config.default_retry = false;
            let client = client(config)?;
            tokio::spawn(switchyard_k8s::watch::run(client.clone(), options, batches));
            return Ok(Source::Cluster(Cluster {
                client,
                orders,
                ordered,
                restarts,
            }));
        };
        ensure!(
            directory.is_dir(),
            "--manifests: {} is no directory: make it first, it may be empty",
            directory.display()
        );
        let places = watch::spawn(&directory, batches);
        Ok(Source::Files(Files { directory, places }))
    }
}

// === impl ReadArgs ===

impl ReadArgs {
    /// As the watches take them.
    #[must_use]
    pub fn options(self) -> (ClusterArgs, Options) {
        let Self {
            cluster,
            watch_namespaces,
            ingress_class_name,
        } = self;
        let options = Options {
            namespaces: watch_namespaces,
            classes: IngressClasses::new(ingress_class_name),
            ..Options::default()
        };
        (cluster, options)
    }
}

// === impl ClusterArgs ===

impl ClusterArgs {
    /// A client; whether the API server is there shows when it is asked.
    ///
    /// # Errors
    ///
    /// If nothing says where it is, or the kubeconfig file cannot be used.
    pub async fn client(self) -> Result<Client> {
        client(self.config().await?)
    }

    async fn config(self) -> Result<Config> {
        let Self { kubeconfig, context } = self;
        let options = KubeConfigOptions {
            context,
            ..Default::default()
        };
        match kubeconfig {
            Some(file) => from_file(&file, &options).await,
            None if options.context.is_some() => Config::from_kubeconfig(&options)
                .await
                .context("--context: cannot use the kubeconfig file"),
            None => Config::infer().await.context(
                "there is neither a kubeconfig file nor a pod's account, to know the API server from",
            ),
        }
    }
}

fn client(config: Config) -> Result<Client> {
    Client::try_from(config).context("cannot make a client of the API server")
}

async fn from_file(file: &Path, options: &KubeConfigOptions) -> Result<Config> {
    let unusable = || format!("--kubeconfig: cannot use {}", file.display());
    let kubeconfig = Kubeconfig::read_from(file).with_context(unusable)?;
    Config::from_custom_kubeconfig(kubeconfig, options)
        .await
        .with_context(unusable)
}
