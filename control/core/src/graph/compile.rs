//! An IngressRoute as far as it can be understood alone: checked, with its services resolved to clusters.
//!
//! What depends on who delegates to it (its bound, cycles, whether its delegates exist) is found out by the walk from
//! each root.

mod delegate;
mod policy;
mod services;
mod timeouts;
mod unknown;

pub(crate) use self::policy::Level;

use super::{
    Settings,
    endpoints::Located,
    fault::{Fault, Place, Problem, RouteField, Site},
    objects::Objects,
    walk::CompiledMap,
};
use crate::{
    ingressroute,
    object::{Created, IngressRoute, Name},
    path,
    table::{
        Canary, Cluster, ClusterName, Leaf, PolicyKey, Preview, Sticky, Template, TlsVersion, WeightedCluster,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};
use switchyard_policy::config::check_rewrite;

/// An IngressRoute, understood.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Compiled {
    /// Of a root alone.
    pub(crate) root: Option<Root>,
    /// By normalised match.
    pub(crate) routes: BTreeMap<Arc<str>, Box<Route>>,
    pub(crate) tcp: Option<Tcp>,
    /// What is wrong whoever delegates to it.
    pub(crate) problems: BTreeSet<Problem>,
    /// Warnings for its owner.
    pub(crate) warnings: BTreeSet<Problem>,
    /// Every service that it names and that exists.
    pub(crate) clusters: BTreeMap<ClusterName, Arc<Cluster>>,
    /// Services that it names, whether or not they exist.
    pub(crate) services: BTreeSet<Name>,
    /// Secrets that its services and policies name, whether or not they exist.
    pub(crate) secrets: BTreeSet<Name>,
    /// URIs of sets of keys that its policies name, whether or not there are any.
    pub(crate) jwks: BTreeSet<Arc<str>>,
    /// DNS names that its services are at.
    pub(crate) dns_names: BTreeSet<Arc<str>>,
}

/// What makes an IngressRoute a root.
#[derive(Debug, PartialEq)]
pub(crate) struct Root {
    /// In lower case. None where the root may not serve, which is a problem of its own.
    pub(crate) fqdn: Option<Arc<str>>,
    pub(crate) created: Created,
    pub(crate) tls: Option<Tls>,
    /// What it asks of all its requests; or why nothing may be served.
    pub(crate) level: Result<Level, Arc<str>>,
}

/// How a root wants its TLS connections handled.
#[derive(Debug, PartialEq)]
pub(crate) enum Tls {
    Terminate {
        /// As its owner wrote it, for texts.
        written: String,
        secret: Name,
        minimum: TlsVersion,
    },
    Passthrough,
    /// It is wrong, and reported: nothing is served, on any port.
    Refused,
}

/// A route, by itself.
#[derive(Debug, PartialEq)]
pub(crate) struct Route {
    /// Its place in `spec.routes`.
    pub(crate) index: usize,
    pub(crate) action: Action,
    pub(crate) level: Level,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Leaf {
        leaf: Leaf,
        permit_insecure: bool,
    },
    Delegate(Delegate),
    /// The route is wrong: why.
    Unavailable(Arc<str>),
}

/// A delegating route, whose targets may or may not exist.
#[derive(Debug, PartialEq)]
pub(crate) struct Delegate {
    pub(crate) active: Name,
    /// Without the active one and repetitions; with their places in `delegate.standby`.
    pub(crate) standby: Vec<(usize, Name)>,
    pub(crate) preview: Option<Preview>,
    pub(crate) canary: Option<Canary>,
    pub(crate) sticky: Option<Sticky>,
    /// What the route's match is to those below it.
    pub(crate) mount: Arc<str>,
}

/// A tcpproxy.
#[derive(Debug, PartialEq)]
pub(crate) enum Tcp {
    Services(Vec<WeightedCluster>),
    Delegate(Name),
    /// It is wrong: connections are closed.
    Unavailable,
}

/// A problem that has been reported makes what has it unavailable: why.
#[derive(Clone, Debug)]
struct Refused(Arc<str>);

