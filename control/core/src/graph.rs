//! The delegation graph: objects in, a routing table and statuses out, by the roots that a change reaches.
//!
//! ```text
//! [ Objects ] -> [ Compiled ]          an IngressRoute understood alone   (again when it or what it names changes)
//!                     |
//!                     v
//!                 [ View ]             what follows from one root         (again when something it reaches changes)
//!                  |    |
//!                  v    v
//!            [ Table ] [ Standing ]    merged, by what differs
//!                           |
//!                           v
//!                       [ Status ]
//! ```
//!
//! Each stage ends where its outcome is equal to before. Endpoints go from the objects to the table at once. What is
//! wrong never stops anything: it becomes a 503 where it stands, and a status.

mod claims;
mod commit;
mod compile;
mod digest;
mod dry_run;
mod endpoints;
mod fault;
mod host_snapshot;
mod index;
mod objects;
mod standing;
mod tcp;
mod templates;
mod tls;
mod view;
mod walk;

#[cfg(test)]
mod tests;

pub use self::{dry_run::Blocker, host_snapshot::HostSnapshot};

use self::{
    claims::Claims,
    index::Index,
    objects::{Objects, service_of},
    standing::Standing,
    templates::Templates,
    view::Needs,
    walk::CompiledMap,
};
use crate::{
    address::AddressRule,
    object::{Kind, Name, Object, ObjectId},
    status::Status,
    table::{ClusterName, PolicyKey, SwitchKey, Table},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the graph is told once, at start.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Namespaces that roots may live in; empty: any.
    pub root_namespaces: BTreeSet<String>,
    /// Ignore `permitInsecure` everywhere.
    pub disable_permit_insecure: bool,
    /// Serve Services of type ExternalName, and EndpointSlices of addressType FQDN.
    pub allow_external_names: bool,
    /// Serve endpoints that are loopback addresses: those who write the objects may reach what is on this machine.
    pub allow_loopback_endpoints: bool,
}

/// The objects, and what follows from them.
#[derive(Debug, Default)]
pub struct Graph {
    settings: Settings,
    objects: Objects,
    compiled: CompiledMap,
    /// By root.
    outlines: BTreeMap<Name, PublishedRoot>,
    indices: Indices,
    templates: Templates,
    /// By IngressRoute: those that roots reach.
    standings: BTreeMap<Name, Standing>,
    dirty: Dirty,
    table: Table,
    statuses: BTreeMap<Name, Status>,
}

/// What a commit changed: names to look up in [`Graph::table`] and [`Graph::status`]. What is named here and no
/// longer there was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub hosts: BTreeSet<Arc<str>>,
    pub switches: BTreeSet<SwitchKey>,
    pub policies: BTreeSet<PolicyKey>,
    pub clusters: BTreeSet<ClusterName>,
    pub endpoints: BTreeSet<ClusterName>,
    pub certificates: BTreeSet<Name>,
    pub statuses: BTreeSet<Name>,
    /// How many roots were derived anew.
    pub derived: usize,
}

/// What is remembered of a root's view when its values have gone into the table.
#[derive(Debug, Default)]
struct PublishedRoot {
    fqdn: Option<Arc<str>>,
    switches: BTreeSet<SwitchKey>,
    policies: BTreeSet<PolicyKey>,
    findings: BTreeMap<Name, BTreeSet<fault::Problem>>,
    needs: Needs,
}

/// Who depends on what.
#[derive(Debug, Default)]
struct Indices {
    /// Service to the IngressRoutes that name it.
    services: Index<Name, Name>,
    /// Secret to the IngressRoutes whose services or policies name it.
    secrets: Index<Name, Name>,
    /// URI of a set of keys to the IngressRoutes that name it.
    jwks: Index<Arc<str>, Name>,
    /// DNS name to the IngressRoutes whose services are at it.
    dns_names: Index<Arc<str>, Name>,
    /// Cluster to the IngressRoutes that have it.
    clusters: Index<ClusterName, Name>,
    /// Service to its clusters.
    service_clusters: Index<Name, ClusterName>,
    claims: Claims,
    roots: RootIndices,
}

/// What roots depend on: the same fields as [`Needs`].
#[derive(Debug, Default)]
struct RootIndices {
    ingress_routes: Index<Name, Name>,
    secrets: Index<Name, Name>,
    certificate_namespaces: Index<Arc<str>, Name>,
    template_namespaces: Index<Arc<str>, Name>,
    certificates: Index<Name, Name>,
}

/// What the next commit has to look at.
#[derive(Debug, Default)]
struct Dirty {
    /// To compile.
    ingress_routes: BTreeSet<Name>,
    /// To derive.
    roots: BTreeSet<Name>,
    /// Services whose endpoints to list.
    services: BTreeSet<Name>,
    certificates: BTreeSet<Name>,
    statuses: BTreeSet<Name>,
}

// === impl Settings ===

impl Settings {
    /// The rule for addresses in EndpointSlices and Endpoints. Names have a stricter one: the default.
    fn endpoint_rule(&self) -> AddressRule {
        AddressRule::new(Vec::new(), self.allow_loopback_endpoints)
    }
}

// === impl Graph ===

impl Graph {
    /// An empty graph.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Adds or replaces an object. Answers whether that may change anything.
    pub fn apply(&mut self, object: Object) -> bool {
        let id = object.id();
        if self.objects.get(&id) == Some(&object) {
            return false;
        }
        let object = Arc::new(object);
        let before = self.objects.replace(&id, Some(object.clone()));
        self.touch(&id, before.as_deref(), Some(&object));
        true
    }

