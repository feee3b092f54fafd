//! A commit: from what is dirty to what came out different.

use super::{
    Change, Graph, PublishedRoot, RootIndices,
    claims::Claimant,
    compile::{Compiled, compile},
    endpoints,
    fault::Problem,
    index::Before,
    standing::Standing,
    tls,
    view::{self, Needs, Sources, View},
};
use crate::{
    object::Name,
    status::Status,
    table::{Certificate, Cluster, ClusterName, Endpoint, Host, Policy, PolicyKey, Switch, SwitchKey},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

/// What one root found wrong, by the IngressRoute at fault.
type Findings = BTreeMap<Name, BTreeSet<Problem>>;

/// What the table and the statuses held before.
#[derive(Debug, Default)]
struct Edits {
    hosts: Before<Arc<str>, Arc<Host>>,
    switches: Before<SwitchKey, Arc<Switch>>,
    policies: Before<PolicyKey, Arc<Policy>>,
    clusters: Before<ClusterName, Arc<Cluster>>,
    endpoints: Before<ClusterName, Arc<Vec<Endpoint>>>,
    certificates: Before<Name, Arc<Certificate>>,
    statuses: Before<Name, Status>,
}

/// A commit under way.
struct Commit<'a> {
    graph: &'a mut Graph,
    edits: Edits,
}

/// Derives what is dirty, stage by stage.
pub(super) fn commit(graph: &mut Graph) -> Change {
    let mut commit = Commit {
        graph,
        edits: Edits::default(),
    };
    commit.compile();
    commit.list_endpoints();
    let derived = commit.derive();
    commit.read_certificates();
    commit.tell();
    commit.finish(derived)
}

// === impl Commit ===

