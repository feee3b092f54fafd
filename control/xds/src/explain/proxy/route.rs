//! `VirtualHost.matcher`, and what a route does.

use super::{Headers, unpacked};
use envoy_types::pb::{
    envoy::{
        config::route::v3::{
            HeaderMatcher, RedirectAction, Route, RouteAction, RouteList, RouteMatch, VirtualHost,
            header_matcher::HeaderMatchSpecifier, redirect_action::SchemeRewriteSpecifier, route::Action,
            route_action::ClusterSpecifier, route_match::PathSpecifier,
        },
        r#type::matcher::v3::HttpRequestHeaderMatchInput,
    },
    xds::r#type::matcher::v3::{
        Matcher,
        matcher::{MatcherType, OnMatch, matcher_tree::TreeType, on_match},
    },
};
use switchyard_policy::{path::climbs, sample::Sample};

/// The route that a request is on.
#[derive(Clone, Debug)]
pub(in crate::explain) struct Selected(pub(super) Route);

/// What a route does with a request.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::explain) enum Way {
    Respond(u16),
    Redirect {
        status: u16,
        location: String,
    },
    /// To one of these clusters, by weight, which is asked for this path.
    Forward {
        clusters: Vec<(String, u32)>,
        path: String,
    },
}

/// What a matcher says.
enum Found {
    Route(Box<Route>),
    /// It has a list of routes for the request, none of which matches.
    Nothing,
}

/// The route of a request on a virtual host.
pub(super) fn select(host: &VirtualHost, headers: &Headers) -> Option<Route> {
    match &host.matcher {
        Some(matcher) => match matched(matcher, headers)? {
            Found::Route(route) => Some(*route),
            Found::Nothing => None,
        },
        None => first(&host.routes, headers),
    }
}

/// None: it has nothing to say of the request. The one list that there is has what becomes of paths that climb.
fn matched(matcher: &Matcher, headers: &Headers) -> Option<Found> {
    let tree = match matcher.matcher_type.as_ref()? {
        MatcherType::MatcherTree(tree) => tree,
        MatcherType::MatcherList(list) => {
            let found = list
                .matchers
                .iter()
                .filter(|_| climbs(without_query(headers.target())));
            let on_match = found.map(|field| field.on_match.as_ref()).next().flatten();
            return met(on_match.or(matcher.on_no_match.as_deref())?, headers);
        }
    };
    let input = tree.input.as_ref().and_then(|input| input.typed_config.as_ref());
    let input: Option<HttpRequestHeaderMatchInput> = input.and_then(unpacked);
    let value = input.and_then(|input| headers.get(&input.header_name));
    let of_tree = value.and_then(|value| match &tree.tree_type {
        Some(TreeType::ExactMatchMap(map)) => map.map.get(value).and_then(|at| met(at, headers)),
        Some(TreeType::PrefixMatchMap(map)) => {
            let mut prefixes: Vec<_> = map
                .map
                .iter()
                .filter(|(prefix, _)| value.starts_with(*prefix))
                .collect();
            prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            prefixes.into_iter().find_map(|(_, at)| met(at, headers))
        }
        _ => None,
    });
    of_tree.or_else(|| met(matcher.on_no_match.as_ref()?, headers))
}

fn met(at: &OnMatch, headers: &Headers) -> Option<Found> {
    match at.on_match.as_ref()? {
        on_match::OnMatch::Matcher(matcher) => matched(matcher, headers),
        on_match::OnMatch::Action(action) => {
            let config = action.typed_config.as_ref()?;
            let alone = unpacked::<Route>(config).map(|route| vec![route]);
            let routes = alone.or_else(|| Some(unpacked::<RouteList>(config)?.routes))?;
            Some(first(&routes, headers).map_or(Found::Nothing, |route| Found::Route(Box::new(route))))
        }
    }
}

fn first(routes: &[Route], headers: &Headers) -> Option<Route> {
    let matches = |route: &&Route| {
        route
            .r#match
            .as_ref()
            .is_some_and(|criteria| is_met(criteria, headers))
    };
    routes.iter().find(matches).cloned()
}

/// A request that may be drawn is: what becomes of the others is the same, but for copies.
fn is_met(criteria: &RouteMatch, headers: &Headers) -> bool {
    let path = without_query(headers.target());
    let is_path = match &criteria.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => path.starts_with(prefix),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => path
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        _ => false,
    };
    is_path && criteria.headers.iter().all(|header| is_there(header, headers))
}

fn is_there(matcher: &HeaderMatcher, headers: &Headers) -> bool {
    match &matcher.header_match_specifier {
        Some(HeaderMatchSpecifier::PresentMatch(present)) => headers.has(&matcher.name) == *present,
        _ => false,
    }
}

