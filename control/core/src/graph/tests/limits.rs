//! Manifests that are out to hurt.

use super::*;
use crate::status::State;

/// `root -> c0 -> c1 -> ... -> c(length-1)`, the last with a leaf.
fn chain(length: usize) -> Vec<Object> {
    let link = |i: usize| {
        let next = format!("c{}", i + 1);
        let route = if i + 1 < length { to("/", &next) } else { leaf("/") };
        delegate(&format!("c{i}"), json!([route]))
    };
    let root = root("root", "example.com", json!([to("/", "c0")]));
    [root, service("home")]
        .into_iter()
        .chain((0..length).map(link))
        .collect()
}

#[test]
fn delegation_goes_64_levels_deep() {
    let graph = graph(chain(64));
    assert_eq!(graph.table().switches.len(), 64);
    assert!(graph.statuses().all(|(_, status)| status.state == State::Valid));
}

#[test]
fn deeper_is_an_error_where_it_gets_too_deep() {
    let graph = graph(chain(10_000));
    let status = graph.status(&name("c63")).unwrap();
    assert_eq!(status.state, State::Invalid);
    assert_eq!(
        status.description(),
        "route \"/\": delegation is deeper than 64 levels"
    );
    let unavailable = target(&graph, "example.com default/c62/", "c63", "/");
    assert!(matches!(unavailable, Some(Target::Unavailable(_))));
    assert_eq!(graph.status(&name("c62")).unwrap().state, State::Valid);
    assert_eq!(graph.status(&name("c64")).unwrap().state, State::Orphaned);
}

#[test]
fn a_tcpproxy_is_delegated_as_deep_and_no_deeper() {
    let link = |number: usize, last: usize| {
        let tcpproxy = if number < last {
            json!({"delegate": {"name": format!("c{}", number + 1)}})
        } else {
            json!({"services": [{"name": "home", "port": 8080}]})
        };
        ingress_route(&format!("c{number}"), json!({"tcpproxy": tcpproxy}))
    };
    for (last, want) in [
        (63, "valid IngressRoute"),
        (64, "tcpproxy: delegation is deeper than 64 levels"),
        (10_000, "tcpproxy: delegation is deeper than 64 levels"),
    ] {
        let virtualhost = json!({"fqdn": "example.com", "tls": {"passthrough": true}});
        let tcpproxy = json!({"delegate": {"name": "c0"}});
        let root = ingress_route("root", json!({"virtualhost": virtualhost, "tcpproxy": tcpproxy}));
        let links = (0..=last).map(|number| link(number, last));
        let graph = graph([root, service("home")].into_iter().chain(links));
        assert_eq!(graph.status(&name("c63")).unwrap().description(), want, "{last}");
    }
}

/// A part that is shallow by one way may be too deep by another.
#[test]
fn depth_counts_by_every_way() {
    let mut objects = chain(64);
    let routes = json!([to("/", "c0"), {"match": "/z", "prefixRewrite": "/", "delegate": {"name": "d"}}]);
    objects.push(root("root", "example.com", routes));
    objects.push(delegate("d", json!([to("/", "c0")])));
    let graph = graph(objects);
    let status = graph.status(&name("d")).unwrap();
    assert_eq!(
        status.description(),
        "route \"/\": delegation is deeper than 64 levels"
    );
    assert_eq!(graph.status(&name("c63")).unwrap().state, State::Valid);
    assert_eq!(graph.table().switches.len(), 65);
}

#[test]
fn a_long_cycle_ends() {
    let mut objects = chain(50);
    objects.push(delegate("c49", json!([to("/", "c0")])));
    let graph = graph(objects);
    let status = graph.status(&name("c49")).unwrap();
    let start = "route creates a delegation cycle: default/root -> default/c0 -> default/c1 -> ";
    let description = status.description();
    assert!(description.starts_with(start), "{description}");
    assert!(
        description.contains("default/c6 -> (36 more) -> default/c43"),
        "{description}"
    );
    assert!(
        description.ends_with("default/c49 -> default/c0"),
        "{description}"
    );
}

/// Every level doubles the ways to the next.
#[test]
fn diamonds_do_not_multiply() {
    let mount =
        |match_: &str, to: &str| json!({"match": match_, "prefixRewrite": "/", "delegate": {"name": to}});
    let level = |i: usize| {
        let next = format!("c{}", i + 1);
        delegate(&format!("c{i}"), json!([mount("/a", &next), mount("/b", &next)]))
    };
    let mut objects = vec![
        root("root", "example.com", json!([mount("/", "c0")])),
        service("home"),
    ];
    objects.extend((0..60).map(level));
    objects.push(delegate("c60", json!([leaf("/")])));
    let graph = graph(objects);
    assert_eq!(graph.table().switches.len(), 121);
    assert!(graph.statuses().all(|(_, status)| status.state == State::Valid));
}

/// Many switches, each with a copy of many routes.
#[test]
fn branches_do_not_multiply_beyond_memory() {
    let many: Vec<_> = (0..1_000).map(|i| leaf(&format!("/{i}"))).collect();
    let mounts: Vec<_> = (0..1_000)
        .map(|i| json!({"match": format!("/{i}"), "prefixRewrite": "/", "delegate": {"name": "many"}}))
        .collect();
    let graph = graph([
        root("root", "example.com", json!(mounts)),
        delegate("many", json!(many)),
        service("home"),
    ]);
    assert_eq!(graph.table().switches.len(), 249);
    let errors = &graph.status(&name("root")).unwrap().errors;
    assert!(
        errors[0]
            .message
            .ends_with("this root already delegates to 250000 routes"),
        "{:?}",
        errors[0]
    );
}
