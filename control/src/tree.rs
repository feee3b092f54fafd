//! `switchyard tree`: the delegation tree.

mod clusters;
mod dot;

use self::clusters::clusters;
use crate::{
    args::{Format, OutputFilter},
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
    tree::{self, Branch, Choices, Root, Route, Security, Tree, Way},
};

/// The tree of a graph, and the statuses in it, to be shown without the graph.
#[derive(Clone, Debug)]
pub struct GraphSnapshot {
    tree: Tree,
    statuses: Statuses,
}

type Statuses = BTreeMap<Name, Status>;

/// Prints the tree of a directory.
///
/// # Errors
///
/// If the directory cannot be listed.
pub fn run(dir: &Path, settings: Settings, telling: &OutputFilter) -> Result<ExitCode> {
    let loaded = load(dir, settings)?;
    for diagnostic in loaded.directory.diagnostics() {
        eprintln!("{diagnostic}");
    }
    print(&loaded.graph, telling);
    Ok(ExitCode::SUCCESS)
}

/// Prints the tree of a cluster.
///
/// # Errors
///
/// If the cluster cannot be read.
pub async fn run_in_cluster(read: ReadArgs, settings: Settings, telling: OutputFilter) -> Result<ExitCode> {
    let (graph, _) = load_cluster(read, settings).await?;
    print(&graph, &telling);
    Ok(ExitCode::SUCCESS)
}

/// Prints the roots and orphans of the namespace to show; below a root, everything that it delegates to.
fn print(graph: &Graph, telling: &OutputFilter) {
    let mut snapshot = GraphSnapshot::of(graph);
    let Tree { roots, orphans } = &mut snapshot.tree;
    roots.retain(|root| telling.covers(&root.name.namespace));
    orphans.retain(|name| telling.covers(&name.namespace));
    let paint = Paint::of(&io::stdout());
    match telling.output.format() {
        Some(format) => print!("{}", format.document(&to_json(&snapshot))),
        None => print!("{}", Printer { graph, paint }.tree(&snapshot.tree)),
    }
}

/// A printer of a tree's lines.
struct Printer<'a> {
    graph: &'a Graph,
    paint: Paint,
}

// === impl GraphSnapshot ===

impl GraphSnapshot {
    /// Copies the tree and the statuses as of the last commit.
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

    /// The JSON that `switchyard tree -o json` prints for all namespaces.
    #[must_use]
    pub fn json(&self) -> String {
        Format::Json.document(&to_json(self))
    }

    /// A drawing for Graphviz.
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

    /// Prints routes. Recurses as deep as delegations go, which is bounded.
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
            choices,
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
            "{indent}{mark} {name} {role}{}{}\n",
            choices_text(choices, *active),
            self.state(name, *state)
        ));
        self.routes(routes, depth + 1, text);
    }

    /// The state and its description; empty for a valid IngressRoute.
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

/// The preview and the canary of a branch; empty if it has neither.
fn choices_text(Choices { preview, canary }: &Choices, active: bool) -> String {
    let preview = preview.as_ref().map(|header| format!("preview by {header}"));
    let canary = canary.map(|percent| format!("canary {percent} %"));
    let choices: Vec<_> = preview.into_iter().chain(canary).collect();
    match &*choices {
        [] => String::new(),
        choices if active => format!(" ({}: no effect, the branch is active)", choices.join(", ")),
        choices => format!(", {}", choices.join(", ")),
    }
}

fn to_json(
    GraphSnapshot {
        tree: Tree { roots, orphans },
        statuses,
    }: &GraphSnapshot,
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
        choices: Choices { preview, canary },
        state,
        routes,
    }: &Branch,
) -> Value {
    let mut branch = json!({
        "name": name.to_string(), "active": active, "status": status_json(statuses, name, *state),
        "routes": routes_json(statuses, routes),
    });
    if let Some(header) = preview {
        branch["preview"] = json!({"header": &**header, "inEffect": !active});
    }
    if let Some(percent) = canary {
        branch["canary"] = json!({"percent": percent, "inEffect": !active});
    }
    branch
}

fn clusters_json(clusters: &[WeightedCluster]) -> Value {
    let entry = |WeightedCluster { cluster, weight }: &WeightedCluster| json!({"cluster": cluster.to_string(), "weight": weight});
    clusters.iter().map(entry).collect()
}
