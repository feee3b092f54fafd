//! By the manifests.

use super::{Answer, Request, Served, replace_prefix};
use crate::{
    graph::tests::*,
    ingressroute::{self, Route, TimeoutPolicy, policy},
    path,
};
use std::{collections::BTreeSet, net::IpAddr};

/// All objects, by name.
pub(in crate::graph::tests) struct Manifests<'a> {
    pub(in crate::graph::tests) objects: &'a BTreeMap<ObjectId, Object>,
}

/// How far a request has come: to this IngressRoute, which was given this bound and sees this path.
struct Visit<'a> {
    owner: &'a IngressRoute,
    bound: String,
    path: String,
    /// How many delegations it has followed.
    step: usize,
    /// The sources of the policies that it has met.
    policies: Vec<String>,
    /// What the levels so far say of the timeout.
    timeout: Option<u64>,
}

/// The policies that a level has in these worlds.
struct Asked<'a> {
    rate_limits: &'a [policy::RateLimit],
    auth: &'a [policy::Auth],
    mirror: &'a [policy::Mirror],
    concurrency: Option<&'a policy::Concurrency>,
}

impl<'a> Asked<'a> {
    fn of_virtualhost(virtualhost: &'a ingressroute::VirtualHost) -> Self {
        Self {
            rate_limits: &virtualhost.rate_limits,
            auth: &virtualhost.auth,
            mirror: &virtualhost.mirror,
            concurrency: virtualhost.concurrency.as_ref(),
        }
    }

    fn of_route(route: &'a Route) -> Self {
        Self {
            rate_limits: &route.rate_limits,
            auth: &route.auth,
            mirror: &route.mirror,
            concurrency: route.concurrency.as_ref(),
        }
    }

    fn protects(&self) -> bool {
        !self.rate_limits.is_empty() || !self.auth.is_empty() || self.concurrency.is_some()
    }

    fn asks(&self) -> bool {
        self.protects() || !self.mirror.is_empty()
    }
}

