//! Routes that leaves share: all of a route but for the cluster and the path, which the filter says.

use super::{CLUSTER_HEADER, Shard, action, filter_on, filterless, on_routes, path_match};
use envoy_types::pb::{
    envoy::config::route::v3::{
        HeaderMatcher, Route, RouteMatch, header_matcher::HeaderMatchSpecifier, route::Action,
        route_action::ClusterSpecifier,
    },
    xds::r#type::matcher::v3::matcher::OnMatch,
};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use switchyard_core::table::{Retry, Template, Timeout};

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
        Some("forward".to_owned()),
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
    redirects: bool,
    shard: Shard,
) -> HashMap<String, OnMatch> {
    let websockets = templates.iter().any(|template| template.websockets);
    let forwards = templates.iter().map(|template| {
        let name = template_name(template);
        let routes = forwards(&name, template, websockets && !template.websockets, shard);
        (name, on_routes(routes))
    });
    let redirect = redirects.then(|| {
        let route = filterless(HTTPS_REDIRECT, path_match("/"), action::redirect_to_https());
        (HTTPS_REDIRECT.to_owned(), on_routes(vec![route]))
    });
    forwards.chain(redirect).collect()
}

/// The filter is on: a request that starts out here was not sent by it.
fn forwards(name: &str, template: &Template, refuse_upgrades: bool, shard: Shard) -> Vec<Route> {
    let refusal = refuse_upgrades.then(|| filterless("no-upgrade", upgrades(), action::respond(403)));
    let mut action = action::forward(
        template,
        ClusterSpecifier::ClusterHeader(CLUSTER_HEADER.to_owned()),
    );
    action.path_rewrite = PATH.to_owned();
    let route = Route {
        name: name.to_owned(),
        r#match: Some(path_match("/")),
        action: Some(Action::Route(action)),
        typed_per_filter_config: filter_on(shard),
        ..Default::default()
    };
    refusal.into_iter().chain([route]).collect()
}

/// Envoy takes the header from requests that ask for no upgrade, and gives it to those of HTTP/2 that do.
fn upgrades() -> RouteMatch {
    let upgrade = HeaderMatcher {
        name: "upgrade".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    };
    RouteMatch {
        headers: vec![upgrade],
        ..path_match("/")
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
