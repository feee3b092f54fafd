//! Vhosts to `VirtualHost`.
//!
//! ```text
//! VirtualHost.matcher
//!   x-switchyard-route: forward-5s -> route of a template
//!   (no header)
//!     :path that climbs where Envoy does not see it -> 400
//!     :path /shop  -> [ route /shop, route / ]
//!     :path /      -> [ route / ]
//! ```
//!
//! A match tree, since Envoy walks a list of routes one by one. Its prefixes are strings, and it does not fall back
//! from one whose routes do not match; so each has its own route, by whole segments, and then that of the nearest
//! prefix around it. What is not the own route's is that one's: a path in neither is in no prefix between the two.
//!
//! The filter is off but for switches, and for plain routes that have policies; and then it is that of the host's shard. A
//! switch's own route is that of requests which need nothing special; for the others the filter sets the header that makes
//! Envoy select a template's route in its stead. Both take the cluster from `x-switchyard-cluster`: where the filter did
//! not say, nothing is served. A template's takes the path from filter state. A plain route goes where it always does, once
//! the filter lets it. Where its policies are of some of its requests only, whichever those are, it is two routes: Envoy draws
//! those for which the filter is on.

mod action;
mod climb;
mod filtered;
mod template;

pub use template::{HTTPS_REDIRECT, template_name};

use super::Shard;
use crate::pack;
use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::Metadata,
            route::v3::{
                Route, RouteConfiguration, RouteList, RouteMatch, VirtualHost, route::Action,
                route_match::PathSpecifier,
            },
        },
        r#type::matcher::v3::HttpRequestHeaderMatchInput,
    },
    google::protobuf::{Struct, Value, value::Kind},
    xds::core::v3::TypedExtensionConfig,
    xds::r#type::matcher::v3::{
        Matcher,
        matcher::{
            MatcherTree, MatcherType, OnMatch,
            matcher_tree::{MatchMap, TreeType},
            on_match,
        },
    },
};
use filtered::Filtered;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use switchyard_core::{
    object::Name,
    table::{Host, HostRoute, HostTls, PolicyKey, ServiceRoute, SwitchKey, Template, Timeout, Vhost},
};

/// Chooses the route of a template. Set by the filter; taken from what clients send.
pub(super) const ROUTE_HEADER: &str = "x-switchyard-route";
/// Chooses the cluster that a switch's or a template's route sends to. Set by the filter; taken from what clients send.
pub(super) const CLUSTER_HEADER: &str = "x-switchyard-cluster";
/// Says which scope a request's routes are in. Set by the listener.
pub(super) const SCOPE_HEADER: &str = "x-switchyard-scope";
/// The headers by which a route is chosen. No client may send them, and no upstream gets them.
pub(super) const CHOOSING: [&str; 3] = [ROUTE_HEADER, CLUSTER_HEADER, SCOPE_HEADER];
/// The host that stands for all that a table has not.
pub(super) const ANY: &str = "*";
/// The namespace of route metadata, and the VM of the HTTP filters.
pub(crate) const FILTER: &str = "switchyard";

/// One vhost of one host, with all that its routes depend on.
#[derive(Debug, Serialize)]
pub(super) struct Source<'a> {
    pub(super) fqdn: &'a str,
    pub(super) root: &'a Name,
    pub(super) vhost: &'a Vhost,
    /// Those that no leaf uses any more, and that a proxy may still be told to.
    pub(super) retired: BTreeSet<&'a Template>,
    pub(super) port: Port,
    /// The longest timeout that policies of the host hand down.
    pub(super) inherited: Option<Timeout>,
}

/// The port that a vhost is served on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Port {
    /// The plain port of a host without TLS.
    Http,
    /// The plain port of a host that serves TLS: leaves may redirect to https.
    HttpBesideHttps,
    Https,
}

/// A plain route that has policies: its name, and what the filter has to know of it.
pub(super) type Enforced<'a> = (String, &'a Template, &'a [PolicyKey]);

/// The plain routes of a host that have policies, those of both ports.
pub(super) fn with_policies(host: &Host) -> impl Iterator<Item = Enforced<'_>> {
    let secure = match &host.tls {
        Some(HostTls::Terminate { tls: _, vhost }) => Some(vhost),
        Some(HostTls::TerminateTcp { .. } | HostTls::Passthrough { .. }) | None => None,
    };
    let plain_port = (&host.http, secure.is_some());
    let vhosts = [plain_port].into_iter().chain(secure.map(|vhost| (vhost, false)));
    vhosts.flat_map(move |(vhost, redirects)| {
        vhost
            .routes
            .iter()
            .filter_map(move |(prefix, route)| match route {
                HostRoute::Plain(route) if !route.policies.is_empty() => {
                    let name = enforced_name(&host.fqdn, prefix, redirects);
                    Some((name, &route.template, route.policies.as_slice()))
                }
                HostRoute::Plain(_)
                | HostRoute::Switch(_)
                | HostRoute::HttpsRedirect
                | HostRoute::Unavailable => None,
            })
    })
}

