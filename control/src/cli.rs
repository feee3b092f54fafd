//! The command line.

use crate::{
    bootstrap::{Bootstrap, Endpoint, XdsTls},
    certgen, check, crds, explain, serve, shutdown,
    source::ReadArgs,
    switch,
    tls_files::TlsArgs,
    translate, tree,
    wasm::Wasm,
    yaml,
};
use anyhow::{Context, Result};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use serde_json::Value;
use std::{
    io,
    net::SocketAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use switchyard_core::Settings;
use tokio::runtime::{Builder, Runtime};

/// Kubernetes ingress on Envoy: delegated routes, switched live.
///
/// A root IngressRoute owns a host name and delegates its paths to other IngressRoutes. Editing the name of a delegate
/// switches the traffic at once, and fails no request.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  switchyard check manifests/                       every error, with file and line
  switchyard explain manifests/ www.example.com/    what becomes of a request, and why
  switchyard bootstrap --out envoy/envoy.json       Envoy's bootstrap, and the filter beside it
  switchyard serve --manifests manifests/           serve the directory to Envoy, and follow its changes
  envoy -c envoy/envoy.json                         (in another terminal)
  switchyard switch manifests/ blue-green-root green
                                                    switch to green, and wait until it is live on every proxy";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Bootstrap(BootstrapArgs),
    /// Say everything that is wrong in a directory of manifests, or in a cluster.
    ///
    /// Every error of every object is printed, in a directory with its file and line. Exits with 1 if there is any.
    Check(LookArgs),
    /// Print the delegation tree of a directory of manifests, or of a cluster.
    ///
    /// Each root, its routes, and the branches below them with their statuses; the active branch is marked.
    Tree(LookArgs),
    Translate(translate::Translate),
    Explain(explain::Explain),
    Switch(switch::Switch),
    Crds(crds::Crds),
    Certgen(certgen::Certgen),
    ShutdownManager(shutdown::ShutdownManager),
    /// Print a completion script for a shell.
    ///
    /// For bash: `source <(switchyard completions bash)`.
    Completions {
        shell: clap_complete::Shell,
    },
}

/// Write Envoy's bootstrap file, and the filter's code beside it.
///
/// The bootstrap tells Envoy where control is, and tells control which code of the filter this Envoy has, so that the
/// code need not travel. Envoy's admin interface listens on loopback.
///
/// With the three files that secure xDS, Envoy shows its certificate to control, and takes only a control that shows one
/// of the same CA. It follows new files without a restart. Their paths are those that Envoy finds them at: they need
/// not exist here. `switchyard certgen` makes them.
#[derive(Debug, Args)]
struct BootstrapArgs {
    /// Where to write it. `switchyard.wasm` is written to the same folder.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What this Envoy calls itself: in `switchyard switch`, and in control's log.
    #[arg(long, default_value = "envoy")]
    node_id: String,
    /// The group of proxies that this Envoy is one of.
    #[arg(long, default_value = "switchyard")]
    node_cluster: String,
    /// Where control serves xDS.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:18000")]
    xds_address: Endpoint,
    #[command(flatten)]
    tls: TlsArgs,
    /// The name that control's certificate has to have.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "switchyard",
        requires = "xds_ca_file"
    )]
    xds_server_name: String,
    /// The port of Envoy's admin interface, on loopback.
    #[arg(long, value_name = "PORT", default_value_t = 9901)]
    admin_port: u16,
    /// Answer /ready and /stats/prometheus there, on every address: for the kubelet and Prometheus. Nothing else of the
    /// admin interface is reached by it.
    #[arg(long, value_name = "PORT")]
    status_port: Option<u16>,
    /// Above this many connections from clients, new ones are refused.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    max_downstream_connections: u64,
    /// How much memory Envoy may have, in bytes: short of it, it gives back what it can, and at last answers new requests
    /// with 503 rather than be killed. Best the limit of its container [default: no limit].
    #[arg(long, value_name = "BYTES")]
    max_heap_size: Option<NonZeroU64>,
    /// The filter's code [default: switchyard.wasm beside this program].
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
}

/// What to look at.
#[derive(Debug, Args)]
struct LookArgs {
    /// The directory [default: none, but the API server].
    #[arg(conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name"])]
    dir: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// Tell only of IngressRoutes in this namespace. All are read: delegation knows no namespaces [default: tell of all].
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    graph: GraphArgs,
}

/// How to tell of what was looked at.
#[derive(Clone, Debug)]
pub struct Telling {
    pub output: Output,
    /// That of the IngressRoutes to tell of. None: all.
    pub namespace: Option<String>,
}

