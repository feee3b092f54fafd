//! What there is to know of one host.

use super::*;
use crate::table::Table;

/// A neighbour's name begins as the host's does.
const HOSTS: [&str; 4] = ["one.com", "one.com.au", "one.co", "zone.com"];

/// The same on four hosts: plain routes, a switch, a switch below it; with policies on all levels, and over TLS.
fn graph() -> Graph {
    let mut graph = Graph::new(Settings::default());
    let limit = json!([{"requests": 1, "unit": "second"}]);
    for fqdn in HOSTS {
        let routes = json!([
            {"match": "/", "services": [{"name": "home", "port": 8080}], "rateLimits": limit},
            {"match": "/x", "delegate": {"name": "below", "standby": ["other"]}, "rateLimits": limit},
        ]);
        let virtualhost = json!({"fqdn": fqdn, "tls": {"secretName": "cert"}, "rateLimits": limit});
        let root = format!("root-{fqdn}");
        graph.apply(ingress_route(
            &root,
            json!({"virtualhost": virtualhost, "routes": routes}),
        ));
    }
    let routes = json!([
        {"match": "/x", "services": [{"name": "away", "port": 8080}], "permitInsecure": true, "rateLimits": limit,
         "timeoutPolicy": {"request": "5s"}, "prefixRewrite": "/y"},
        {"match": "/x/y", "delegate": {"name": "deep"}},
    ]);
    graph.apply(ingress_route("below", json!({ "routes": routes })));
    for other in ["other", "deep"] {
        graph.apply(delegate(other, json!([leaf("/x/y")])));
    }
    graph.apply(service("home"));
    graph.apply(service("away"));
    graph.apply(secret(
        "cert",
        "kubernetes.io/tls",
        &[("tls.crt", "c"), ("tls.key", "k")],
    ));
    graph.commit();
    graph
}

/// What is left of a table, of one host alone.
fn of_host(table: &Table, fqdn: &str) -> Table {
    let mut table = table.clone();
    table.hosts.retain(|name, _| **name == *fqdn);
    table.switches.retain(|key, _| key.host() == fqdn);
    table.policies.retain(|key, _| key.host() == fqdn);
    table
}

#[test]
fn an_excerpt_is_what_the_table_has_of_a_host() {
    let graph = graph();
    for fqdn in HOSTS {
        let host_snapshot = graph.host_snapshot(fqdn);
        assert!(host_snapshot.table.switches.len() == 3 && host_snapshot.table.policies.len() > 3);
        assert_eq!(host_snapshot.table, of_host(graph.table(), fqdn));
        let change = host_snapshot.change();
        assert_eq!(change.switches.len(), host_snapshot.table.switches.len());
        assert_eq!(change.policies.len(), host_snapshot.table.policies.len());
    }
    let none = graph.host_snapshot("two.com");
    assert_eq!(none.table, Table::default());
}

#[test]
fn levels_are_found_by_their_match() {
    let host_snapshot = graph().host_snapshot("one.com");
    let (root, below) = (name("root-one.com"), name("below"));
    assert_eq!(
        host_snapshot.field(&root, None).as_deref(),
        Some("spec.virtualhost")
    );
    assert_eq!(host_snapshot.field(&below, None), None);
    assert_eq!(
        host_snapshot.field(&root, Some("/x")).as_deref(),
        Some("spec.routes[1]")
    );
    assert_eq!(
        host_snapshot.field(&below, Some("/x")).as_deref(),
        Some("spec.routes[0]")
    );
    assert_eq!(host_snapshot.field(&below, Some("/y")), None);
    assert_eq!(host_snapshot.field(&name("gone"), Some("/")), None);
    assert!(host_snapshot.delegates(&root, "/x") && !host_snapshot.delegates(&root, "/"));
    assert_eq!(host_snapshot.rewrite(&below, "/x").map(|to| &**to), Some("/y"));
    assert_eq!(host_snapshot.rewrite(&root, "/x"), None);
    let own = |owner: &Name, prefix| {
        host_snapshot
            .own_template(owner, prefix)
            .map(|own| own.timeout.is_some())
    };
    assert_eq!(
        [own(&below, "/x"), own(&root, "/"), own(&root, "/x")],
        [Some(true), Some(false), None]
    );
}

#[test]
fn errors_are_those_of_a_field_and_what_is_in_it() {
    let mut graph = Graph::new(Settings::default());
    let bad = |prefix: &str| json!({"match": prefix, "services": [{"name": "gone", "port": 8080}]});
    let routes: Vec<_> = (0..12).map(|number| bad(&format!("/{number}"))).collect();
    graph.apply(root("root", "one.com", json!(routes)));
    graph.commit();
    let host_snapshot = graph.host_snapshot("one.com");
    let count = |field: &str| host_snapshot.errors(&name("root"), field).count();
    assert_eq!(
        [
            count("spec.routes[1]"),
            count("spec.routes"),
            count("spec.routes[1"),
            count("spec.virtualhost")
        ],
        [1, 12, 0, 0]
    );
}