    /// Removes an object. Answers whether it was there.
    pub fn delete(&mut self, id: &ObjectId) -> bool {
        let before = self.objects.replace(id, None);
        self.touch(id, before.as_deref(), None);
        before.is_some()
    }

    /// Derives what the changes since the last commit reach, and says what came out different.
    pub fn commit(&mut self) -> Change {
        commit::commit(self)
    }

    /// What the proxies are to do, as of the last commit.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The branch that a delegating route names, whether or not it can be followed.
    #[must_use]
    pub fn named_branch(&self, owner: &Name, prefix: &str) -> Option<&Name> {
        match &self.compiled.get(owner)?.routes.get(prefix)?.action {
            compile::Action::Delegate(delegate) => Some(&delegate.active),
            compile::Action::Leaf { .. } | compile::Action::Unavailable(_) => None,
        }
    }

    /// What the owner of an IngressRoute is told, as of the last commit.
    #[must_use]
    pub fn status(&self, name: &Name) -> Option<&Status> {
        self.statuses.get(name)
    }

    /// All statuses, by name.
    pub fn statuses(&self) -> impl Iterator<Item = (&Name, &Status)> {
        self.statuses.iter()
    }

    /// An object as it was last applied.
    #[must_use]
    pub fn object(&self, id: &ObjectId) -> Option<&Object> {
        self.objects.get(id)
    }

    /// How many objects of a kind were applied, and not deleted since. Costs nothing.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.objects.count(kind)
    }

    /// Where a policy of the table stands: the IngressRoute, and the field whose policies it is made of, such as
    /// `spec.routes[2]`.
    #[must_use]
    pub fn policy_place(&self, key: &PolicyKey) -> Option<(Name, String)> {
        let (owner, _) = key.level()?;
        let field = match compile::level(&self.compiled, key)? {
            (None, _) => "spec.virtualhost".to_owned(),
            (Some(index), _) => format!("spec.routes[{index}]"),
        };
        Some((owner, field))
    }

    /// The IngressRoutes that have a cluster, reached or not, as of the last commit.
    pub fn users_of_cluster(&self, cluster: &ClusterName) -> impl Iterator<Item = &Name> {
        self.indices.clusters.get(cluster)
    }

    /// Whether an IngressRoute is a root, as of the last commit.
    #[must_use]
    pub fn is_root(&self, name: &Name) -> bool {
        self.outlines.contains_key(name)
    }

    /// Marks what depends on an object.
    fn touch(&mut self, id: &ObjectId, before: Option<&Object>, after: Option<&Object>) {
        let name = &id.name;
        match id.kind {
            Kind::IngressRoute => {
                self.dirty.ingress_routes.insert(name.clone());
            }
            Kind::Service => self.touch_service(name),
            Kind::EndpointSlice => {
                self.touch_slice(before);
                self.touch_slice(after);
            }
            Kind::Endpoints => {
                self.touch_endpoints(name, before);
                self.touch_endpoints(name, after);
            }
            Kind::Secret => self.touch_secret(name),
            Kind::TlsCertificateDelegation => {
                let roots = self.indices.roots.certificate_namespaces.get(&name.namespace);
                self.dirty.roots.extend(roots.cloned());
            }
            Kind::Jwks => {
                let users = self.indices.jwks.get(&name.name);
                self.dirty.ingress_routes.extend(users.cloned());
            }
            Kind::DnsName => self.touch_dns_name(&name.name),
        }
    }

    /// The services of all who use a name are listed anew: which of them are at it, they alone know.
    fn touch_dns_name(&mut self, name: &Arc<str>) {
        let Self {
            indices,
            compiled,
            dirty,
            ..
        } = self;
        for user in indices.dns_names.get(name) {
            dirty.ingress_routes.insert(user.clone());
            let services = compiled.get(user).map(|compiled| &compiled.services);
            dirty.services.extend(services.into_iter().flatten().cloned());
        }
    }

    fn touch_service(&mut self, name: &Name) {
        self.dirty.services.insert(name.clone());
        self.dirty
            .ingress_routes
            .extend(self.indices.services.get(name).cloned());
    }

    /// Names are part of the cluster, and statuses mention addresses that are dropped; other addresses change endpoints
    /// alone.
    fn touch_slice(&mut self, slice: Option<&Object>) {
        if let Some(Object::EndpointSlice(slice)) = slice {
            let service = service_of(slice);
            if endpoints::is_slice_reported(&self.settings, slice) || self.are_endpoints_reported(&service) {
                self.touch_service(&service);
            } else {
                self.dirty.services.insert(service);
            }
        }
    }

    /// The same, of Endpoints.
    fn touch_endpoints(&mut self, name: &Name, object: Option<&Object>) {
        match object {
            Some(Object::Endpoints(object)) if endpoints::are_endpoints_reported(&self.settings, object) => {
                self.touch_service(name);
            }
            _ => {
                self.dirty.services.insert(name.clone());
            }
        }
    }

    fn are_endpoints_reported(&self, service: &Name) -> bool {
        let endpoints = self.objects.endpoints(service);
        endpoints.is_some_and(|endpoints| endpoints::are_endpoints_reported(&self.settings, endpoints))
    }

    fn touch_secret(&mut self, name: &Name) {
        self.dirty
            .ingress_routes
            .extend(self.indices.secrets.get(name).cloned());
        self.dirty
            .roots
            .extend(self.indices.roots.secrets.get(name).cloned());
        self.dirty.certificates.insert(name.clone());
    }
}