/// Written in seconds, or infinite.
fn timeout_of(policy: Option<&TimeoutPolicy>) -> Option<u64> {
    let seconds = policy?
        .request
        .strip_suffix('s')
        .map(|seconds| seconds.parse::<u64>().unwrap());
    Some(seconds.map_or(0, |seconds| seconds * 1000))
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
            Object::IngressRoute(object) => Some(&**object),
            _ => None,
        })
    }

    fn ingress_route(&self, name: &Name) -> Option<&IngressRoute> {
        self.ingress_routes().find(|object| object.name == *name)
    }

    /// The root that serves a host name: the oldest that claims it, those of unknown age last.
    fn root(&self, fqdn: &str) -> Option<&IngressRoute> {
        let claimed = |object: &IngressRoute| object.spec.virtualhost.as_ref().map(|v| v.fqdn.to_lowercase());
        let seconds = |object: &IngressRoute| match object.created {
            Created::At(seconds) => seconds,
            Created::Unknown => i64::MAX,
        };
        let mut roots: Vec<_> = self
            .ingress_routes()
            .filter(|object| claimed(object).as_deref() == Some(fqdn))
            .collect();
        roots.sort_by_key(|object| (seconds(object), object.name.to_string()));
        roots.first().copied()
    }

    /// Every delegate that a chain from a root with one of these host names leads to.
    pub(in crate::graph::tests) fn reached(&self, fqdns: &[&str]) -> BTreeSet<Name> {
        let mut reached = BTreeSet::new();
        for root in fqdns.iter().filter_map(|fqdn| self.root(fqdn)) {
            self.reach(root, "/", &mut reached);
            let tls = root
                .spec
                .virtualhost
                .as_ref()
                .and_then(|virtualhost| virtualhost.tls.as_ref());
            let virtualhost = root.spec.virtualhost.as_ref().unwrap();
            if tls.is_some() && !Asked::of_virtualhost(virtualhost).protects() {
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

    pub(in crate::graph::tests) fn answer(&self, request: Request<'_>) -> Answer {
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
                match (tls_port, &root.spec.tcpproxy) {
                    (true, _) => return Answer::NoHost,
                    (false, None) => return Answer::Unavailable,
                    (false, Some(_)) => Port::Full,
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
        let virtualhost = root.spec.virtualhost.as_ref().unwrap();
        let asked = Asked::of_virtualhost(virtualhost);
        if !self.resolves(root, &asked) {
            return Answer::Unavailable;
        }
        let source = format!("{} virtualhost", root.name);
        let timeout = timeout_of(virtualhost.timeout_policy.as_ref());
        let visit = Visit {
            owner: root,
            bound: "/".to_owned(),
            path: request.path.to_owned(),
            step: 0,
            policies: if asked.asks() { vec![source] } else { vec![] },
            timeout,
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

    /// Whether all is there that a level's policies name.
    fn resolves(&self, owner: &IngressRoute, asked: &Asked<'_>) -> bool {
        let own = &owner.name.namespace;
        let has_clients = self.objects.values().any(|object| match object {
            Object::Secret(secret) => {
                secret.name == Name::new(own.clone(), "clients") && !secret.data["alice"].is_empty()
            }
            _ => false,
        });
        let has_keys = self.objects.values().any(|object| match object {
            Object::Jwks(jwks) => jwks.keys.is_ok(),
            _ => false,
        });
        let mirrored = |mirror: &policy::Mirror| {
            let name = Name::new(own.clone(), mirror.service.as_str());
            self.is_usable(&name)
        };
        asked
            .auth
            .iter()
            .all(|auth| if auth.jwt.is_some() { has_keys } else { has_clients })
            && asked.mirror.iter().all(mirrored)
            && asked.concurrency.is_none_or(|concurrency| concurrency.max > 0)
    }

    fn service_exists(&self, namespace: &Arc<str>, service: &ingressroute::Service) -> bool {
        let name = Name::new(namespace.clone(), service.name.as_str());
        service.port == 8080 && self.is_usable(&name)
    }

    /// Returns whether the Service exists, and none of its names resolves to loopback alone.
    fn is_usable(&self, name: &Name) -> bool {
        let id = ObjectId {
            kind: Kind::Service,
            name: name.clone(),
        };
        let Some(Object::Service(service)) = self.objects.get(&id) else {
            return false;
        };
        if let Some(external_name) = &service.external_name {
            return !self.is_forbidden(external_name);
        }
        let mut slices = self.objects.values().filter_map(|object| match object {
            Object::EndpointSlice(slice) => Some(slice),
            _ => None,
        });
        // The port of the only one in these worlds is the one that slices name.
        !slices.any(|slice| {
            let is_of = slice.name.namespace == name.namespace && slice.service == name.name;
            let names = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
            let mut names = names.filter_map(|address| match address {
                Address::Fqdn(name) => Some(name),
                Address::Ip(_) => None,
            });
            is_of
                && slice.ports.contains_key(&service.ports[0].name)
                && names.any(|name| self.is_forbidden(name))
        })
    }

    fn is_forbidden(&self, name: &str) -> bool {
        match self.objects.get(&ObjectId::dns_name(name.into())) {
            Some(Object::DnsName(name)) => name
                .addresses
                .as_ref()
                .is_ok_and(|addresses| addresses.iter().all(IpAddr::is_loopback)),
            _ => false,
        }
    }

    /// What the visited IngressRoute answers.
    fn serve(&self, visit: &Visit<'_>, port: Port, branches: &[usize]) -> Answer {
        let Visit {
            owner,
            bound,
            path,
            step,
            policies,
            timeout,
        } = visit;
        let Some((prefix, route)) = best(owner, bound, path) else {
            return Answer::NotFound;
        };
        let Some(route) = route.filter(|route| self.is_good(owner, route)) else {
            return Answer::Unavailable;
        };
        let rewrite = Some(&route.prefix_rewrite).filter(|r| !r.is_empty());
        let own_timeout = timeout_of(route.timeout_policy.as_ref());
        let inherits = route.delegate.is_some() && own_timeout.is_some();
        let mut policies = policies.clone();
        // What a plain route inherits is in it, and no reason to meet a policy.
        let named = Asked::of_route(route).asks() || inherits;
        if *step == 0 && route.delegate.is_some() && policies.is_empty() && timeout.is_some() {
            policies.push(format!("{} virtualhost", owner.name));
        }
        if named {
            policies.push(format!("{} route {prefix}", owner.name));
        }
        let timeout = own_timeout.or(*timeout);
        let Some(delegate) = &route.delegate else {
            if port == Port::Insecure && !route.permit_insecure {
                return Answer::Redirect;
            }
            let rewritten = rewrite.map_or(path.clone(), |to| replace_prefix(path, &prefix, to));
            return Answer::Served(Served {
                shares: shares_of(owner, route),
                path: rewritten,
                policies,
                timeout,
            });
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
            policies,
            timeout,
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
        if !self.resolves(owner, &Asked::of_route(route)) {
            return false;
        }
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
        if let Ok(prefix) = path::normalise(&route.match_) {
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
