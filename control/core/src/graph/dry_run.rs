//! What a switch would come to, found out by switching and switching back before anyone looks.

use super::{Change, Graph, fault::Place};
use crate::{
    ingressroute::Route,
    object::{IngressRoute, Kind, Name, Object, ObjectId},
    path,
    status::StatusError,
    table::{Leaf, Switch, SwitchKey, Target},
};
use std::{collections::BTreeSet, fmt, sync::Arc};

/// What would keep a branch from serving if it were switched to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blocker {
    /// There is no such IngressRoute; in its namespace there are others that no root is.
    Missing { name: Name, others: Vec<Name> },
    /// It has no routes.
    NoRoutes(Name),
    /// An IngressRoute has an error that it would have, or that the branch has already.
    Invalid(Name, StatusError),
    /// None of the Services of a route of the branch has a ready endpoint.
    NoEndpoints {
        branch: Name,
        prefix: Arc<str>,
        services: BTreeSet<Name>,
    },
}

/// How many others are named in the place of one that is missing.
const MOST_NAMED: usize = 20;

/// The errors of some statuses.
type Errors = BTreeSet<(Name, StatusError)>;

// === impl Blocker ===

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, others } => {
                let others: Vec<_> = others.iter().map(|other| &*other.name).collect();
                let others = if others.is_empty() {
                    "none".to_owned()
                } else {
                    others.join(", ")
                };
                let Name { namespace, .. } = name;
                write!(
                    f,
                    "there is no IngressRoute {name}; in namespace {namespace} there are: {others}"
                )
            }
            Self::NoRoutes(name) => write!(f, "IngressRoute {name} has no routes"),
            Self::Invalid(name, StatusError { field, message }) if field.is_empty() => {
                write!(f, "IngressRoute {name}: {message}")
            }
            Self::Invalid(name, StatusError { field, message }) => {
                write!(f, "IngressRoute {name}: {field}: {message}")
            }
            Self::NoEndpoints {
                branch,
                prefix,
                services,
            } => {
                let services: Vec<_> = services.iter().map(Name::to_string).collect();
                let services = services.join(", ");
                write!(
                    f,
                    "IngressRoute {branch}: {prefix}: no ready endpoints of {services}"
                )
            }
        }
    }
}

// === impl Graph ===

impl Graph {
    /// What would keep `branch` from serving if it were the active one of `owner`'s delegating route with the match
    /// `matched`. `branch` is a name in the namespace that the route delegates to. None: there is no such route.
    ///
    /// Everything is as it was before, and as the last commit left it.
    pub fn dry_run(&mut self, owner: &Name, matched: &str, branch: &str) -> Option<BTreeSet<Blocker>> {
        let matched = path::normalise(matched).ok()?;
        let id = ObjectId {
            kind: Kind::IngressRoute,
            name: owner.clone(),
        };
        let Some(Object::IngressRoute(before)) = self.object(&id).cloned() else {
            return None;
        };
        let (switched, target) = switched(&before, &matched, branch)?;
        let target_id = ObjectId {
            kind: Kind::IngressRoute,
            name: target.clone(),
        };
        match self.object(&target_id) {
            Some(Object::IngressRoute(branch)) if branch.spec.routes.is_empty() => {
                return Some([Blocker::NoRoutes(target)].into());
            }
            Some(_) => {}
            None => return Some([self.missing(target)].into()),
        }
        let (change, after) = self.commit_object(switched);
        let mut blockers = self.without_endpoints(owner, &matched, &target);
        blockers.extend(self.without_host(owner));
        let after = &after | &self.errors(&[target.clone()].into());
        // Nobody has seen the table in between.
        let (_, now) = self.commit_object(*before);
        let now = &now | &self.errors(&change.statuses);
        let is_new = |(name, error): &(Name, StatusError)| {
            *name == target || !now.contains(&(name.clone(), error.clone()))
        };
        let invalid = after.into_iter().filter(is_new);
        blockers.extend(invalid.map(|(name, error)| Blocker::Invalid(name, error)));
        Some(blockers)
    }

    fn missing(&self, name: Name) -> Blocker {
        let others = self.statuses().map(|(other, _)| other);
        let others = others.filter(|other| other.namespace == name.namespace && !self.is_root(other));
        Blocker::Missing {
            others: others.take(MOST_NAMED).cloned().collect(),
            name,
        }
    }

