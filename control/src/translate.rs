//! `switchyard translate`: what Envoy would be sent.

use crate::{
    cli::{Format, GraphArgs},
    load::{load, load_cluster},
    proxies::ProxyArgs,
    source::ReadArgs,
};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};
use switchyard_core::{Change, Graph};
use switchyard_xds::{
    json,
    resource::{ResourceType, Update},
    sections::Code,
    translate::{Settings, Translator},
};

/// Print the configuration that Envoy would be sent.
///
/// Everything, or one type of it. Private keys are left out.
#[derive(Debug, Args)]
pub struct Translate {
    /// The directory [default: none, but the API server].
    #[arg(conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name"])]
    dir: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Only this type.
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    kind: Option<Kind>,
    #[command(flatten)]
    graph: GraphArgs,
    #[command(flatten)]
    proxies: ProxyArgs,
}

/// A type of Envoy's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Cluster,
    Endpoint,
    Secret,
    Listener,
    Route,
    Extension,
}

/// By type, then by name.
fn resources(graph: &Graph, change: &Change, settings: Settings, kind: Option<Kind>) -> Result<Value> {
    let mut translator = Translator::new(settings);
    let updates = [translator.start(), translator.update(graph.table(), change, 1)];
    let set = updates.into_iter().flat_map(|Update { set, removed: _ }| set);
    // What the second says of a name counts.
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
            None => load_cluster(read, graph.settings()).await?,
            Some(dir) => {
                let loaded = load(&dir, graph.settings())?;
                for problem in loaded.problems() {
                    eprintln!("{problem}");
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
            Self::Route => ResourceType::Route,
            Self::Extension => ResourceType::Extension,
        }
    }
}
