use super::*;
use crate::pack;
use envoy_types::pb::{
    envoy::config::{
        cluster::v3::Cluster,
        core::v3::{
            HealthCheck, TypedExtensionConfig,
            health_check::{HealthChecker, HttpHealthCheck},
        },
        route::v3::{
            Route, RouteAction, RouteMatch, VirtualHost, WeightedCluster, route::Action,
            route_action::ClusterSpecifier, route_match::PathSpecifier, weighted_cluster::ClusterWeight,
        },
    },
    envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext,
    google::protobuf::{Any, Duration},
};
use prost::{Message, Name};

fn violation<M: Message + Name>(message: &M) -> String {
    match check(&M::type_url(), &pack::encode(message)) {
        Ok(()) => String::new(),
        Err(violation) => violation.to_string(),
    }
}

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

fn health_check(path: &str, interval: i64) -> HealthCheck {
    HealthCheck {
        timeout: seconds(1),
        interval: seconds(interval),
        unhealthy_threshold: Some(pack::uint32(3)),
        healthy_threshold: Some(pack::uint32(2)),
        health_checker: Some(HealthChecker::HttpHealthCheck(HttpHealthCheck {
            path: path.to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn cluster(health_check: HealthCheck) -> Cluster {
    Cluster {
        name: "a".to_owned(),
        health_checks: vec![health_check],
        ..Default::default()
    }
}

fn route(path: &str, rewrite: &str, timeout: i64) -> Route {
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::PathSeparatedPrefix(path.to_owned())),
            ..Default::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster("a".to_owned())),
            prefix_rewrite: rewrite.to_owned(),
            timeout: seconds(timeout),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn weighted(weights: &[u32]) -> Route {
    let clusters = weights.iter().map(|weight| ClusterWeight {
        name: "a".to_owned(),
        weight: Some(pack::uint32(*weight)),
        ..Default::default()
    });
    Route {
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::WeightedClusters(WeightedCluster {
                clusters: clusters.collect(),
                ..Default::default()
            })),
            ..Default::default()
        })),
        ..route("/a", "", 1)
    }
}

#[test]
fn every_constraint_of_a_message_that_is_sent_is_implemented() {
    let constraints = CONSTRAINTS.as_ref().unwrap();
    assert!(constraints.len() > 300, "{}", constraints.len());
}

#[test]
fn messages_that_envoy_takes_break_no_constraint() {
    for message in [
        route("/a", "/b", 15),
        route("/a", "", 9_223_372_035),
        weighted(&[0, 1]),
    ] {
        assert_eq!(violation(&message), "");
    }
    assert_eq!(violation(&cluster(health_check("/health", 1))), "");
}

#[test]
fn constraints_of_protos_are_found() {
    for (message, expected) in [
        (
            route("/a", "/\r", 1),
            "route.prefix_rewrite: must match ^[^\\x00\\x0A\\x0D]*$",
        ),
        (
            route("/a?", "/", 1),
            "match.path_separated_prefix: must match ^[^?#]+[^?#/]$",
        ),
        (Route::default(), "one of action must be set"),
        (weighted(&[]), "route.weighted_clusters"),
    ] {
        let violation = violation(&message);
        assert!(violation.starts_with(expected), "{violation}");
    }
    for (message, expected) in [
        (
            cluster(health_check("/", 0)),
            "health_checks[0].interval: must be > 0",
        ),
        (
            cluster(health_check("/\u{1}", 1)),
            "health_checks[0].http_health_check.path: must match ^[^\\x00-\\x08\\x0A-\\x1F\\x7F]*$",
        ),
        (Cluster::default(), "name: must have at least 1 characters"),
    ] {
        assert_eq!(violation(&message), expected);
    }
}

#[test]
fn constraints_of_the_code_of_envoy_are_found() {
    for (message, expected) in [
        (
            route("/a", "", 9_223_372_036),
            "route.timeout: must be a duration from 0s to 9223372035s",
        ),
        (
            route("/a", "", -1),
            "route.timeout: must be a duration from 0s to 9223372035s",
        ),
        (
            weighted(&[u32::MAX, 1]),
            "route.weighted_clusters: weights must add up to a number from 1 to 4294967295",
        ),
        (
            weighted(&[0, 0]),
            "route.weighted_clusters: weights must add up to a number from 1 to 4294967295",
        ),
    ] {
        assert_eq!(violation(&message), expected);
    }
    let context = UpstreamTlsContext {
        sni: "a\0b".to_owned(),
        ..Default::default()
    };
    assert_eq!(violation(&context), "sni must not contain NUL");
}

#[test]
fn messages_inside_of_any_and_of_lists_are_checked() {
    let extension = TypedExtensionConfig {
        name: "a".to_owned(),
        typed_config: Some(pack::any(&route("/a", "/\n", 1))),
    };
    assert_eq!(
        violation(&extension),
        "typed_config.route.prefix_rewrite: must match ^[^\\x00\\x0A\\x0D]*$"
    );
    let host = VirtualHost {
        name: "a".to_owned(),
        domains: vec!["a".to_owned()],
        routes: vec![route("/a", "", 1), route("/a", "", -1)],
        ..Default::default()
    };
    assert_eq!(
        violation(&host),
        "routes[1].route.timeout: must be a duration from 0s to 9223372035s"
    );
}

#[test]
fn a_message_of_an_unknown_type_is_not_sent() {
    let extension = TypedExtensionConfig {
        name: "a".to_owned(),
        typed_config: Some(Any {
            type_url: "type.googleapis.com/no.Such".to_owned(),
            value: vec![],
        }),
    };
    let expected = "typed_config: type.googleapis.com/no.Such is not a type that is sent";
    assert_eq!(violation(&extension), expected);
}