    /// Why a root has no host, such as that another root owns it: whatever its branches are, they get no requests.
    fn without_host(&self, owner: &Name) -> BTreeSet<Blocker> {
        let fields = [Place::Namespace, Place::Fqdn].map(|place| place.to_string());
        let is_of_host = |error: &StatusError| fields.contains(&error.field);
        let errors = self.errors(&[owner.clone()].into()).into_iter();
        errors
            .filter(|(_, error)| is_of_host(error))
            .map(|(name, error)| Blocker::Invalid(name, error))
            .collect()
    }

    /// Puts an IngressRoute in the place of what it was; with the errors of the statuses that this changed.
    fn commit_object(&mut self, ingress_route: IngressRoute) -> (Change, Errors) {
        self.apply(ingress_route.into());
        let change = self.commit();
        let errors = self.errors(&change.statuses);
        (change, errors)
    }

    fn errors(&self, names: &BTreeSet<Name>) -> Errors {
        let of = |name: &Name| {
            let errors = self.status(name).map(|status| status.errors.clone());
            let name = name.clone();
            errors
                .into_iter()
                .flatten()
                .map(move |error| (name.clone(), error))
        };
        names.iter().flat_map(of).collect()
    }

    /// The routes of a branch that nobody would answer, where it is active.
    fn without_endpoints(&self, owner: &Name, prefix: &str, target: &Name) -> BTreeSet<Blocker> {
        let is_meant = |switch: &&Arc<Switch>| {
            switch.owner == *owner && *switch.prefix == *prefix && switch.active == *target
        };
        let mut seen = BTreeSet::new();
        let mut found = BTreeSet::new();
        for switch in self.table.switches.values().filter(is_meant) {
            self.collect_without_endpoints(switch, &mut seen, &mut found);
        }
        found
    }

    fn collect_without_endpoints<'g>(
        &'g self,
        switch: &'g Switch,
        seen: &mut BTreeSet<&'g SwitchKey>,
        found: &mut BTreeSet<Blocker>,
    ) {
        let routes = switch
            .branches
            .get(&switch.active)
            .into_iter()
            .flat_map(|branch| &branch.routes);
        for (prefix, target) in routes {
            match target {
                Target::Leaf(leaf) => {
                    found.extend(self.unanswered(leaf).map(|services| Blocker::NoEndpoints {
                        branch: switch.active.clone(),
                        prefix: prefix.clone(),
                        services,
                    }))
                }
                Target::Switch(key) if seen.insert(key) => {
                    if let Some(below) = self.table.switches.get(key) {
                        self.collect_without_endpoints(below, seen, found);
                    }
                }
                Target::Switch(_) | Target::HttpsRedirect | Target::Unavailable(_) => {}
            }
        }
    }

    /// The Services of a leaf, if none of those that get requests has an endpoint.
    fn unanswered(&self, Leaf { clusters, .. }: &Leaf) -> Option<BTreeSet<Name>> {
        let asked = clusters.iter().filter(|cluster| cluster.weight > 0);
        let asked = asked.filter_map(|cluster| self.table.clusters.get(&cluster.cluster));
        let mut services = BTreeSet::new();
        for cluster in asked {
            // Names that have no addresses yet may have some where control resolves them.
            let endpoints = self.table.endpoints.get(&cluster.name);
            if endpoints.is_none_or(|endpoints| !endpoints.is_empty()) {
                return None;
            }
            services.insert(cluster.service.clone());
        }
        (!services.is_empty()).then_some(services)
    }
}

/// The IngressRoute with the branch active, and what the branch is called in full.
fn switched(ingress_route: &IngressRoute, matched: &str, branch: &str) -> Option<(IngressRoute, Name)> {
    let mut switched = ingress_route.clone();
    let is_meant = |route: &&mut Route| {
        route.delegate.is_some() && path::normalise(&route.match_).as_deref() == Ok(matched)
    };
    let delegate = switched
        .spec
        .routes
        .iter_mut()
        .find(is_meant)?
        .delegate
        .as_mut()?;
    let namespace = if delegate.namespace.is_empty() {
        &*ingress_route.name.namespace
    } else {
        &delegate.namespace
    };
    let target = Name::new(namespace, branch);
    delegate.activation(branch).apply(delegate);
    Some((switched, target))
}
