//! What routes do.

use super::Port;
use crate::pack;
use envoy_types::pb::envoy::{
    config::route::v3::{
        self as proto, DirectResponseAction, RedirectAction, RetryPolicy, RouteAction,
        redirect_action::SchemeRewriteSpecifier,
        route::Action,
        route_action::{
            ClusterSpecifier, HashPolicy, UpgradeConfig,
            hash_policy::{Cookie, CookieAttribute, PolicySpecifier},
        },
        weighted_cluster::ClusterWeight,
    },
    r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher},
};
use std::time::Duration;
use switchyard_core::table::{Retry, Template, Timeout, WeightedCluster};

/// As Contour names it (`internal/envoy/route.go`).
const AFFINITY_COOKIE: &str = "X-Contour-Session-Affinity";

/// Forwards to the clusters of a route, with a prefix of the path rewritten to another.
pub(super) fn plain(
    template: (&Template, Port),
    clusters: &[WeightedCluster],
    rewrite: Option<(&str, &str)>,
) -> Action {
    let cluster_specifier = match clusters {
        [] => return respond(503),
        [WeightedCluster { cluster, weight: _ }] => ClusterSpecifier::Cluster(cluster.to_string()),
        several => ClusterSpecifier::WeightedClusters(weighted(several)),
    };
    let mut action = forward(template, cluster_specifier);
    if let Some((prefix, to)) = rewrite {
        set_rewrite(&mut action, prefix, to);
    }
    Action::Route(action)
}

/// All that a template says on a port.
pub(super) fn forward(
    (template, port): (&Template, Port),
    cluster_specifier: ClusterSpecifier,
) -> RouteAction {
    let Template {
        timeout,
        retry,
        websockets,
        session_affinity,
    } = template;
    RouteAction {
        cluster_specifier: Some(cluster_specifier),
        timeout: timeout.map(|timeout| pack::duration(limit(timeout))),
        idle_timeout: timeout.and_then(idle_limit).map(pack::duration),
        retry_policy: retry.map(retry_policy),
        upgrade_configs: upgrades(*websockets),
        hash_policy: if *session_affinity {
            vec![affinity(port)]
        } else {
            vec![]
        },
        ..Default::default()
    }
}

pub(super) fn respond(status: u32) -> Action {
    Action::DirectResponse(DirectResponseAction {
        status,
        ..Default::default()
    })
}

/// 301, Envoy's default, to the same host and path.
pub(super) fn redirect_to_https() -> Action {
    Action::Redirect(RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
        ..Default::default()
    })
}

fn weighted(clusters: &[WeightedCluster]) -> proto::WeightedCluster {
    let share = |WeightedCluster { cluster, weight }: &WeightedCluster| ClusterWeight {
        name: cluster.to_string(),
        weight: Some(pack::uint32(*weight)),
        ..Default::default()
    };
    proto::WeightedCluster {
        clusters: clusters.iter().map(share).collect(),
        ..Default::default()
    }
}

/// Envoy takes 0 for none.
fn limit(timeout: Timeout) -> Duration {
    match timeout {
        Timeout::Infinite => Duration::ZERO,
        Timeout::After(limit) => limit,
    }
}

/// How long a stream may be silent, where the listener's limit would end what the route permits.
pub(super) fn idle_limit(timeout: Timeout) -> Option<Duration> {
    let limit = limit(timeout);
    (limit.is_zero() || limit > super::super::http::STREAM_IDLE_TIMEOUT).then_some(limit)
}

fn retry_policy(
    Retry {
        count,
        per_try_timeout,
    }: Retry,
) -> RetryPolicy {
    RetryPolicy {
        retry_on: "5xx".to_owned(),
        num_retries: Some(pack::uint32(count)),
        per_try_timeout: per_try_timeout.map(pack::duration),
        ..Default::default()
    }
}

fn upgrades(websockets: bool) -> Vec<UpgradeConfig> {
    let websocket = UpgradeConfig {
        upgrade_type: "websocket".to_owned(),
        ..Default::default()
    };
    if websockets { vec![websocket] } else { vec![] }
}

/// A cookie that ends with the browser's session, on every path of the host. As safe as that of `delegate.sticky`.
fn affinity(port: Port) -> HashPolicy {
    let attribute = |name: &str, value: &str| CookieAttribute {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let secure = (port == Port::Https).then(|| attribute("Secure", ""));
    let cookie = Cookie {
        name: AFFINITY_COOKIE.to_owned(),
        ttl: Some(pack::duration(Duration::ZERO)),
        path: "/".to_owned(),
        attributes: [attribute("SameSite", "Lax")].into_iter().chain(secure).collect(),
    };
    HashPolicy {
        policy_specifier: Some(PolicySpecifier::Cookie(cookie)),
        ..Default::default()
    }
}

/// Puts `to` in the place of `from`, joined to what follows with one slash.
///
/// Envoy's `prefix_rewrite` replaces strings: from `/a` to `/`, it would make `//b` of `/a/b`.
fn set_rewrite(action: &mut RouteAction, from: &str, to: &str) {
    let stem = to.trim_end_matches('/');
    if from == "/" {
        action.prefix_rewrite = format!("{stem}/");
    } else if stem.len() == to.len() {
        action.prefix_rewrite = to.to_owned();
    } else {
        action.regex_rewrite = Some(rewrite_with_slash(from, stem));
    }
}

/// `from` and all slashes after it become `stem` and one slash.
fn rewrite_with_slash(from: &str, stem: &str) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute {
        pattern: Some(RegexMatcher {
            regex: format!("^{}/*", quote(from)),
            ..Default::default()
        }),
        // A backslash in a substitution starts a reference to a group.
        substitution: format!("{}/", stem.replace('\\', r"\\")),
    }
}

/// RE2's syntax: a backslash before ASCII punctuation makes it stand for itself.
fn quote(literal: &str) -> String {
    let mut quoted = String::with_capacity(literal.len());
    for character in literal.chars() {
        if character.is_ascii_punctuation() && character != '/' {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}
