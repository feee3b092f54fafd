//! `switchyard tree`: the delegations, for people to look at.

mod dot;

use crate::{
    cli::{Format, Telling},
    load::{load, load_cluster},
    paint::{Paint, Style},
    source::ReadArgs,
};
use anyhow::Result;
use serde_json::{Value, json};
use std::{collections::BTreeMap, io, path::Path, process::ExitCode};
use switchyard_core::{
    Graph, Name, Settings, Status,
    status::State,
    table::WeightedCluster,
    tree::{self, Branch, Root, Route, Security, Tree, Way},
};

/// The tree of a graph, and the statuses of what is in it: all that is needed to show it, away from the graph.
#[derive(Clone, Debug)]
pub struct Picture {
    tree: Tree,
    statuses: Statuses,
}

type Statuses = BTreeMap<Name, Status>;

/// Prints the tree of a directory.
///
/// # Errors
///
/// If it cannot be listed.
pub fn run(dir: &Path, settings: Settings, telling: &Telling) -> Result<ExitCode> {
    let loaded = load(dir, settings)?;
    for problem in loaded.directory.problems() {
        eprintln!("{problem}");
    }
    print(&loaded.graph, telling);
    Ok(ExitCode::SUCCESS)
}

/// Prints the tree of a cluster.
///
/// # Errors
///
/// If it cannot be read.
pub async fn run_in_cluster(read: ReadArgs, settings: Settings, telling: Telling) -> Result<ExitCode> {
    let (graph, _) = load_cluster(read, settings).await?;
    print(&graph, &telling);
    Ok(ExitCode::SUCCESS)
}

/// Roots and orphans of the namespace to tell of; below a root, all that it delegates to.
fn print(graph: &Graph, telling: &Telling) {
    let mut picture = Picture::of(graph);
    let Tree { roots, orphans } = &mut picture.tree;
    roots.retain(|root| telling.covers(&root.name.namespace));
    orphans.retain(|name| telling.covers(&name.namespace));
    let paint = Paint::of(&io::stdout());
    match telling.output.format() {
        Some(format) => print!("{}", format.document(&to_json(&picture))),
        None => print!("{}", Printer { graph, paint }.tree(&picture.tree)),
    }
}

/// Lines of a tree.
struct Printer<'a> {
    graph: &'a Graph,
    paint: Paint,
}

// === impl Picture ===

impl Picture {
    /// As of the last commit.
    #[must_use]
    pub fn of(graph: &Graph) -> Self {
        let statuses = graph.statuses();
        Self {
            tree: tree::tree(graph),
            statuses: statuses
                .map(|(name, status)| (name.clone(), status.clone()))
                .collect(),
        }
    }

    /// What `switchyard tree -o json` prints of everything.
    #[must_use]
    pub fn json(&self) -> String {
        Format::Json.document(&to_json(self))
    }

    /// A drawing, for Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::dot(&self.tree)
    }
}

// === impl Printer ===

impl Printer<'_> {
    fn tree(&self, Tree { roots, orphans }: &Tree) -> String {
        let mut text = String::new();
        for root in roots {
            self.root(root, &mut text);
        }
        if !orphans.is_empty() {
            text.push_str("not delegated to\n");
            let lines = orphans
                .iter()
                .map(|name| format!("  {}\n", self.paint.text(Style::Faint, name)));
            text.extend(lines);
        }
        text
    }

    fn root(
        &self,
        Root {
            name,
            state,
            fqdn,
            tls,
            routes,
            tcp,
        }: &Root,
        text: &mut String,
    ) {
        let host = fqdn.as_deref().unwrap_or("(serves no host)");
        let tls = match tls {
            Security::None => "",
            Security::Terminated => " TLS",
            Security::Passthrough => " TLS passthrough",
        };
        text.push_str(&format!("{host}{tls}  {name}{}\n", self.state(name, *state)));
        if !tcp.is_empty() {
            text.push_str(&format!("  tcp -> {}\n", clusters(tcp)));
        }
        self.routes(routes, 1, text);
    }

    /// As deep as delegations go, which is bounded.
    fn routes(&self, routes: &[Route], depth: usize, text: &mut String) {
        let indent = "  ".repeat(depth);
        for Route { prefix, way } in routes {
            match way {
                Way::Services(services) => {
                    text.push_str(&format!("{indent}{prefix} -> {}\n", clusters(services)))
                }
                Way::Repeated(key) => text.push_str(&format!("{indent}{prefix} => as above ({key})\n")),
                Way::Unavailable { reason } => {
                    let reason = reason.as_deref().unwrap_or("see the status");
                    let line = self.paint.text(Style::Bad, format!("503: {reason}"));
                    text.push_str(&format!("{indent}{prefix} -> {line}\n"));
                }
                Way::Delegated { mount, branches } => {
                    let mounted = if mount == prefix {
                        String::new()
                    } else {
                        format!(" (as {mount})")
                    };
                    text.push_str(&format!("{indent}{prefix}{mounted}\n"));
                    branches
                        .iter()
                        .for_each(|branch| self.branch(branch, depth + 1, text));
                }
            }
        }
    }

    fn branch(
        &self,
        Branch {
            name,
            active,
            state,
            routes,
        }: &Branch,
        depth: usize,
        text: &mut String,
    ) {
        let indent = "  ".repeat(depth);
        let (mark, role, style) = if *active {
            ("*", "active", Style::Good)
        } else {
            ("-", "standby", Style::Note)
        };
        let role = self.paint.text(style, role);
        text.push_str(&format!(
            "{indent}{mark} {name} {role}{}\n",
            self.state(name, *state)
        ));
        self.routes(routes, depth + 1, text);
    }

    /// Nothing where all is well.
    fn state(&self, name: &Name, state: State) -> String {
        match self.graph.status(name).filter(|_| state != State::Valid) {
            None => String::new(),
            Some(status) => format!(
                "  {}",
                self.paint
                    .text(Style::Bad, format!("{state}: {}", status.description()))
            ),
        }
    }
}

