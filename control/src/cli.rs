//! The command line.

use crate::{
    args::{GraphArgs, Output, OutputFilter},
    bootstrap::{AdminAddress, Bootstrap, Endpoint, StatusListener, XdsTls},
    certgen, check, crds, explain, serve, shutdown,
    source::ReadArgs,
    switch,
    tls_files::TlsArgs,
    translate, tree,
    wasm::Wasm,
};
use anyhow::{Context, Result};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::{
    io,
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::ExitCode,
};
use switchyard_core::Settings;
use tokio::runtime::{Builder, Runtime};

/// Kubernetes ingress on Envoy: delegated routes, switched live.
///
/// A root IngressRoute owns a host name and delegates its paths to other IngressRoutes. Changing the name of a delegate
/// switches the traffic at once, without failed requests.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  switchyard check manifests/                       print all errors, with file and line
  switchyard explain manifests/ www.example.com/    explain how a request is routed
  switchyard bootstrap --out envoy/envoy.json       write Envoy's bootstrap and the filter's code
  switchyard serve --manifests manifests/           serve a directory to Envoy, and watch it for changes
  envoy -c envoy/envoy.json                         (in another terminal)
  switchyard switch manifests/ blue-green-root green
                                                    switch to green, and wait until it is live on every proxy";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Bootstrap(BootstrapArgs),
    /// Print all errors in a directory of manifests, or in a cluster.
    ///
    /// Prints every error of every object, with file and line for a directory. Exits with 1 if there are any.
    Check(LookArgs),
    /// Print the delegation tree of a directory of manifests, or of a cluster.
    ///
    /// Prints each root, its routes, and their branches with their statuses, and marks the active branches.
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
/// The bootstrap has the address of control, and metadata about this Envoy's copy of the filter, so that control does
/// not have to send it. Envoy's admin interface listens on a Unix domain socket in the same folder, `admin.sock`, which
/// only Envoy's user can access. Each Envoy on a machine needs a folder of its own.
///
/// With the three TLS files, Envoy and control authenticate each other by mutual TLS with the same CA. Envoy reloads
/// changed files without a restart. Their paths are those on Envoy's machine: the files need not exist here.
/// `switchyard certgen` creates them.
#[derive(Debug, Args)]
struct BootstrapArgs {
    /// Path of the bootstrap. `switchyard.wasm` is written to the same folder.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Node ID of this Envoy, which `switchyard switch` and control's log show.
    #[arg(long, default_value = "envoy")]
    node_id: String,
    /// Node cluster of this Envoy, which names a group of proxies.
    #[arg(long, default_value = "switchyard")]
    node_cluster: String,
    /// Address at which control serves xDS.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:18000")]
    xds_address: Endpoint,
    #[command(flatten)]
    tls: TlsArgs,
    /// DNS name (SAN) that control's certificate must have.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "switchyard",
        requires = "xds_ca_file"
    )]
    xds_server_name: String,
    /// TCP address of Envoy's admin interface, such as 127.0.0.1:9001, instead of the socket. Anyone who can reach it
    /// can read all configuration, and stop Envoy.
    #[arg(long, value_name = "HOST:PORT")]
    admin_address: Option<Endpoint>,
    /// Port for /ready and /stats/prometheus on all addresses, for the kubelet and Prometheus. It exposes nothing else
    /// of the admin interface.
    #[arg(long, value_name = "PORT")]
    status_port: Option<u16>,
    /// Close connections to the status port that come from this host, so that it cannot be an upstream of Envoy.
    #[arg(long, requires = "status_port")]
    status_external_only: bool,
    /// Maximum number of downstream connections, above which new ones are closed.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    max_downstream_connections: u64,
    /// Maximum heap size of Envoy in bytes, best the memory limit of its container. When it runs short, Envoy frees
    /// memory, and at last answers new requests with 503 instead of being killed [default: no limit].
    #[arg(long, value_name = "BYTES")]
    max_heap_size: Option<NonZeroU64>,
    /// File of the filter's code [default: switchyard.wasm beside this program].
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
}

/// The objects to read, and the output.
#[derive(Debug, Args)]
struct LookArgs {
    /// Directory of manifests [default: read from the API server].
    #[arg(conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name"])]
    dir: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// Show only IngressRoutes in this namespace. All are still read, because delegation crosses namespaces [default:
    /// show all].
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    graph: GraphArgs,
}

// === impl Cli ===

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// If the command fails. Errors found in manifests are not a failure, but set the exit code to 1.
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
            // It only sends requests and waits: a thread for each core would only slow down its start.
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
        at_directory: impl FnOnce(&Path, Settings, &OutputFilter) -> Result<ExitCode>,
        at_cluster: impl FnOnce(ReadArgs, Settings, OutputFilter) -> F,
    ) -> Result<ExitCode> {
        let Self {
            dir,
            read,
            namespace,
            output,
            graph,
        } = self;
        let settings = graph.settings(dir.is_some());
        let telling = OutputFilter { output, namespace };
        match dir {
            Some(dir) => at_directory(&dir, settings, &telling),
            None => runtime(Builder::new_current_thread())?.block_on(at_cluster(read, settings, telling)),
        }
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
            admin_address,
            status_port,
            status_external_only,
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
            admin: admin_address.map_or(AdminAddress::Socket, AdminAddress::Tcp),
            status: status_port.map(|port| StatusListener {
                port,
                external_only: status_external_only,
            }),
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
