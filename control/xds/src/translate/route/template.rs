//! Routes that leaves share: all of a route but for the cluster and the path, which the filter says.

use super::{CLUSTER_HEADER, Filtered, Port, action, filterless, on_routes, path_match};
use envoy_types::pb::{
    envoy::config::route::v3::{
        HeaderMatcher, Route, RouteAction, RouteMatch, header_matcher::HeaderMatchSpecifier, route::Action,
        route_action::ClusterSpecifier,
    },
    xds::r#type::matcher::v3::matcher::OnMatch,
};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use switchyard_core::table::{Retry, Template, Timeout};
use switchyard_policy::decide::FORWARD;

/// The route of leaves that redirect to https.
pub const HTTPS_REDIRECT: &str = "https-redirect";
/// Where the filter leaves the path; without it the path stays.
const PATH: &str = "%FILTER_STATE(wasm.switchyard_path:PLAIN)%";

/// What the route of a template is called: all that it says, so that another template is another route, and releases
/// agree on it.
#[must_use]
pub fn template_name(template: &Template) -> String {
    let Template {
        timeout,
        retry,
        websockets,
        session_affinity,
    } = template;
    let timeout = timeout.map(|timeout| match timeout {
        Timeout::Infinite => "timeout-infinite".to_owned(),
        Timeout::After(limit) => format!("timeout-{}", exact(limit)),
    });
    let parts = [
        Some(FORWARD.to_owned()),
        timeout,
        retry.map(retry_name),
        websockets.then(|| "websockets".to_owned()),
        session_affinity.then(|| "affinity".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("-")
}

/// The routes of templates, by name.
pub(super) fn routes(
    templates: &BTreeSet<&Template>,
    port: Port,
    filtered: Filtered,
) -> HashMap<String, OnMatch> {
    let websockets = templates.iter().any(|template| template.websockets);
    let forwards = templates.iter().map(|template| {
        let name = template_name(template);
        let refusal = (websockets && !template.websockets).then(|| no_upgrade(&name, upgrades("/")));
        let forward = self::template(&name, (template, port), filtered);
        let routes = refusal.into_iter().chain([forward]).collect();
        (name, on_routes(routes))
    });
    let redirect = port.redirects().then(|| {
        let route = filterless(HTTPS_REDIRECT, path_match("/"), action::redirect_to_https());
        (HTTPS_REDIRECT.to_owned(), on_routes(vec![route]))
    });
    forwards.chain(redirect).collect()
}

/// The filter is on: a request that starts out here was not sent by it.
fn template(name: &str, (template, port): (&Template, Port), filtered: Filtered) -> Route {
    let mut action = where_the_filter_says(template, port);
    PATH.clone_into(&mut action.path_rewrite);
    filtered.route(name, path_match("/"), Action::Route(action))
}

/// A switch's own route, and what goes before it. It is the default template's but for paths that are rewritten, so a
/// request that needs no more stays on it.
///
/// Whether a connection is upgraded is settled on the route that it is on before the filter runs. So where any leaf takes
/// WebSockets the switch does, and leaves that do not turn them away when the filter has named a cluster.
pub(super) fn switch(key: &str, prefix: &str, websockets: bool, filtered: Filtered) -> Vec<Route> {
    let refusal = websockets.then(|| {
        let mut decided = upgrades(prefix);
        decided.headers.push(present(CLUSTER_HEADER));
        no_upgrade(key, decided)
    });
    let template = Template {
        websockets,
        ..Default::default()
    };
    // It has no session affinity, the one thing that differs between ports.
    let action = Action::Route(where_the_filter_says(&template, Port::Http));
    let own = filtered.route(key, path_match(prefix), action);
    refusal.into_iter().chain([own]).collect()
}

fn where_the_filter_says(template: &Template, port: Port) -> RouteAction {
    action::forward(
        (template, port),
        ClusterSpecifier::ClusterHeader(CLUSTER_HEADER.to_owned()),
    )
}

fn no_upgrade(name: &str, r#match: RouteMatch) -> Route {
    filterless(name, r#match, action::respond(403))
}

/// Envoy takes the header from requests that ask for no upgrade, and gives it to those of HTTP/2 that do.
fn upgrades(prefix: &str) -> RouteMatch {
    RouteMatch {
        headers: vec![present("upgrade")],
        ..path_match(prefix)
    }
}

fn present(header: &str) -> HeaderMatcher {
    HeaderMatcher {
        name: header.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    }
}

fn retry_name(
    Retry {
        count,
        per_try_timeout,
    }: Retry,
) -> String {
    let limit = per_try_timeout.map(|limit| format!("-of-{}", exact(limit)));
    format!("retry-{count}{}", limit.unwrap_or_default())
}

fn exact(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_nanos()) {
        (seconds, 0) => format!("{seconds}s"),
        (_, nanos) if nanos % 1_000_000 == 0 => format!("{}ms", duration.as_millis()),
        (..) => format!("{}ns", duration.as_nanos()),
    }
}
