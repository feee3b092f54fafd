//! The delegations as a tree, for people to look at.
//!
//! ```text
//! Root -> Route -> Way::Delegated -> Branch -> Route -> ...
//!               -> Way::Services
//! ```

use crate::{
    graph::Graph,
    object::Name,
    status::State,
    table::{
        Branch as TableBranch, HostRoute, HostTls, Leaf, Switch, SwitchKey, Table, Target, Vhost,
        WeightedCluster,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// All roots, and what no root reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// By name.
    pub roots: Vec<Root>,
    /// By name.
    pub orphans: Vec<Name>,
}

/// A root, and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub name: Name,
    pub state: State,
    /// The host name that it serves; none where it may not serve.
    pub fqdn: Option<Arc<str>>,
    pub tls: Security,
    /// What it serves where it serves most: on the TLS port, if it terminates TLS for routes.
    pub routes: Vec<Route>,
    /// Where its tcpproxy leads.
    pub tcp: Vec<WeightedCluster>,
}

/// What a root does with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    None,
    Terminated,
    Passthrough,
}

/// A prefix, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// As the IngressRoute that it stands in sees paths.
    pub prefix: Arc<str>,
    pub way: Way,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Services(Vec<WeightedCluster>),
    Delegated {
        /// What the prefix is to the branches.
        mount: Arc<str>,
        /// The active one first.
        branches: Vec<Branch>,
    },
    /// Delegated as told further up under this root: one delegating route that several ways lead to.
    Repeated(SwitchKey),
    Unavailable {
        /// Where it is known; else the status of the IngressRoute tells.
        reason: Option<Arc<str>>,
    },
}

/// An IngressRoute that is delegated to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    pub name: Name,
    pub active: bool,
    /// Without effect where the branch is active.
    pub choices: Choices,
    pub state: State,
    pub routes: Vec<Route>,
}

/// The requests that a branch gets, or would get, while another one is active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The header of its preview.
    pub preview: Option<Arc<str>>,
    /// The number of a hundred new sessions that its canary gets.
    pub canary: Option<u8>,
}

/// What is known while one root's tree grows.
struct Growth<'a> {
    graph: &'a Graph,
    seen: BTreeSet<&'a SwitchKey>,
}

/// The tree of a graph, as of the last commit.
#[must_use]
pub fn tree(graph: &Graph) -> Tree {
    let hosts = graph.table().hosts.values();
    let fqdns: BTreeMap<_, _> = hosts.map(|host| (&host.root, &host.fqdn)).collect();
    let mut tree = Tree::default();
    for (name, status) in graph.statuses() {
        if graph.is_root(name) {
            tree.roots
                .push(root(graph, (name, status.state), fqdns.get(name).copied()));
        } else if status.state == State::Orphaned {
            tree.orphans.push(name.clone());
        }
    }
    tree
}

fn root(graph: &Graph, (name, state): (&Name, State), fqdn: Option<&Arc<str>>) -> Root {
    let mut root = Root {
        name: name.clone(),
        state,
        fqdn: fqdn.cloned(),
        tls: Security::None,
        routes: Vec::new(),
        tcp: Vec::new(),
    };
    let Some(host) = fqdn.and_then(|fqdn| graph.table().hosts.get(fqdn)) else {
        return root;
    };
    let mut vhost = &host.http;
    match &host.tls {
        None => {}
        Some(HostTls::Terminate {
            tls: _,
            vhost: secure,
        }) => {
            root.tls = Security::Terminated;
            vhost = secure;
        }
        Some(HostTls::TerminateTcp { tls: _, proxy }) => {
            root.tls = Security::Terminated;
            root.tcp.clone_from(&proxy.clusters);
        }
        Some(HostTls::Passthrough { proxy }) => {
            root.tls = Security::Passthrough;
            root.tcp.clone_from(&proxy.clusters);
        }
    }
    let mut growth = Growth {
        graph,
        seen: BTreeSet::new(),
    };
    root.routes = growth.vhost(vhost);
    root
}

fn choices(switch: &Switch, branch: &Name) -> Choices {
    let preview = switch
        .preview
        .as_ref()
        .filter(|preview| preview.branch == *branch);
    let canary = switch.canary.as_ref().filter(|canary| canary.branch == *branch);
    Choices {
        preview: preview.map(|preview| preview.header.clone()),
        canary: canary.map(|canary| canary.percent),
    }
}

// === impl Growth ===

impl<'a> Growth<'a> {
    fn table(&self) -> &'a Table {
        self.graph.table()
    }

    fn vhost(&mut self, vhost: &'a Vhost) -> Vec<Route> {
        let route = |(prefix, route): (&Arc<str>, &'a HostRoute)| Route {
            prefix: prefix.clone(),
            way: match route {
                HostRoute::Plain(route) => Way::Services(route.clusters.clone()),
                HostRoute::Switch(key) => self.switch(key),
                HostRoute::HttpsRedirect | HostRoute::Unavailable => Way::Unavailable { reason: None },
            },
        };
        vhost.routes.iter().map(route).collect()
    }

    /// Calls itself by way of the branches: as deep as delegation may be, no deeper.
    fn switch(&mut self, key: &'a SwitchKey) -> Way {
        let Some(switch) = self.table().switches.get(key) else {
            return Way::Unavailable { reason: None };
        };
        if !self.seen.insert(key) {
            return Way::Repeated(key.clone());
        }
        let names = [&switch.active].into_iter().chain(&switch.standby);
        Way::Delegated {
            mount: switch.mount.clone(),
            branches: names.map(|name| self.branch(switch, name)).collect(),
        }
    }

    fn branch(&mut self, switch: &'a Switch, name: &Name) -> Branch {
        Branch {
            name: name.clone(),
            active: switch.active == *name,
            choices: choices(switch, name),
            state: self
                .graph
                .status(name)
                .map_or(State::Orphaned, |status| status.state),
            routes: switch
                .branches
                .get(name)
                .map(|branch| self.routes(branch))
                .unwrap_or_default(),
        }
    }

    fn routes(&mut self, TableBranch { routes }: &'a TableBranch) -> Vec<Route> {
        let route = |(prefix, target): (&Arc<str>, &'a Target)| Route {
            prefix: prefix.clone(),
            way: match target {
                Target::Leaf(Leaf { clusters, .. }) => Way::Services(clusters.clone()),
                Target::Switch(key) => self.switch(key),
                Target::Unavailable(reason) => Way::Unavailable {
                    reason: Some(reason.clone()),
                },
                // Never on the face that is shown.
                Target::HttpsRedirect => Way::Unavailable { reason: None },
            },
        };
        routes.iter().map(route).collect()
    }
}
