//! The source of objects: a directory of manifests, or an API server.

use crate::manifests::{SourceLocations, watch};
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
    status::request::StatusRequest,
    watch::{IngressClasses, Options, Restarts},
};
use tokio::sync::mpsc;

/// The settings of the source.
#[derive(Clone, Debug, Args)]
pub struct SourceArgs {
    /// Directory of manifests to read, instead of an API server.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name"]
    )]
    manifests: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
}

/// The settings of the API server, and the selection of its objects.
#[derive(Clone, Debug, Default, Args)]
pub struct ReadArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Namespaces to watch [default: all].
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// Ingress classes to serve, by the annotation ingress.class of IngressRoutes [default: `contour`, and
    /// IngressRoutes without a class].
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    ingress_class_name: Vec<String>,
}

/// The settings of the API server, as for kubectl.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's own account].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig file [default: its current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A directory of manifests that is being watched.
#[derive(Clone, Debug)]
pub struct Files {
    pub directory: PathBuf,
    /// The locations of the IngressRoutes in it.
    pub places: SourceLocations,
}

/// A source that is being read.
pub enum Source {
    Files(Files),
    Cluster(Cluster),
}

/// An API server that is being watched.
pub struct Cluster {
    pub client: Client,
    /// The sender of requests to the status writer.
    pub orders: mpsc::UnboundedSender<StatusRequest>,
    /// The receiver for the status writer. The watches already send what they observe.
    pub ordered: mpsc::UnboundedReceiver<StatusRequest>,
    /// The counters of broken watches.
    pub restarts: Arc<Restarts>,
}

// === impl SourceArgs ===

impl SourceArgs {
    /// Returns true if objects come from this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.manifests.is_some()
    }

    /// Starts reading.
    ///
    /// # Errors
    ///
    /// If there is no such directory, or no API server is configured.
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
                .context("--manifests is not set, and no API server can be used")?;
            // The watches retry by themselves, and sooner than an API server asks for while it starts.
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
            "--manifests: {} is not a directory: create it first, it may be empty",
            directory.display()
        );
        let places = watch::spawn(&directory, batches);
        Ok(Source::Files(Files { directory, places }))
    }
}

// === impl ReadArgs ===

impl ReadArgs {
    /// Converts to the options of the watches.
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
    /// Creates a client, without connecting to the API server.
    ///
    /// # Errors
    ///
    /// If no API server is configured, or the kubeconfig file cannot be used.
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
                "no API server is configured: found neither a kubeconfig file nor a pod's service account",
            ),
        }
    }
}

fn client(config: Config) -> Result<Client> {
    Client::try_from(config).context("cannot create a client for the API server")
}

async fn from_file(file: &Path, options: &KubeConfigOptions) -> Result<Config> {
    let unusable = || format!("--kubeconfig: cannot use {}", file.display());
    let kubeconfig = Kubeconfig::read_from(file).with_context(unusable)?;
    Config::from_custom_kubeconfig(kubeconfig, options)
        .await
        .with_context(unusable)
}
