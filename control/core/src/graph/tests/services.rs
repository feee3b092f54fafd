//! Services as clusters, and what a leaf says of them.

use super::*;
use crate::table::{HealthCheck, HostRoute, Retry, Strategy, Template, Timeout};
use std::time::Duration;

/// A root with one route `/`, and the Services `a`, `b` and `c`.
fn serving(route: Value) -> Graph {
    let mut route = route;
    route["match"] = json!("/");
    graph([
        root("root", "example.com", json!([route])),
        service("a"),
        service("b"),
        service("c"),
    ])
}

fn plain(graph: &Graph) -> (&Template, &[WeightedCluster], Option<&str>) {
    match &host(graph, "example.com").http.routes["/"] {
        HostRoute::Plain(route) => (&route.template, &route.clusters, route.rewrite.as_deref()),
        other => panic!("not served: {other:?}"),
    }
}

#[test]
fn shares_follow_the_weights() {
    let weighted = |weights: [Option<i64>; 3]| {
        let named = ["a", "b", "c"].into_iter().zip(weights);
        let services: Vec<_> = named
            .map(|(name, weight)| match weight {
                Some(weight) => json!({"name": name, "port": 8080, "weight": weight}),
                None => json!({"name": name, "port": 8080}),
            })
            .collect();
        let graph = serving(json!({"services": services}));
        shares(plain(&graph).1)
    };
    let want = |shares: &[(&str, u32)]| -> Vec<_> {
        shares
            .iter()
            .map(|(name, weight)| ((*name).to_owned(), *weight))
            .collect()
    };
    assert_eq!(
        weighted([None; 3]),
        want(&[("a", 1), ("b", 1), ("c", 1)]),
        "even without weights"
    );
    assert_eq!(
        weighted([Some(0); 3]),
        want(&[("a", 1), ("b", 1), ("c", 1)]),
        "even where all are 0"
    );
    assert_eq!(
        weighted([Some(90), Some(10), None]),
        want(&[("a", 90), ("b", 10)]),
        "absent is 0"
    );
    assert_eq!(
        weighted([Some(1), Some(0), Some(2)]),
        want(&[("a", 1), ("c", 2)]),
        "0 gets nothing"
    );
}

/// A Service that gets its first share next is then already known to the proxies.
#[test]
fn a_service_without_a_share_is_a_cluster_all_the_same() {
    let graph = serving(json!({"services": [
        {"name": "a", "port": 8080, "weight": 1}, {"name": "b", "port": 8080, "weight": 0}]}));
    cluster_of(&graph, "b");
}

#[test]
fn timeouts() {
    for (request, want) in [
        ("", None),
        ("5s", Some(Timeout::After(Duration::from_secs(5)))),
        ("1m30s", Some(Timeout::After(Duration::from_secs(90)))),
        ("infinity", Some(Timeout::Infinite)),
        ("soon", Some(Timeout::Infinite)),
        ("-5s", Some(Timeout::Infinite)),
        ("0s", Some(Timeout::Infinite)),
        ("0", Some(Timeout::Infinite)),
    ] {
        let graph = serving(json!({
            "services": [{"name": "a", "port": 8080}], "timeoutPolicy": {"request": request}}));
        assert_eq!(plain(&graph).0.timeout, want, "{request:?}");
    }
}

#[test]
fn retries() {
    let second = Some(Duration::from_secs(1));
    for (policy, count, per_try_timeout) in [
        (json!({}), 1, None),
        (json!({"count": 0}), 1, None),
        (json!({"count": -3}), 1, None),
        (json!({"count": 7, "perTryTimeout": "1s"}), 7, second),
        (
            json!({"count": i64::MAX, "perTryTimeout": "soon"}),
            u32::MAX,
            None,
        ),
        (json!({"perTryTimeout": "0s"}), 1, None),
    ] {
        let graph = serving(json!({"services": [{"name": "a", "port": 8080}], "retryPolicy": policy}));
        let want = Retry {
            count,
            per_try_timeout,
        };
        assert_eq!(plain(&graph).0.retry, Some(want), "{policy}");
    }
}

