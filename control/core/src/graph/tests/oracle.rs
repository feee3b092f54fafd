//! What a request gets: once by the table, as the proxy and its filter go through it, and once by the manifests,
//! read as naively as the rules are told.

use super::*;
use crate::{
    ingressroute::{self, Route},
    path,
    table::{Branch, HostRoute, HostTls, Table, Vhost},
};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    NoHost,
    NotFound,
    Unavailable,
    Redirect,
    /// The Services, with their shares, and the path that they are asked for.
    Served(Vec<(String, u32)>, String),
}

/// On which port a request comes, and which branch it takes at each switch on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) fqdn: &'a str,
    pub(super) path: &'a str,
    pub(super) tls: bool,
    pub(super) branches: &'a [usize],
}

/// `path` with `to` in place of the prefix `from`.
fn replace_prefix(path: &str, from: &str, to: &str) -> String {
    let rest = path.strip_prefix(from).unwrap().trim_start_matches('/');
    let joined = format!("{to}/{rest}");
    path::normalise(&joined).unwrap().into_owned()
}

fn longest<'a, T>(routes: &'a BTreeMap<Arc<str>, T>, path: &str) -> Option<(&'a Arc<str>, &'a T)> {
    routes
        .iter()
        .filter(|(prefix, _)| path::contains(prefix, path))
        .max_by_key(|(prefix, _)| prefix.len())
}

fn served(clusters: &[WeightedCluster], path: &str, prefix: &str, rewrite: Option<&Arc<str>>) -> Answer {
    let share = |WeightedCluster { cluster, weight }: &WeightedCluster| {
        let service: Vec<_> = cluster.0.split('/').take(2).collect();
        (service.join("/"), *weight)
    };
    let path = rewrite.map_or(path.to_owned(), |rewrite| replace_prefix(path, prefix, rewrite));
    Answer::Served(clusters.iter().map(share).collect(), path)
}

// --- by the table ---

pub(super) fn by_table(table: &Table, request: Request<'_>) -> Answer {
    let Some(host) = table.hosts.get(request.fqdn) else {
        return Answer::NoHost;
    };
    let vhost = match (&host.tls, request.tls) {
        (_, false) => &host.http,
        (Some(HostTls::Terminate { vhost, .. }), true) => vhost,
        (_, true) => return Answer::NoHost,
    };
    match longest(&vhost.routes, request.path) {
        None => Answer::NotFound,
        Some((_, HostRoute::HttpsRedirect)) => Answer::Redirect,
        Some((_, HostRoute::Unavailable)) => Answer::Unavailable,
        Some((
            prefix,
            HostRoute::Plain {
                clusters, rewrite, ..
            },
        )) => served(clusters, request.path, prefix, rewrite.as_ref()),
        Some((_, HostRoute::Switch(key))) => through_switches(table, vhost, key, request),
    }
}

fn through_switches(table: &Table, vhost: &Vhost, key: &SwitchKey, request: Request<'_>) -> Answer {
    let (mut key, mut path) = (key.clone(), request.path.to_owned());
    for step in 0..=64 {
        let switch = &table.switches[&key];
        assert!(path::contains(&switch.prefix, &path), "{key} was given {path}");
        path = replace_prefix(&path, &switch.prefix, &switch.mount);
        let choice: Vec<_> = [&switch.active].into_iter().chain(&switch.standby).collect();
        let branch = &switch.branches[choice[request.branches[step % request.branches.len()] % choice.len()]];
        match longest(&branch.routes, &path) {
            None => return Answer::NotFound,
            Some((_, Target::HttpsRedirect)) => return Answer::Redirect,
            Some((_, Target::Unavailable(_))) => return Answer::Unavailable,
            Some((prefix, Target::Leaf(leaf))) => {
                assert!(
                    vhost.templates.contains(&leaf.template),
                    "{key} needs a template that is not there"
                );
                return served(&leaf.clusters, &path, prefix, leaf.rewrite.as_ref());
            }
            Some((_, Target::Switch(next))) => key = next.clone(),
        }
    }
    panic!("more than 64 switches on the way of {request:?}")
}