/// What decides which objects count.
#[derive(Clone, Debug, Default, Args)]
pub struct GraphArgs {
    /// The namespaces that roots may live in [default: any].
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',')]
    root_namespaces: Vec<String>,
    /// Take no heed of `permitInsecure`: hosts with TLS answer plain HTTP with redirects alone.
    #[arg(long)]
    disable_permit_insecure: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    Json,
    Yaml,
}

/// How documents are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Yaml,
    Json,
}

// === impl Cli ===

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    ///
    /// If that cannot be done. What a command finds wrong in manifests is no error, but an exit code of 1.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Serve(serve) => runtime(Builder::new_multi_thread())?.block_on(serve.run()),
            Command::Bootstrap(bootstrap) => bootstrap.run(),
            Command::Check(look) => look.run(check::run, check::run_in_cluster),
            Command::Tree(look) => look.run(tree::run, tree::run_in_cluster),
            Command::Translate(translate) => {
                runtime(Builder::new_current_thread())?.block_on(translate.run())
            }
            Command::Explain(explain) => runtime(Builder::new_current_thread())?.block_on(explain.run()),
            // It asks and waits: a thread of its own for each core would be no use, and takes its time to start.
            Command::Switch(switch) => runtime(Builder::new_current_thread())?.block_on(switch.run()),
            Command::Crds(crds) => Ok(crds.run()),
            Command::Certgen(certgen) => runtime(Builder::new_current_thread())?.block_on(certgen.run()),
            Command::ShutdownManager(manager) => {
                runtime(Builder::new_current_thread())?.block_on(manager.run())
            }
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "switchyard", &mut io::stdout());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn runtime(mut builder: Builder) -> Result<Runtime> {
    builder.enable_all().build().context("cannot start the runtime")
}

// === impl LookArgs ===

impl LookArgs {
    fn run<F: Future<Output = Result<ExitCode>>>(
        self,
        at_directory: impl FnOnce(&Path, Settings, &Telling) -> Result<ExitCode>,
        at_cluster: impl FnOnce(ReadArgs, Settings, Telling) -> F,
    ) -> Result<ExitCode> {
        let Self {
            dir,
            read,
            namespace,
            output,
            graph,
        } = self;
        let settings = graph.settings();
        let telling = Telling { output, namespace };
        match dir {
            Some(dir) => at_directory(&dir, settings, &telling),
            None => runtime(Builder::new_current_thread())?.block_on(at_cluster(read, settings, telling)),
        }
    }
}

// === impl Telling ===

impl Telling {
    /// Whether to tell of what is in a namespace.
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
    }
}

// === impl BootstrapArgs ===

impl BootstrapArgs {
    fn run(self) -> Result<ExitCode> {
        let Self {
            out,
            node_id,
            node_cluster,
            xds_address,
            tls,
            xds_server_name,
            admin_port,
            status_port,
            max_downstream_connections,
            max_heap_size,
            wasm,
        } = self;
        let wasm = Wasm::read(wasm.as_deref())?;
        let bootstrap = Bootstrap {
            out,
            node_id,
            node_cluster,
            xds: xds_address,
            tls: tls
                .files()
                .map(|files| XdsTls::new(files, xds_server_name))
                .transpose()?,
            admin_port,
            status_port,
            max_downstream_connections,
            max_heap_size,
        };
        bootstrap.write(&wasm)?;
        println!(
            "wrote {}; start Envoy with: envoy -c {0}",
            bootstrap.out.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}

// === impl Output ===

impl Output {
    /// How to write a document; none for people.
    #[must_use]
    pub fn format(self) -> Option<Format> {
        match self {
            Self::Text => None,
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
        }
    }
}

// === impl Format ===

impl Format {
    /// A document, with a line end.
    #[must_use]
    pub fn document(self, value: &Value) -> String {
        match self {
            Self::Yaml => yaml::to_string(value),
            Self::Json => format!("{value:#}\n"),
        }
    }
}

// === impl GraphArgs ===

impl GraphArgs {
    /// As the graph takes them.
    #[must_use]
    pub fn settings(self) -> Settings {
        let Self {
            root_namespaces,
            disable_permit_insecure,
        } = self;
        Settings {
            root_namespaces: root_namespaces.into_iter().collect(),
            disable_permit_insecure,
        }
    }
}

/// The default of `--admin-address`, and of `--control`.
pub const ADMIN_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 18001);

/// A number of seconds, or of milliseconds with `ms`.
///
/// # Errors
///
/// If it is neither.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    switchyard_core::duration::parse(text)
        .ok_or_else(|| "must be a duration, such as 10s or 500ms".to_owned())
}