/// One compilation.
struct Compiler<'a> {
    objects: &'a Objects,
    settings: &'a Settings,
    name: &'a Name,
    /// By Service and port: many routes may name one.
    located: BTreeMap<(Name, u16), Rc<Located>>,
    out: Compiled,
}

/// Understands an IngressRoute.
pub(crate) fn compile(objects: &Objects, settings: &Settings, object: &IngressRoute) -> Compiled {
    let IngressRoute {
        name,
        generation: _,
        created,
        spec:
            ingressroute::Spec {
                virtualhost,
                routes,
                tcpproxy,
            },
        unknown,
    } = object;
    let mut compiler = Compiler {
        objects,
        settings,
        name,
        located: BTreeMap::new(),
        out: Compiled::default(),
    };
    let has_tcp = tcpproxy.is_some();
    compiler.out.root = virtualhost.as_ref().map(|v| compiler.root(*created, v, has_tcp));
    for (index, route) in routes.iter().enumerate() {
        compiler.route(index, route);
    }
    compiler.out.tcp = tcpproxy.as_ref().map(|t| compiler.tcp(virtualhost.as_ref(), t));
    compiler.unknown(unknown, routes);
    compiler.out
}

/// The host name in lower case, if it is one: labels of letters, digits and inner hyphens.
fn host_name(fqdn: &str) -> Result<Arc<str>, Fault> {
    if fqdn.trim().is_empty() {
        return Err(Fault::FqdnMissing);
    }
    if fqdn.contains('*') {
        return Err(Fault::FqdnWildcard(fqdn.to_owned()));
    }
    if fqdn.len() > 253 || !fqdn.split('.').all(is_label) {
        return Err(Fault::FqdnInvalid(fqdn.to_owned()));
    }
    Ok(fqdn.to_ascii_lowercase().into())
}

fn is_label(label: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The level that a policy is of, and its place in `spec.routes`; none is the virtualhost's.
pub(crate) fn level<'a>(all: &'a CompiledMap, key: &PolicyKey) -> Option<(Option<usize>, &'a Level)> {
    let (owner, prefix) = key.level()?;
    let compiled = all.get(&owner)?;
    let Some(prefix) = prefix else {
        let root = compiled.root.as_ref()?;
        return Some((None, root.level.as_ref().ok()?));
    };
    let route = compiled.routes.get(prefix)?;
    Some((Some(route.index), &route.level))
}

/// Whether a header can carry `value` and a client would send it as it is.
fn is_header_value(value: &str) -> bool {
    let printable = |c: u8| c.is_ascii_graphic() || c == b' ';
    !value.is_empty() && value.trim() == value && value.bytes().all(printable)
}

/// With Contour, a version that is misspelled was 1.1: less than what was asked for.
fn tls_version(version: &str) -> Result<TlsVersion, Fault> {
    match version {
        "" => Ok(TlsVersion::default()),
        "1.1" => Ok(TlsVersion::V1_1),
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err(Fault::TlsVersion(version.to_owned())),
    }
}

// === impl Compiler ===