/// That the table holds together: what is named exists and nothing else does, and nothing lies outside its bound.
pub(super) fn check_table(table: &Table) {
    let mut reached = BTreeSet::new();
    let mut pending = Vec::new();
    let clusters = |clusters: &[WeightedCluster]| {
        for WeightedCluster { cluster, weight } in clusters {
            assert!(table.clusters.contains_key(cluster) && *weight > 0);
        }
    };
    for host in table.hosts.values() {
        let vhosts = match &host.tls {
            Some(HostTls::Terminate { vhost, .. }) => vec![&host.http, vhost],
            _ => vec![&host.http],
        };
        for (prefix, route) in vhosts.into_iter().flat_map(|vhost| &vhost.routes) {
            match route {
                HostRoute::Switch(key) => pending.push((key.clone(), prefix.clone())),
                HostRoute::Plain { clusters: named, .. } => clusters(named),
                HostRoute::HttpsRedirect | HostRoute::Unavailable => {}
            }
        }
    }
    while let Some((key, prefix)) = pending.pop() {
        let switch = &table.switches[&key];
        assert_eq!(switch.prefix, prefix, "{key}");
        if !reached.insert(key.clone()) {
            continue;
        }
        for name in [&switch.active].into_iter().chain(&switch.standby) {
            assert!(switch.branches.contains_key(name), "{key}");
        }
        assert!(switch.canary == 0 || !switch.standby.is_empty());
        for (prefix, target) in switch.branches.values().flat_map(|Branch { routes }| routes) {
            assert!(
                path::contains(&switch.mount, prefix),
                "{key} serves {prefix} outside {}",
                switch.mount
            );
            match target {
                Target::Switch(next) => pending.push((next.clone(), prefix.clone())),
                Target::Leaf(leaf) => clusters(&leaf.clusters),
                Target::HttpsRedirect | Target::Unavailable(_) => {}
            }
        }
    }
    assert!(table.switches.keys().eq(&reached), "every switch is reached");
    let eds = table
        .clusters
        .values()
        .filter(|c| c.discovery == crate::table::Discovery::Eds);
    assert!(
        eds.map(|cluster| &cluster.name).eq(table.endpoints.keys()),
        "every EDS cluster has endpoints"
    );
}

// --- by the manifests ---

/// All objects, by name.
pub(super) struct Manifests<'a> {
    pub(super) objects: &'a BTreeMap<ObjectId, Object>,
}

/// How far a request has come: to this IngressRoute, which was given this bound and sees this path.
struct Visit<'a> {
    owner: &'a IngressRoute,
    bound: String,
    path: String,
    /// How many delegations it has followed.
    step: usize,
}

/// What of a host is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    Full,
    /// The plain port of a host with TLS.
    Insecure,
}

