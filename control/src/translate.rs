//! `switchyard translate`: what Envoy would be sent.

use crate::{load::load, yaml};
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path, process::ExitCode};
use switchyard_core::{Change, Graph};
use switchyard_xds::{
    json,
    resource::{ResourceType, Update},
    sections::Code,
    translate::{Settings, Translator},
};

/// How configuration is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Yaml,
    Json,
}

/// A type of Envoy's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Cluster,
    Endpoint,
    Secret,
    Listener,
    Route,
    Extension,
}

/// Prints the configuration of one type, or of all. Private keys are left out.
///
/// # Errors
///
/// If the directory cannot be listed.
pub fn run(
    dir: &Path,
    settings: switchyard_core::Settings,
    kind: Option<Kind>,
    format: Format,
) -> Result<ExitCode> {
    let loaded = load(dir, settings)?;
    for problem in loaded.problems() {
        eprintln!("{problem}");
    }
    let resources = resources(&loaded.graph, &loaded.change, kind)?;
    match format {
        Format::Yaml => print!("{}", yaml::to_string(&resources)),
        Format::Json => println!("{resources:#}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// By type, then by name.
fn resources(graph: &Graph, change: &Change, kind: Option<Kind>) -> Result<Value> {
    let mut translator = Translator::new(Settings::default());
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