impl Commit<'_> {
    fn compile(&mut self) {
        for name in mem::take(&mut self.graph.dirty.ingress_routes) {
            let Graph {
                objects,
                settings,
                compiled,
                ..
            } = &mut *self.graph;
            let new = objects
                .ingress_route(&name)
                .map(|object| Arc::new(compile(objects, settings, object)));
            if compiled.get(&name) == new.as_ref() {
                continue;
            }
            let old = match new.clone() {
                Some(new) => compiled.insert(name.clone(), new),
                None => compiled.remove(&name),
            };
            self.recompiled(&name, &old.unwrap_or_default(), &new.unwrap_or_default());
        }
        let moved = self.graph.indices.claims.moved();
        self.graph.dirty.roots.extend(moved);
    }

    /// Marks what depends on an IngressRoute that is understood otherwise than before.
    fn recompiled(&mut self, name: &Name, old: &Compiled, new: &Compiled) {
        let Graph {
            indices,
            templates,
            dirty,
            ..
        } = &mut *self.graph;
        indices.services.replace(name, &old.services, &new.services);
        indices.secrets.replace(name, &old.secrets, &new.secrets);
        indices.jwks.replace(name, &old.jwks, &new.jwks);
        indices.dns_names.replace(name, &old.dns_names, &new.dns_names);
        dirty.statuses.insert(name.clone());
        dirty
            .roots
            .extend(indices.roots.ingress_routes.get(name).cloned());
        if old.root.is_some() || new.root.is_some() {
            dirty.roots.insert(name.clone());
        }
        if templates.replace(&name.namespace, old, new) {
            let roots = indices.roots.template_namespaces.get(&name.namespace);
            dirty.roots.extend(roots.cloned());
        }
        self.claim(name, old, new);
        self.keep_clusters(name, old, new);
    }

    /// Moves a root's claim.
    fn claim(&mut self, name: &Name, old: &Compiled, new: &Compiled) {
        let claims = &mut self.graph.indices.claims;
        let (old, new) = (claim_of(name, old), claim_of(name, new));
        if old == new {
            return;
        }
        if let Some((fqdn, claimant)) = old {
            claims.remove(fqdn, &claimant);
        }
        if let Some((fqdn, claimant)) = new {
            claims.insert(fqdn, claimant);
        }
    }

    /// Keeps the clusters that some IngressRoute has, and no others.
    fn keep_clusters(&mut self, name: &Name, old: &Compiled, new: &Compiled) {
        for (key, cluster) in &new.clusters {
            self.graph.indices.clusters.insert(key.clone(), name.clone());
            self.set_cluster(cluster, true);
        }
        for (key, cluster) in &old.clusters {
            if new.clusters.contains_key(key) {
                continue;
            }
            self.graph.indices.clusters.remove(key, name);
            if !self.graph.indices.clusters.contains(key) {
                self.set_cluster(cluster, false);
            }
        }
    }

    fn set_cluster(&mut self, cluster: &Arc<Cluster>, kept: bool) {
        let Graph {
            indices,
            dirty,
            table,
            ..
        } = &mut *self.graph;
        let (name, service) = (&cluster.name, &cluster.service);
        if table.clusters.contains_key(name) == kept {
            return;
        }
        self.edits
            .clusters
            .set(&mut table.clusters, name, kept.then(|| cluster.clone()));
        if kept {
            indices.service_clusters.insert(service.clone(), name.clone());
            dirty.services.insert(service.clone());
        } else {
            indices.service_clusters.remove(service, name);
            self.edits.endpoints.set(&mut table.endpoints, name, None);
        }
    }

    fn list_endpoints(&mut self) {
        for service in mem::take(&mut self.graph.dirty.services) {
            let Graph {
                objects,
                settings,
                indices,
                table,
                ..
            } = &mut *self.graph;
            // Clusters of one port share the list.
            let mut lists: BTreeMap<u16, Option<Arc<Vec<Endpoint>>>> = BTreeMap::new();
            for name in indices.service_clusters.get(&service) {
                let list = table.clusters.get(name).and_then(|cluster| {
                    let list = || endpoints::ready(objects, settings, &service, cluster.port).map(Arc::new);
                    lists.entry(cluster.port).or_insert_with(list).clone()
                });
                self.edits.endpoints.set(&mut table.endpoints, name, list);
            }
        }
    }

    /// Derives the dirty roots. Answers how many.
    fn derive(&mut self) -> usize {
        let roots = mem::take(&mut self.graph.dirty.roots);
        let views: Vec<_> = roots
            .iter()
            .map(|name| (name, view::derive(self.sources(), name)))
            .collect();
        // A host name may move from one root to another: all goes before anything comes.
        for (name, view) in &views {
            self.withdraw(name, view);
        }
        for (name, view) in views {
            self.publish(name, view);
        }
        roots.len()
    }

    fn sources(&self) -> Sources<'_> {
        Sources {
            objects: &self.graph.objects,
            compiled: &self.graph.compiled,
            claims: &self.graph.indices.claims,
            templates: &self.graph.templates,
        }
    }

    /// Removes what a root had and no longer has.
    fn withdraw(&mut self, name: &Name, view: &View) {
        let Graph { outlines, table, .. } = &mut *self.graph;
        let Some(outline) = outlines.get(name) else { return };
        let fqdn = view.host.as_ref().map(|host| &host.fqdn);
        if let Some(old) = outline.fqdn.as_ref().filter(|old| Some(*old) != fqdn) {
            self.edits.hosts.set(&mut table.hosts, old, None);
        }
        for key in outline
            .switches
            .iter()
            .filter(|key| !view.switches.contains_key(*key))
        {
            self.edits.switches.set(&mut table.switches, key, None);
        }
        for key in outline
            .policies
            .iter()
            .filter(|key| !view.policies.contains_key(*key))
        {
            self.edits.policies.set(&mut table.policies, key, None);
        }
    }

    /// Brings what a root has into the table.
    fn publish(&mut self, name: &Name, view: View) {
        let View {
            host,
            switches,
            policies,
            findings,
            needs,
        } = view;
        let outline = PublishedRoot {
            fqdn: host.as_ref().map(|host| host.fqdn.clone()),
            switches: switches.keys().cloned().collect(),
            policies: policies.keys().cloned().collect(),
            findings,
            needs,
        };
        let table = &mut self.graph.table;
        if let Some(host) = host {
            self.edits
                .hosts
                .set(&mut table.hosts, &host.fqdn.clone(), Some(host));
        }
        for (key, switch) in switches {
            self.edits.switches.set(&mut table.switches, &key, Some(switch));
        }
        for (key, policy) in policies {
            self.edits.policies.set(&mut table.policies, &key, Some(policy));
        }
        self.remember(name, outline);
    }

    /// Replaces a root's outline and all that is counted from it.
    fn remember(&mut self, name: &Name, outline: PublishedRoot) {
        let Graph {
            outlines,
            indices,
            dirty,
            ..
        } = &mut *self.graph;
        let old = outlines.remove(name).unwrap_or_default();
        indices.roots.replace(name, &old.needs, &outline.needs);
        let certificates = old
            .needs
            .certificates
            .symmetric_difference(&outline.needs.certificates);
        dirty.certificates.extend(certificates.cloned());
        self.count(&old.findings, &outline.findings);
        if self
            .graph
            .compiled
            .get(name)
            .is_some_and(|compiled| compiled.root.is_some())
        {
            self.graph.outlines.insert(name.clone(), outline);
        } else {
            self.graph
                .indices
                .roots
                .replace(name, &outline.needs, &Needs::default());
        }
    }

    /// Counts what one root found instead of what it had found.
    fn count(&mut self, old: &Findings, new: &Findings) {
        let Graph { standings, dirty, .. } = &mut *self.graph;
        for (name, problems) in old
            .iter()
            .filter(|(name, problems)| new.get(*name) != Some(*problems))
        {
            standings.entry(name.clone()).or_default().remove(problems);
            dirty.statuses.insert(name.clone());
        }
        for (name, problems) in new
            .iter()
            .filter(|(name, problems)| old.get(*name) != Some(*problems))
        {
            standings.entry(name.clone()).or_default().add(problems);
            dirty.statuses.insert(name.clone());
        }
    }

    fn read_certificates(&mut self) {
        let Graph {
            objects,
            indices,
            dirty,
            table,
            ..
        } = &mut *self.graph;
        for name in mem::take(&mut dirty.certificates) {
            let secret = objects
                .secret(&name)
                .filter(|_| indices.roots.certificates.contains(&name));
            let certificate = secret.and_then(|secret| tls::certificate(secret).ok());
            self.edits
                .certificates
                .set(&mut table.certificates, &name, certificate.map(Arc::new));
        }
    }

    fn tell(&mut self) {
        let Graph {
            compiled,
            standings,
            dirty,
            statuses,
            ..
        } = &mut *self.graph;
        let none = Standing::default();
        for name in mem::take(&mut dirty.statuses) {
            let standing = standings.get(&name);
            let status = compiled
                .get(&name)
                .map(|compiled| standing.unwrap_or(&none).status(compiled));
            if standing.is_some_and(Standing::is_empty) {
                standings.remove(&name);
            }
            self.edits.statuses.set(statuses, &name, status);
        }
    }

    fn finish(self, derived: usize) -> Change {
        let Edits {
            hosts,
            switches,
            policies,
            clusters,
            endpoints,
            certificates,
            statuses,
        } = self.edits;
        let table = &mut self.graph.table;
        Change {
            hosts: hosts.finish(&mut table.hosts),
            switches: switches.finish(&mut table.switches),
            policies: policies.finish(&mut table.policies),
            clusters: clusters.finish(&mut table.clusters),
            endpoints: endpoints.finish(&mut table.endpoints),
            certificates: certificates.finish(&mut table.certificates),
            statuses: statuses.finish(&mut self.graph.statuses),
            derived,
        }
    }
}

/// The host name that a root claims, and with which precedence.
fn claim_of<'a>(name: &Name, compiled: &'a Compiled) -> Option<(&'a Arc<str>, Claimant)> {
    let root = compiled.root.as_ref()?;
    let claimant = Claimant {
        created: root.created,
        name: name.clone(),
    };
    Some((root.fqdn.as_ref()?, claimant))
}

// === impl RootIndices ===

impl RootIndices {
    /// Makes `root` need `new` instead of `old`.
    fn replace(&mut self, root: &Name, old: &Needs, new: &Needs) {
        let Needs {
            ingress_routes,
            secrets,
            certificate_namespaces,
            template_namespaces,
            certificates,
        } = new;
        self.ingress_routes
            .replace(root, &old.ingress_routes, ingress_routes);
        self.secrets.replace(root, &old.secrets, secrets);
        self.certificate_namespaces
            .replace(root, &old.certificate_namespaces, certificate_namespaces);
        self.template_namespaces
            .replace(root, &old.template_namespaces, template_namespaces);
        self.certificates.replace(root, &old.certificates, certificates);
    }
}