impl Manifests<'_> {
    fn ingress_routes(&self) -> impl Iterator<Item = &IngressRoute> {
        self.objects.values().filter_map(|object| match object {
            Object::IngressRoute(object) => Some(object),
            _ => None,
        })
    }

    fn ingress_route(&self, name: &Name) -> Option<&IngressRoute> {
        self.ingress_routes().find(|object| object.name == *name)
    }

    /// The root that serves a host name: the only one that claims it.
    fn root(&self, fqdn: &str) -> Option<&IngressRoute> {
        let claimed = |object: &IngressRoute| object.spec.virtualhost.as_ref().map(|v| v.fqdn.to_lowercase());
        let mut roots = self
            .ingress_routes()
            .filter(|object| claimed(object).as_deref() == Some(fqdn));
        roots.next().filter(|_| roots.next().is_none())
    }

    /// Every delegate that a chain from a root with one of these host names leads to.
    pub(super) fn reached(&self, fqdns: &[&str]) -> BTreeSet<Name> {
        let mut reached = BTreeSet::new();
        for root in fqdns.iter().filter_map(|fqdn| self.root(fqdn)) {
            self.reach(root, "/", &mut reached);
            let tls = root
                .spec
                .virtualhost
                .as_ref()
                .and_then(|virtualhost| virtualhost.tls.as_ref());
            if tls.is_some() {
                self.reach_by_tcp(root, &mut reached);
            }
        }
        reached.retain(|name| {
            self.ingress_route(name)
                .is_some_and(|object| object.spec.virtualhost.is_none())
        });
        reached
    }

    fn reach(&self, owner: &IngressRoute, bound: &str, reached: &mut BTreeSet<Name>) {
        for (prefix, route) in firsts(owner) {
            let Some(delegate) = &route.delegate else { continue };
            if path::contains(bound, &prefix) && self.is_good(owner, route) {
                let mount = if route.prefix_rewrite.is_empty() {
                    &prefix
                } else {
                    &route.prefix_rewrite
                };
                for branch in self.usable(owner, delegate) {
                    reached.insert(branch.name.clone());
                    self.reach(branch, mount, reached);
                }
            }
        }
    }

    fn reach_by_tcp(&self, owner: &IngressRoute, reached: &mut BTreeSet<Name>) {
        let tcpproxy = owner
            .spec
            .tcpproxy
            .as_ref()
            .filter(|tcpproxy| tcpproxy.services.is_empty());
        let Some(delegate) = tcpproxy.and_then(|tcpproxy| tcpproxy.delegate.as_ref()) else {
            return;
        };
        let target = self.ingress_route(&branch_names(owner, delegate)[0]);
        if let Some(target) =
            target.filter(|target| target.spec.tcpproxy.is_some() && target.name != owner.name)
        {
            reached.insert(target.name.clone());
            // Through a root the way may lead back; none of these worlds goes further than this.
            if target.spec.virtualhost.is_none() {
                self.reach_by_tcp(target, reached);
            }
        }
    }

    pub(super) fn answer(&self, request: Request<'_>) -> Answer {
        let Some(root) = self.root(request.fqdn) else {
            return Answer::NoHost;
        };
        let tls = root
            .spec
            .virtualhost
            .as_ref()
            .and_then(|virtualhost| virtualhost.tls.as_ref());
        let port = match (tls, request.tls) {
            (None, false) => Port::Full,
            (None, true) => return Answer::NoHost,
            (Some(tls), tls_port) if tls.secret_name.is_empty() => {
                assert!(tls.passthrough);
                if tls_port {
                    return Answer::NoHost;
                } else {
                    Port::Full
                }
            }
            (Some(tls), tls_port) => match (
                self.may_present(root, tls),
                root.spec.tcpproxy.is_some(),
                tls_port,
            ) {
                (false, _, true) | (true, true, true) => return Answer::NoHost,
                (false, _, false) => return Answer::Unavailable,
                (true, true, false) | (true, false, true) => Port::Full,
                (true, false, false) => Port::Insecure,
            },
        };
        let visit = Visit {
            owner: root,
            bound: "/".to_owned(),
            path: request.path.to_owned(),
            step: 0,
        };
        self.serve(&visit, port, request.branches)
    }

    fn may_present(&self, root: &IngressRoute, tls: &ingressroute::Tls) -> bool {
        let own = root.name.namespace.to_string();
        let (namespace, name) = tls
            .secret_name
            .split_once('/')
            .unwrap_or((&own, &tls.secret_name));
        let good = self.objects.values().any(|object| match object {
            Object::Secret(secret) => {
                secret.name == Name::new(namespace, name)
                    && secret.data.values().all(|value| !value.is_empty())
            }
            _ => false,
        });
        let permitted = self.objects.values().any(|object| match object {
            Object::TlsCertificateDelegation(object) => {
                *object.name.namespace == *namespace
                    && object.delegations.iter().any(|delegation| {
                        let targets = &delegation.target_namespaces;
                        delegation.secret_name == name
                            && (targets.contains(&own) || targets.iter().any(|t| t == "*"))
                    })
            }
            _ => false,
        });
        good && (namespace == own || permitted)
    }

    fn service_exists(&self, namespace: &Arc<str>, service: &ingressroute::Service) -> bool {
        let name = Name::new(namespace.clone(), service.name.as_str());
        service.port == 8080
            && self.objects.contains_key(&ObjectId {
                kind: Kind::Service,
                name,
            })
    }

    /// What the visited IngressRoute answers.
    fn serve(&self, visit: &Visit<'_>, port: Port, branches: &[usize]) -> Answer {
        let Visit {
            owner,
            bound,
            path,
            step,
        } = visit;
        let Some((prefix, route)) = best(owner, bound, path) else {
            return Answer::NotFound;
        };
        let Some(route) = route.filter(|route| self.is_good(owner, route)) else {
            return Answer::Unavailable;
        };
        let rewrite = Some(&route.prefix_rewrite).filter(|r| !r.is_empty());
        let Some(delegate) = &route.delegate else {
            if port == Port::Insecure && !route.permit_insecure {
                return Answer::Redirect;
            }
            let rewritten = rewrite.map_or(path.clone(), |to| replace_prefix(path, &prefix, to));
            return Answer::Served(shares_of(owner, route), rewritten);
        };
        let mount = rewrite.unwrap_or(&prefix);
        let usable = self.usable(owner, delegate);
        if port == Port::Insecure && !usable.iter().any(|branch| self.permits(branch, mount)) {
            return Answer::Redirect;
        }
        let next = Visit {
            owner: usable[branches[step % branches.len()] % usable.len()],
            bound: mount.clone(),
            path: replace_prefix(path, &prefix, mount),
            step: step + 1,
        };
        self.serve(&next, port, branches)
    }

    /// Whether a leaf that is reached below may be served without TLS.
    fn permits(&self, owner: &IngressRoute, bound: &str) -> bool {
        firsts(owner).into_iter().any(|(prefix, route)| {
            let rewrite = Some(&route.prefix_rewrite).filter(|r| !r.is_empty());
            path::contains(bound, &prefix)
                && self.is_good(owner, route)
                && match &route.delegate {
                    None => route.permit_insecure,
                    Some(delegate) => {
                        let mount = rewrite.unwrap_or(&prefix);
                        self.usable(owner, delegate)
                            .into_iter()
                            .any(|branch| self.permits(branch, mount))
                    }
                }
        })
    }

    fn is_good(&self, owner: &IngressRoute, route: &Route) -> bool {
        match &route.delegate {
            Some(delegate) => {
                let first = self.usable(owner, delegate);
                route.services.is_empty()
                    && first
                        .first()
                        .is_some_and(|active| *active.name.name == *delegate.name)
            }
            None => {
                !route.services.is_empty()
                    && route.services.iter().all(|service| {
                        service.weight.unwrap_or(0) >= 0
                            && self.service_exists(&owner.name.namespace, service)
                    })
            }
        }
    }

    /// The branches that exist and are no roots, the active one first; each once.
    fn usable(&self, owner: &IngressRoute, delegate: &ingressroute::Delegate) -> Vec<&IngressRoute> {
        let mut usable: Vec<&IngressRoute> = Vec::new();
        for name in branch_names(owner, delegate) {
            let branch = self
                .ingress_route(&name)
                .filter(|branch| branch.spec.virtualhost.is_none());
            usable.extend(branch.filter(|branch| usable.iter().all(|known| known.name != branch.name)));
        }
        usable
    }
}

