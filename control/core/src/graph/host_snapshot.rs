//! What there is to know of one host, to look at away from the graph, which goes on.
//!
//! ```text
//! [ Graph ] -> [ HostSnapshot ] -> what a request to the host meets
//!                   \-------> where that stands, and what is wrong with it
//! ```

use super::{Change, Graph, compile::Action, tcp, walk::CompiledMap};
use crate::{
    object::Name,
    status::{Status, StatusError},
    table::{
        ClusterName, EdgeTls, Host, HostRoute, HostTls, PolicyKey, Switch, SwitchKey, Table, Target,
        Template, WeightedCluster,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

/// A host, and what its IngressRoutes say. Made in as long as it takes to copy references to what it has.
#[derive(Clone, Debug, Default)]
pub struct HostSnapshot {
    /// Of that host alone.
    pub table: Table,
    /// The root, and those that its tcpproxy leads through.
    pub tcp: Vec<Name>,
    compiled: CompiledMap,
    statuses: BTreeMap<Name, Status>,
}

// === impl Graph ===

impl Graph {
    /// What there is to know of a host, by its name in lower case, as of the last commit.
    #[must_use]
    pub fn host_snapshot(&self, fqdn: &str) -> HostSnapshot {
        let fqdn = Arc::from(fqdn);
        let mut host_snapshot = HostSnapshot::default();
        let mut named = BTreeSet::new();
        if let Some(host) = self.table.hosts.get(&fqdn) {
            named.insert(host.root.clone());
            host_snapshot.take_host(self, host);
            for (key, switch) in self.switches_of(&fqdn) {
                named.insert(switch.owner.clone());
                named.extend(switch.branches.keys().cloned());
                host_snapshot.take_switch(self, key, switch);
            }
        }
        named.extend(host_snapshot.tcp.iter().cloned());
        for name in named {
            let compiled = self.compiled.get_key_value(&name);
            let status = self.statuses.get_key_value(&name);
            let owned = |(name, value): (&Name, &Arc<_>)| (name.clone(), Arc::clone(value));
            host_snapshot.compiled.extend(compiled.map(owned));
            host_snapshot
                .statuses
                .extend(status.map(|(name, status)| (name.clone(), status.clone())));
        }
        host_snapshot
    }

    fn switches_of(&self, fqdn: &str) -> impl Iterator<Item = (&SwitchKey, &Arc<Switch>)> {
        let starts = ["", "http://"].map(|scheme| ["/", " "].map(|end| format!("{scheme}{fqdn}{end}")));
        let starts = starts.into_iter().flatten();
        starts.flat_map(|start| {
            let from = SwitchKey(start.as_str().into());
            let range = self
                .table
                .switches
                .range((Bound::Included(from), Bound::Unbounded));
            range.take_while(move |(SwitchKey(key), _)| key.starts_with(&start))
        })
    }
}

// === impl HostSnapshot ===

impl HostSnapshot {
    /// All of it, as the change from nothing.
    #[must_use]
    pub fn change(&self) -> Change {
        let Table {
            hosts,
            switches,
            clusters,
            endpoints,
            certificates,
            policies,
        } = &self.table;
        Change {
            hosts: hosts.keys().cloned().collect(),
            switches: switches.keys().cloned().collect(),
            policies: policies.keys().cloned().collect(),
            clusters: clusters.keys().cloned().collect(),
            endpoints: endpoints.keys().cloned().collect(),
            certificates: certificates.keys().cloned().collect(),
            ..Change::default()
        }
    }

    /// The field of an IngressRoute's route, by its normalised match, such as `spec.routes[2]`. Without a match: the
    /// virtualhost.
    #[must_use]
    pub fn field(&self, owner: &Name, prefix: Option<&str>) -> Option<String> {
        let compiled = self.compiled.get(owner)?;
        let Some(prefix) = prefix else {
            return compiled.root.as_ref().map(|_| "spec.virtualhost".to_owned());
        };
        let route = compiled.routes.get(prefix)?;
        Some(format!("spec.routes[{}]", route.index))
    }

    /// Whether a route, by its normalised match, hands its requests on to another IngressRoute.
    #[must_use]
    pub fn delegates(&self, owner: &Name, prefix: &str) -> bool {
        let compiled = self.compiled.get(owner);
        compiled.is_some_and(|compiled| matches!(compiled.action(prefix), Some(Action::Delegate(_))))
    }

    /// What the prefix of a route, by its normalised match, becomes, if anything else.
    #[must_use]
    pub fn rewrite(&self, owner: &Name, prefix: &str) -> Option<&Arc<str>> {
        let rewrite = match self.compiled.get(owner)?.action(prefix)? {
            Action::Leaf { leaf, .. } => leaf.rewrite.as_ref()?,
            Action::Delegate(delegate) => &delegate.mount,
            Action::Unavailable(_) => return None,
        };
        Some(rewrite).filter(|rewrite| &***rewrite != prefix)
    }

    /// What a route with services says of its requests itself, by its normalised match.
    #[must_use]
    pub fn own_template(&self, owner: &Name, prefix: &str) -> Option<&Template> {
        match self.compiled.get(owner)?.action(prefix)? {
            Action::Leaf { leaf, .. } => Some(&leaf.template),
            Action::Delegate(_) | Action::Unavailable(_) => None,
        }
    }

    /// What the status of an IngressRoute says is wrong with a field of it, or with what is in that.
    pub fn errors<'e>(&'e self, owner: &Name, field: &'e str) -> impl Iterator<Item = &'e StatusError> {
        let errors = self
            .statuses
            .get(owner)
            .into_iter()
            .flat_map(|status| &status.errors);
        errors.filter(move |error| {
            let rest = error.field.strip_prefix(field);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    fn take_host(&mut self, graph: &Graph, host: &Arc<Host>) {
        let Table {
            certificates,
            policies,
            ..
        } = graph.table();
        let vhosts = [&host.http].into_iter().chain(match &host.tls {
            Some(HostTls::Terminate { tls: _, vhost }) => Some(vhost),
            Some(HostTls::TerminateTcp { .. } | HostTls::Passthrough { .. }) | None => None,
        });
        for route in vhosts.flat_map(|vhost| vhost.routes.values()) {
            if let HostRoute::Plain(route) = route {
                self.take_clusters(graph, &route.clusters);
            }
        }
        match &host.tls {
            Some(HostTls::TerminateTcp { tls: _, proxy } | HostTls::Passthrough { proxy }) => {
                self.take_clusters(graph, &proxy.clusters);
                self.tcp = tcp::follow(&graph.compiled, &host.root).reached;
            }
            Some(HostTls::Terminate { .. }) | None => {}
        }
        if let Some(EdgeTls { certificate, .. }) = host.tls.as_ref().and_then(HostTls::edge) {
            let certificate = certificates.get_key_value(certificate);
            let owned = certificate.map(|(name, certificate)| (name.clone(), certificate.clone()));
            self.table.certificates.extend(owned);
        }
        let from = PolicyKey(format!("{} ", host.fqdn).into());
        let of_host = policies.range((Bound::Included(from), Bound::Unbounded));
        let of_host = of_host.take_while(|(key, _)| key.host() == &*host.fqdn);
        self.table
            .policies
            .extend(of_host.map(|(key, policy)| (key.clone(), policy.clone())));
        self.table.hosts.insert(host.fqdn.clone(), host.clone());
    }

    fn take_switch(&mut self, graph: &Graph, key: &SwitchKey, switch: &Arc<Switch>) {
        for target in switch.branches.values().flat_map(|branch| branch.routes.values()) {
            if let Target::Leaf(leaf) = target {
                self.take_clusters(graph, &leaf.clusters);
            }
        }
        self.table.switches.insert(key.clone(), switch.clone());
    }

    fn take_clusters(&mut self, graph: &Graph, clusters: &[WeightedCluster]) {
        let Table {
            clusters: all,
            endpoints,
            ..
        } = graph.table();
        let mut take = |name: &ClusterName| {
            let cluster = all.get(name).map(|cluster| (name.clone(), cluster.clone()));
            self.table.clusters.extend(cluster);
            let endpoints = endpoints.get(name).map(|list| (name.clone(), list.clone()));
            self.table.endpoints.extend(endpoints);
        };
        clusters
            .iter()
            .for_each(|WeightedCluster { cluster, .. }| take(cluster));
    }
}