fn without_query(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// Whether the client asks for its connection to become another, such as a WebSocket.
pub(in crate::explain) fn is_upgrade(headers: &Headers) -> bool {
    headers.has("upgrade")
}

// === impl Selected ===

impl Selected {
    pub(in crate::explain) fn name(&self) -> &str {
        Sample::split(&self.0.name).0
    }

    /// Whether it is the one of `translate/route/climb.rs`.
    pub(in crate::explain) fn is_of_climbs(&self) -> bool {
        self.name() == "climbs"
    }

    /// What paths begin with that it takes.
    pub(in crate::explain) fn prefix(&self) -> &str {
        match self
            .0
            .r#match
            .as_ref()
            .and_then(|criteria| criteria.path_specifier.as_ref())
        {
            Some(PathSpecifier::Prefix(prefix) | PathSpecifier::PathSeparatedPrefix(prefix)) => prefix,
            _ => "",
        }
    }

    /// Whether it lets the connection become what the client asks for.
    pub(in crate::explain) fn upgrades(&self, headers: &Headers) -> bool {
        let Some(Action::Route(action)) = &self.0.action else {
            return false;
        };
        let wanted = headers.get("upgrade").unwrap_or_default();
        let mut configs = action.upgrade_configs.iter();
        configs.any(|config| config.upgrade_type.eq_ignore_ascii_case(wanted))
    }

    /// What it does with a request. `path` is what the filter has left for it.
    pub(in crate::explain) fn way(&self, headers: &Headers, path: Option<&str>) -> Option<Way> {
        Some(match self.0.action.as_ref()? {
            Action::DirectResponse(response) => Way::Respond(u16::try_from(response.status).ok()?),
            Action::Redirect(redirect) => Way::Redirect {
                status: 301,
                location: location(redirect, headers),
            },
            Action::Route(action) => Way::Forward {
                clusters: clusters(action, headers),
                path: self.rewritten(action, headers.target(), path),
            },
            _ => return None,
        })
    }

    /// What is asked of the upstream.
    fn rewritten(&self, action: &RouteAction, target: &str, from_filter: Option<&str>) -> String {
        let path = without_query(target);
        let query = target.strip_prefix(path).unwrap_or_default();
        if !action.path_rewrite.is_empty() {
            return from_filter.map_or_else(|| target.to_owned(), |path| format!("{path}{query}"));
        }
        if let Some(regex) = &action.regex_rewrite {
            let pattern = regex.pattern.as_ref().map_or("", |pattern| &pattern.regex);
            let rewritten = with_slash(path, pattern, &regex.substitution);
            return rewritten.unwrap_or_else(|| path.to_owned()) + query;
        }
        match target.strip_prefix(self.prefix()) {
            Some(rest) if !action.prefix_rewrite.is_empty() => format!("{}{rest}", action.prefix_rewrite),
            _ => target.to_owned(),
        }
    }
}

/// A port that is the scheme's by which the request has come, as far as the proxy trusts what it is told, is left out.
fn location(redirect: &RedirectAction, headers: &Headers) -> String {
    let secure = redirect.scheme_rewrite_specifier == Some(SchemeRewriteSpecifier::HttpsRedirect(true));
    let authority = headers.get(":authority").unwrap_or_default();
    let authority = authority
        .strip_suffix(":80")
        .filter(|_| secure && headers.get("x-forwarded-proto") == Some("http"))
        .unwrap_or(authority);
    let scheme = if secure { "https" } else { "http" };
    format!("{scheme}://{authority}{}", headers.target())
}

fn clusters(action: &RouteAction, headers: &Headers) -> Vec<(String, u32)> {
    match &action.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => vec![(name.clone(), 1)],
        Some(ClusterSpecifier::ClusterHeader(header)) => headers
            .get(header)
            .map(|name| (name.to_owned(), 1))
            .into_iter()
            .collect(),
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            let shares = weighted.clusters.iter();
            let weight = |share: &envoy_types::pb::google::protobuf::UInt32Value| share.value;
            shares
                .map(|share| (share.name.clone(), share.weight.as_ref().map_or(0, weight)))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The one form of regular expressions that routes have: `^`, a literal, and as many slashes as there are.
fn with_slash(path: &str, pattern: &str, substitution: &str) -> Option<String> {
    let quoted = pattern.strip_prefix('^')?.strip_suffix("/*")?;
    let rest = path.strip_prefix(unquoted(quoted).as_str())?;
    Some(unquoted(substitution) + rest.trim_start_matches('/'))
}

/// A backslash stands before what stands for itself.
fn unquoted(quoted: &str) -> String {
    let mut literal = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        let c = if c == '\\' { characters.next() } else { Some(c) };
        literal.extend(c);
    }
    literal
}