/// The filter knows it by its name, so that has to tell apart the ports of a host with TLS.
fn enforced_name(fqdn: &str, prefix: &str, redirects: bool) -> String {
    let scheme = if redirects { "http://" } else { "" };
    format!("{scheme}{fqdn}{prefix}")
}

// === impl Port ===

impl Port {
    fn redirects(self) -> bool {
        self == Self::HttpBesideHttps
    }
}

// === impl Source ===

impl Source<'_> {
    pub(super) fn virtual_host(&self) -> VirtualHost {
        let Self {
            fqdn,
            root,
            vhost,
            retired,
            port,
            inherited,
        } = self;
        let Vhost {
            routes,
            templates,
            mirrors,
        } = vhost;
        let filtered = Filtered {
            shard: Shard::of_host(fqdn),
            mirrors: *mirrors,
            inherited: *inherited,
        };
        let has_switch = routes.values().any(|route| matches!(route, HostRoute::Switch(_)));
        let default = has_switch.then(Template::default);
        let templates: BTreeSet<_> = templates
            .iter()
            .chain(retired.iter().copied())
            .chain(&default)
            .collect();
        let prefixes = Prefixes {
            fqdn,
            routes,
            websockets: templates.iter().any(|template| template.websockets),
            port: *port,
            filtered,
        };
        let by_path = prefixes.matcher();
        let by_template = template::routes(&templates, *port, filtered);
        let matcher = if by_template.is_empty() {
            by_path
        } else {
            by_header(by_template, by_path)
        };
        VirtualHost {
            name: (*fqdn).to_owned(),
            domains: vec![(*fqdn).to_owned()],
            matcher: Some(matcher),
            metadata: Some(metadata("root", &format!("{}/{}", root.namespace, root.name))),
            ..Default::default()
        }
    }
}

/// The routes of a vhost that are chosen by path.
struct Prefixes<'a> {
    fqdn: &'a str,
    routes: &'a BTreeMap<Arc<str>, HostRoute>,
    /// Whether a leaf below a switch may take them.
    websockets: bool,
    port: Port,
    filtered: Filtered,
}

// === impl Prefixes ===

impl Prefixes<'_> {
    fn matcher(&self) -> Matcher {
        let root = std::iter::once("/");
        let others = self
            .routes
            .keys()
            .map(AsRef::as_ref)
            .filter(|prefix| is_matchable(prefix));
        let map = root
            .chain(others)
            .map(|prefix| (prefix.to_owned(), self.at(prefix)))
            .collect();
        let tree = tree(":path", TreeType::PrefixMatchMap(MatchMap { map }), None);
        if self.has_bounds() {
            climb::refused(tree)
        } else {
            tree
        }
    }

    /// Whether it matters to the edge where a path leads: there are prefixes that tell requests apart, or one that is
    /// replaced.
    fn has_bounds(&self) -> bool {
        self.routes.iter().any(|(prefix, route)| {
            let is_replaced = matches!(route, HostRoute::Plain(route) if route.rewrite.is_some());
            &**prefix != "/" || is_replaced
        })
    }

    fn at(&self, prefix: &str) -> OnMatch {
        let enclosing = self.nearest_enclosing(prefix);
        on_routes(
            std::iter::once(prefix)
                .chain(enclosing)
                .flat_map(|prefix| self.routes(prefix))
                .collect(),
        )
    }

    /// The longest prefix that `prefix` lies in, but for itself.
    fn nearest_enclosing<'p>(&self, prefix: &'p str) -> Option<&'p str> {
        if prefix == "/" {
            return None;
        }
        let parents = std::iter::successors(prefix.rsplit_once('/'), |(parent, _)| parent.rsplit_once('/'));
        parents
            .map(|(parent, _)| parent)
            .find(|parent| self.routes.contains_key(*parent))
            .or(Some("/"))
    }

    fn routes(&self, prefix: &str) -> Vec<Route> {
        let Some(route) = self.routes.get(prefix) else {
            return vec![filterless("not-found", path_match(prefix), action::respond(404))];
        };
        let name = format!("{}{prefix}", self.fqdn);
        let action = match route {
            HostRoute::Switch(SwitchKey(key)) => {
                return template::switch(key, prefix, self.websockets, self.filtered);
            }
            HostRoute::Plain(route) => {
                let ServiceRoute {
                    template,
                    clusters,
                    rewrite,
                    policies,
                    sample,
                } = &**route;
                let rewrite = rewrite.as_deref().map(|to| (prefix, to));
                let action = action::plain((template, self.port), clusters, rewrite);
                if !policies.is_empty() {
                    let name = enforced_name(self.fqdn, prefix, self.port.redirects());
                    return self.filtered.routes((&name, *sample), path_match(prefix), action);
                }
                action
            }
            HostRoute::HttpsRedirect => action::redirect_to_https(),
            HostRoute::Unavailable => action::respond(503),
        };
        vec![filterless(&name, path_match(prefix), action)]
    }
}