#[test]
fn websockets_go_with_several_services() {
    let graph = serving(json!({"enableWebsockets": true,
        "services": [{"name": "a", "port": 8080}, {"name": "b", "port": 8080}]}));
    let (template, clusters, _) = plain(&graph);
    assert!(template.websockets);
    assert_eq!(clusters.len(), 2);
}

#[test]
fn a_rewrite_is_normalised() {
    let graph = serving(json!({"prefixRewrite": "//new//", "services": [{"name": "a", "port": 8080}]}));
    assert_eq!(plain(&graph).2, Some("/new"));
}

#[test]
fn strategies() {
    for (written, want) in [
        ("", Strategy::RoundRobin),
        ("RoundRobin", Strategy::RoundRobin),
        ("WeightedLeastRequest", Strategy::WeightedLeastRequest),
        ("Random", Strategy::Random),
        ("Cookie", Strategy::Cookie),
        ("Maglev", Strategy::RoundRobin),
    ] {
        let graph = serving(json!({"services": [{"name": "a", "port": 8080, "strategy": written}]}));
        assert_eq!(cluster_of(&graph, "a").strategy, want, "{written:?}");
        assert_eq!(
            plain(&graph).0.session_affinity,
            want == Strategy::Cookie,
            "{written:?}"
        );
    }
}

#[test]
fn health_checks_have_defaults() {
    let checked = |check: Value| {
        let graph = serving(json!({"services": [{"name": "a", "port": 8080, "healthCheck": check}]}));
        cluster_of(&graph, "a").health_check.clone().unwrap()
    };
    let default = HealthCheck {
        path: "/healthy".into(),
        host: "contour-envoy-healthcheck".into(),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        unhealthy_threshold: 3,
        healthy_threshold: 2,
    };
    assert_eq!(checked(json!({"path": "/healthy"})), default);
    assert_eq!(
        checked(json!({"path": "/healthy", "intervalSeconds": 0})),
        default
    );
    let set = HealthCheck {
        path: "/".into(),
        host: "home".into(),
        interval: Duration::from_secs(7),
        timeout: Duration::from_secs(1),
        unhealthy_threshold: 5,
        healthy_threshold: 4,
    };
    let given = json!({"path": "/", "host": "home", "intervalSeconds": 7, "timeoutSeconds": 1,
        "unhealthyThresholdCount": 5, "healthyThresholdCount": 4});
    assert_eq!(checked(given), set);
}

/// Other settings are another cluster, so that proxies go over from one to the other, not through a gap.
#[test]
fn a_clusters_name_tells_its_settings_apart() {
    let graph = serving(json!({"services": [
        {"name": "a", "port": 8080},
        {"name": "a", "port": 8080, "weight": 0},
        {"name": "a", "port": 8080, "strategy": "Random"},
        {"name": "a", "port": 8080, "healthCheck": {"path": "/"}},
    ]}));
    let names: Vec<_> = graph.table().clusters.keys().collect();
    assert_eq!(names.len(), 3);
    for name in names {
        let digest = name.0.strip_prefix("default/a/8080/").unwrap();
        assert!(
            digest.len() == 32 && digest.bytes().all(|c| c.is_ascii_hexdigit()),
            "{name}"
        );
    }
}

/// A name that changed from one release to the next would drain every connection at the upgrade.
#[test]
fn a_clusters_name_stays() {
    let graph = serving(json!({"services": [{"name": "a", "port": 8080}]}));
    assert_eq!(
        &*cluster_of(&graph, "a").name.0,
        "default/a/8080/40ed80af2b50fcab4d2346bb30988d85"
    );
}

#[test]
fn orphans_keep_their_clusters_warm() {
    let graph = graph([delegate("green", json!([leaf("/")])), service("home")]);
    cluster_of(&graph, "home");
    assert_eq!(graph.table().endpoints.len(), 1);
}
