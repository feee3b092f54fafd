//! `switchyard translate`: the resources that Envoy would be sent.

use crate::{
    args::{Format, GraphArgs},
    load::{load, load_cluster},
    proxies::ProxyArgs,
    source::ReadArgs,
};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};
use switchyard_core::{Change, Graph};
use switchyard_xds::{
    json,
    resource::{ResourceType, Update},
    sections::Code,
    translate::{Settings, Translator},
};

/// Print the xDS resources that Envoy would be sent.
///
/// Prints all types, or one. Private keys are left out, and so are route configurations without hosts, with the scopes
/// that lead to them.
#[derive(Debug, Args)]
pub struct Translate {
    /// Directory of manifests [default: read from the API server].
    #[arg(conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name"])]
    dir: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Type of the resources to print [default: all].
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    kind: Option<Kind>,
    #[command(flatten)]
    graph: GraphArgs,
    #[command(flatten)]
    proxies: ProxyArgs,
}

/// A type of xDS resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Cluster,
    Endpoint,
    Secret,
    Listener,
    ScopedRoute,
    Route,
    Extension,
}

/// The resources by type, then by name.
fn resources(graph: &Graph, change: &Change, settings: Settings, kind: Option<Kind>) -> Result<Value> {
    let mut translator = Translator::new(settings);
    let start = translator.start();
    let update = translator.update(graph.table(), change, 1);
    let with_hosts: BTreeSet<_> = routes(&update).cloned().collect();
    let without: BTreeSet<_> = routes(&start)
        .filter(|name| !with_hosts.contains(*name))
        .cloned()
        .collect();
    let set = [start, update]
        .into_iter()
        .flat_map(|Update { set, removed: _ }| set);
    let is_told = |of: ResourceType, name: &Arc<str>| {
        let is_of_routes = matches!(of, ResourceType::ScopedRoute | ResourceType::Route);
        !(is_of_routes && without.contains(name))
    };
    let set = set.filter(|(of, name, _)| is_told(*of, name));
    // For the same name, the second one wins.
    let by_name: BTreeMap<_, _> = set.map(|(of, name, resource)| ((of, name), resource)).collect();
    let code = Code::File {
        path: "switchyard.wasm".to_owned(),
    };
    let mut types = Map::new();
    let wanted = by_name
        .iter()
        .filter(|((of, _), _)| kind.is_none_or(|kind| kind.resource_type() == *of));
    for ((of, name), resource) in wanted {
        let json = json::to_json(*of, resource, &code).with_context(|| format!("{of:?} {name}"))?;
        let list = types
            .entry(type_name(*of))
            .or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().context("a list for each type")?.push(json);
    }
    Ok(Value::Object(types))
}

/// The names of route configurations.
fn routes(Update { set, .. }: &Update) -> impl Iterator<Item = &Arc<str>> {
    let routes = set.iter().filter(|(of, _, _)| *of == ResourceType::Route);
    routes.map(|(_, name, _)| name)
}

/// The name of the message, without its package.
fn type_name(of: ResourceType) -> &'static str {
    of.type_url().rsplit('.').next().unwrap_or_default()
}

// === impl Translate ===

impl Translate {
    /// Prints the configuration of one type, or of all.
    ///
    /// # Errors
    ///
    /// If the directory or the cluster cannot be read.
    pub async fn run(self) -> Result<ExitCode> {
        let Self {
            dir,
            read,
            output,
            kind,
            graph,
            proxies,
        } = self;
        let (graph, change) = match dir {
            None => load_cluster(read, graph.settings(false)).await?,
            Some(dir) => {
                let loaded = load(&dir, graph.settings(true))?;
                for diagnostic in loaded.diagnostics() {
                    eprintln!("{diagnostic}");
                }
                (loaded.graph, loaded.change)
            }
        };
        let resources = resources(&graph, &change, proxies.settings(), kind)?;
        print!("{}", output.document(&resources));
        Ok(ExitCode::SUCCESS)
    }
}

// === impl Kind ===

impl Kind {
    fn resource_type(self) -> ResourceType {
        match self {
            Self::Cluster => ResourceType::Cluster,
            Self::Endpoint => ResourceType::Endpoint,
            Self::Secret => ResourceType::Secret,
            Self::Listener => ResourceType::Listener,
            Self::ScopedRoute => ResourceType::ScopedRoute,
            Self::Route => ResourceType::Route,
            Self::Extension => ResourceType::Extension,
        }
    }
}