/// A host that answers 503, whatever it is asked for.
pub(super) fn unavailable(fqdn: &str) -> VirtualHost {
    VirtualHost {
        name: fqdn.to_owned(),
        domains: vec![fqdn.to_owned()],
        routes: vec![filterless("unavailable", path_match("/"), action::respond(503))],
        ..Default::default()
    }
}

/// A route configuration without its hosts, but for the one that answers `others` for all that it has not.
pub(super) fn configuration(name: &str, others: Option<u32>) -> RouteConfiguration {
    let others = others.map(|status| VirtualHost {
        name: ANY.to_owned(),
        domains: vec![ANY.to_owned()],
        routes: vec![filterless("no-host", path_match("/"), action::respond(status))],
        ..Default::default()
    });
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts: others.into_iter().collect(),
        internal_only_headers: [ROUTE_HEADER, CLUSTER_HEADER].map(str::to_owned).to_vec(),
        request_headers_to_remove: CHOOSING.map(str::to_owned).to_vec(),
        ignore_port_in_host_matching: true,
        ..Default::default()
    }
}

/// A path holds neither, so a prefix that does matches none, and Envoy refuses it.
fn is_matchable(prefix: &str) -> bool {
    prefix != "/" && !prefix.contains(['?', '#'])
}

/// Matches whole segments.
fn path_match(prefix: &str) -> RouteMatch {
    let specifier = if prefix == "/" {
        PathSpecifier::Prefix(prefix.to_owned())
    } else {
        PathSpecifier::PathSeparatedPrefix(prefix.to_owned())
    };
    RouteMatch {
        path_specifier: Some(specifier),
        ..Default::default()
    }
}

/// A route that needs nothing of the filters, and does not pay for them.
fn filterless(name: &str, r#match: RouteMatch, action: Action) -> Route {
    Route {
        name: name.to_owned(),
        r#match: Some(r#match),
        action: Some(action),
        ..Default::default()
    }
}

fn by_header(templates: HashMap<String, OnMatch>, otherwise: Matcher) -> Matcher {
    let otherwise = OnMatch {
        on_match: Some(on_match::OnMatch::Matcher(Box::new(otherwise))),
        ..Default::default()
    };
    let map = MatchMap { map: templates };
    tree(ROUTE_HEADER, TreeType::ExactMatchMap(map), Some(otherwise))
}

fn tree(header: &str, tree_type: TreeType, on_no_match: Option<OnMatch>) -> Matcher {
    let tree = MatcherTree {
        input: Some(header_input(header)),
        tree_type: Some(tree_type),
    };
    Matcher {
        matcher_type: Some(MatcherType::MatcherTree(tree)),
        on_no_match: on_no_match.map(Box::new),
    }
}

fn header_input(name: &str) -> TypedExtensionConfig {
    let input = HttpRequestHeaderMatchInput {
        header_name: name.to_owned(),
    };
    pack::xds_extension("header", &input)
}

/// The first of the routes that matches, or 404.
fn on_routes(mut routes: Vec<Route>) -> OnMatch {
    let action = match routes.pop() {
        Some(route) if routes.is_empty() => pack::xds_extension("route", &route),
        last => {
            routes.extend(last);
            pack::xds_extension("routes", &RouteList { routes })
        }
    };
    OnMatch {
        on_match: Some(on_match::OnMatch::Action(action)),
        ..Default::default()
    }
}

fn metadata(field: &str, value: &str) -> Metadata {
    let value = Value {
        kind: Some(Kind::StringValue(value.to_owned())),
    };
    let fields = Struct {
        fields: HashMap::from([(field.to_owned(), value)]),
    };
    Metadata {
        filter_metadata: HashMap::from([(FILTER.to_owned(), fields)]),
        ..Default::default()
    }
}