fn branch_names(owner: &IngressRoute, delegate: &ingressroute::Delegate) -> Vec<Name> {
    let namespace = match &*delegate.namespace {
        "" => owner.name.namespace.clone(),
        namespace => namespace.into(),
    };
    let names = [&delegate.name].into_iter().chain(&delegate.standby);
    names
        .map(|name| Name::new(namespace.clone(), name.as_str()))
        .collect()
}

/// The first route of each match.
fn firsts(owner: &IngressRoute) -> BTreeMap<String, &Route> {
    let mut firsts = BTreeMap::new();
    for route in &owner.spec.routes {
        if let Some(prefix) = path::normalise(&route.match_) {
            firsts.entry(prefix.into_owned()).or_insert(route);
        }
    }
    firsts
}

/// The route of `owner` that answers for `path`, and its prefix. None for the route: it takes more than the bound.
fn best<'a>(owner: &'a IngressRoute, bound: &str, path: &str) -> Option<(String, Option<&'a Route>)> {
    let mut candidates = BTreeMap::new();
    for (prefix, route) in firsts(owner) {
        if path::contains(bound, &prefix) {
            candidates.insert(prefix, Some(route));
        } else if path::contains(&prefix, bound) {
            candidates.entry(bound.to_owned()).or_insert(None);
        }
    }
    candidates
        .into_iter()
        .filter(|(prefix, _)| path::contains(prefix, path))
        .max_by_key(|(prefix, _)| prefix.len())
}

fn shares_of(owner: &IngressRoute, route: &Route) -> Vec<(String, u32)> {
    let weight = |service: &ingressroute::Service| service.weight.unwrap_or(0);
    let even = route.services.iter().all(|service| weight(service) == 0);
    let given = route
        .services
        .iter()
        .filter(|service| even || weight(service) > 0);
    given
        .map(|service| {
            let weight = if even { 1 } else { weight(service) };
            (
                format!("{}/{}", owner.name.namespace, service.name),
                u32::try_from(weight).unwrap(),
            )
        })
        .collect()
}