impl Compiler<'_> {
    fn report(&mut self, place: Place, fault: Fault) {
        self.out.problems.insert(Problem { place, fault });
    }

    /// Reports what makes a route unavailable.
    fn refuse(&mut self, place: Place, fault: Fault) -> Refused {
        let reason = fault.to_string().into();
        self.report(place, fault);
        Refused(reason)
    }

    fn root(&mut self, created: Created, virtualhost: &ingressroute::VirtualHost, has_tcp: bool) -> Root {
        let ingressroute::VirtualHost {
            fqdn,
            tls,
            rate_limits: _,
            concurrency: _,
            auth: _,
            mirror: _,
            headers: _,
            cors: _,
            timeout_policy: _,
            retry_policy: _,
        } = virtualhost;
        let namespaces = &self.settings.root_namespaces;
        let permitted = namespaces.is_empty() || namespaces.contains(&*self.name.namespace);
        if !permitted {
            self.report(Place::Namespace, Fault::RootNamespace);
        }
        let fqdn = host_name(fqdn)
            .map_err(|fault| self.report(Place::Fqdn, fault))
            .ok();
        Root {
            fqdn: fqdn.filter(|_| permitted),
            created,
            tls: tls.as_ref().map(|tls| self.tls(tls, has_tcp)),
            level: self
                .virtualhost_level(virtualhost)
                .map_err(|Refused(reason)| reason),
        }
    }

    /// `tls` without a Secret and without passthrough is a missing Secret, as in Contour 1.5: who asks for TLS is
    /// never given plain HTTP.
    fn tls(&mut self, tls: &ingressroute::Tls, has_tcp: bool) -> Tls {
        let ingressroute::Tls {
            secret_name,
            minimum_protocol_version,
            passthrough,
        } = tls;
        let version = self.minimum_version(minimum_protocol_version);
        let passed = if *passthrough {
            self.passthrough(tls, has_tcp)
        } else {
            Ok(())
        };
        match (version, passed) {
            (Ok(_), Ok(())) if *passthrough => Tls::Passthrough,
            (Ok(minimum), Ok(())) => Tls::Terminate {
                written: secret_name.clone(),
                secret: Name::qualified(secret_name, &self.name.namespace),
                minimum,
            },
            _ => Tls::Refused,
        }
    }

    fn minimum_version(&mut self, version: &str) -> Result<TlsVersion, Refused> {
        tls_version(version).map_err(|fault| self.refuse(Place::Tls("minimumProtocolVersion"), fault))
    }

    /// Checks what stands beside `passthrough`. Versions that the API server has as a default stand in objects whose author
    /// said none.
    fn passthrough(&mut self, tls: &ingressroute::Tls, has_tcp: bool) -> Result<(), Refused> {
        let ingressroute::Tls {
            secret_name,
            minimum_protocol_version: version,
            passthrough: _,
        } = tls;
        let place = Place::Tls("passthrough");
        if !secret_name.is_empty() {
            return Err(self.refuse(place, Fault::PassthroughWithSecret));
        }
        if !has_tcp {
            return Err(self.refuse(place, Fault::PassthroughWithoutTcp));
        }
        if tls_version(version).is_ok_and(|version| version > TlsVersion::default()) {
            let fault = Fault::PassthroughVersion(version.clone());
            return Err(self.refuse(Place::Tls("minimumProtocolVersion"), fault));
        }
        Ok(())
    }

    /// Adds a route. Of several with the same match the first one stands.
    fn route(&mut self, index: usize, route: &ingressroute::Route) {
        let match_ = &route.match_;
        let prefix = match path::normalise(match_) {
            Ok(prefix) => prefix,
            Err(error) => {
                let match_ = match_.clone();
                return self.report(
                    Place::Route(index, RouteField::Match),
                    Fault::MatchInvalid { match_, error },
                );
            }
        };
        if self.out.routes.contains_key(&*prefix) {
            return self.report(
                Place::Route(index, RouteField::Match),
                Fault::MatchRepeated(match_.clone()),
            );
        }
        let prefix: Arc<str> = prefix.into();
        let action = self.action(index, &prefix, route);
        let level = self.route_level(index, &prefix, route);
        let served = action.and_then(|action| Ok((action, level?)));
        let (action, level) =
            served.unwrap_or_else(|Refused(reason)| (Action::Unavailable(reason), Level::default()));
        let route = Box::new(Route { index, action, level });
        self.out.routes.insert(prefix, route);
    }

    fn action(
        &mut self,
        index: usize,
        prefix: &Arc<str>,
        route: &ingressroute::Route,
    ) -> Result<Action, Refused> {
        let whole = Place::Route(index, RouteField::Whole);
        let match_ = route.match_.clone();
        match (&route.delegate, route.services.is_empty()) {
            (Some(_), false) => Err(self.refuse(whole, Fault::ServicesAndDelegate(match_))),
            (None, true) => Err(self.refuse(whole, Fault::NeitherServicesNorDelegate(match_))),
            (Some(delegate), true) => self
                .delegate(index, prefix, route, delegate)
                .map(Action::Delegate),
            (None, false) => self.leaf(index, route),
        }
    }

    fn leaf(&mut self, index: usize, route: &ingressroute::Route) -> Result<Action, Refused> {
        let rewrite = self.rewrite(index, route);
        let template = self.template(index, route);
        let clusters = self.services(&route.services, &Site::Route(route.match_.clone()), |field| {
            Place::Route(index, field)
        });
        let leaf = Leaf {
            template: template?,
            clusters: clusters?,
            rewrite: rewrite?,
            policy: None,
        };
        Ok(Action::Leaf {
            leaf,
            permit_insecure: route.permit_insecure && !self.settings.disable_permit_insecure,
        })
    }

    /// The normalised `prefixRewrite`, if there is one.
    fn rewrite(&mut self, index: usize, route: &ingressroute::Route) -> Result<Option<Arc<str>>, Refused> {
        if route.prefix_rewrite.is_empty() {
            return Ok(None);
        }
        let match_ = route.match_.clone();
        let rewrite = match path::normalise(&route.prefix_rewrite) {
            Ok(rewrite) => match check_rewrite(&rewrite) {
                Ok(()) => Ok(Some(rewrite.into())),
                Err(error) => Err(Fault::PrefixRewriteRefused {
                    match_,
                    reason: error.to_string(),
                }),
            },
            Err(error) => Err(Fault::PrefixRewrite { match_, error }),
        };
        rewrite.map_err(|fault| self.refuse(Place::Route(index, RouteField::PrefixRewrite), fault))
    }

    /// All that the proxy's route says but for cluster and path.
    fn template(&mut self, index: usize, route: &ingressroute::Route) -> Result<Template, Refused> {
        let (timeout, retry) = self.leaf_timeouts(index, route)?;
        Ok(Template {
            timeout,
            retry,
            websockets: route.enable_websockets,
            session_affinity: route.services.iter().any(|service| service.strategy == "Cookie"),
        })
    }

    fn tcp(
        &mut self,
        virtualhost: Option<&ingressroute::VirtualHost>,
        tcpproxy: &ingressroute::TcpProxy,
    ) -> Tcp {
        let ingressroute::TcpProxy { services, delegate } = tcpproxy;
        let permitted = virtualhost.map_or(Ok(()), |virtualhost| self.check_tcp_policies(virtualhost));
        let tcp = match (delegate, services.is_empty()) {
            (Some(_), false) => Err(self.refuse_tcp(RouteField::Whole, Fault::TcpServicesAndDelegate)),
            (None, true) => Err(self.refuse_tcp(RouteField::Whole, Fault::TcpNeitherServicesNorDelegate)),
            (Some(delegate), true) => self.tcp_delegate(delegate).map(Tcp::Delegate),
            (None, false) => self
                .services(services, &Site::TcpProxy, Place::TcpProxy)
                .map(Tcp::Services),
        };
        permitted.and(tcp).unwrap_or(Tcp::Unavailable)
    }

    fn refuse_tcp(&mut self, field: RouteField, fault: Fault) -> Refused {
        self.refuse(Place::TcpProxy(field), fault)
    }
}

// === impl Compiled ===

impl Compiled {
    /// How many copies of a request a single route of it makes at most.
    pub(crate) fn mirrors(&self) -> usize {
        let mirrors = self.routes.values().map(|route| route.level.mirrors());
        mirrors.max().unwrap_or_default()
    }

    /// What its route of that normalised match does.
    pub(crate) fn action(&self, prefix: &str) -> Option<&Action> {
        self.routes.get(prefix).map(|route| &route.action)
    }

    /// What its leaves are like.
    pub(crate) fn templates(&self) -> BTreeSet<&Template> {
        let mut templates = BTreeSet::new();
        for route in self.routes.values() {
            if let Action::Leaf { leaf, .. } = &route.action {
                templates.insert(&leaf.template);
            }
        }
        templates
    }
}