fn clusters(clusters: &[WeightedCluster]) -> String {
    let total: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
    let share = |WeightedCluster { cluster, weight }: &WeightedCluster| match clusters.len() {
        1 => service(&cluster.0),
        _ => format!("{} ({weight}/{total})", service(&cluster.0)),
    };
    clusters.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// A cluster's name without its digest.
fn service(cluster: &str) -> String {
    cluster
        .rsplit_once('/')
        .map_or(cluster, |(service, _)| service)
        .to_owned()
}

fn to_json(
    Picture {
        tree: Tree { roots, orphans },
        statuses,
    }: &Picture,
) -> Value {
    let roots: Vec<_> = roots.iter().map(|root| root_json(statuses, root)).collect();
    let orphans: Vec<_> = orphans.iter().map(Name::to_string).collect();
    json!({"roots": roots, "orphans": orphans})
}

fn root_json(
    statuses: &Statuses,
    Root {
        name,
        state,
        fqdn,
        tls,
        routes,
        tcp,
    }: &Root,
) -> Value {
    let tls = match tls {
        Security::None => "none",
        Security::Terminated => "terminated",
        Security::Passthrough => "passthrough",
    };
    json!({
        "name": name.to_string(), "fqdn": fqdn.as_deref(), "tls": tls, "status": status_json(statuses, name, *state),
        "routes": routes_json(statuses, routes), "tcp": clusters_json(tcp),
    })
}

fn status_json(statuses: &Statuses, name: &Name, state: State) -> Value {
    let description = statuses.get(name).map(Status::description);
    json!({"currentStatus": state.as_str(), "description": description})
}

fn routes_json(statuses: &Statuses, routes: &[Route]) -> Value {
    let route = |Route { prefix, way }: &Route| match way {
        Way::Services(services) => json!({"match": &**prefix, "services": clusters_json(services)}),
        Way::Repeated(key) => json!({"match": &**prefix, "repeats": key.to_string()}),
        Way::Unavailable { reason } => {
            json!({"match": &**prefix, "unavailable": reason.as_deref().unwrap_or("")})
        }
        Way::Delegated { mount, branches } => {
            let branches: Vec<_> = branches
                .iter()
                .map(|branch| branch_json(statuses, branch))
                .collect();
            json!({"match": &**prefix, "mount": &**mount, "branches": branches})
        }
    };
    routes.iter().map(route).collect()
}

fn branch_json(
    statuses: &Statuses,
    Branch {
        name,
        active,
        state,
        routes,
    }: &Branch,
) -> Value {
    json!({
        "name": name.to_string(), "active": active, "status": status_json(statuses, name, *state),
        "routes": routes_json(statuses, routes),
    })
}

fn clusters_json(clusters: &[WeightedCluster]) -> Value {
    let entry = |WeightedCluster { cluster, weight }: &WeightedCluster| json!({"cluster": cluster.to_string(), "weight": weight});
    clusters.iter().map(entry).collect()
}
