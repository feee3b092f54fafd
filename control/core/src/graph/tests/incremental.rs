//! That a change costs what it reaches, and tells what it changed.

use super::*;

fn blue_green() -> Graph {
    graph([
        root("root", "example.com", json!([to("/", "blue")])),
        delegate("blue", json!([leaf("/")])),
        delegate("green", json!([leaf("/")])),
        root("other", "other.com", json!([leaf("/")])),
        service("home"),
        slice("home-1", "home", &["10.0.0.1"]),
    ])
}

#[test]
fn an_unchanged_object_changes_nothing() {
    let mut graph = blue_green();
    assert!(!graph.apply(delegate("blue", json!([leaf("/")]))));
    assert!(!graph.apply(service("home")));
    assert!(!graph.delete(&id(Kind::Service, "gone")));
    assert_eq!(graph.commit(), Change::default());
}

#[test]
fn an_object_that_nothing_names_changes_nothing() {
    let mut graph = blue_green();
    let change = apply(
        &mut graph,
        [
            service("unused"),
            slice("unused-1", "unused", &["10.0.0.9"]),
            tls_secret("x"),
        ],
    );
    assert_eq!(change, Change::default());
}

#[test]
fn there_and_back_changes_nothing() {
    let mut graph = blue_green();
    let before = graph.table().clone();
    graph.delete(&id(Kind::IngressRoute, "root"));
    graph.delete(&id(Kind::Service, "home"));
    apply(
        &mut graph,
        [
            root("root", "example.com", json!([to("/", "blue")])),
            service("home"),
        ],
    );
    let after = graph.table();
    assert_eq!(*after, before);
    for (fqdn, host) in &before.hosts {
        assert!(Arc::ptr_eq(host, &after.hosts[fqdn]), "the same host");
    }
    for (key, switch) in &before.switches {
        assert!(Arc::ptr_eq(switch, &after.switches[key]), "the same switch");
    }
    for (name, cluster) in &before.clusters {
        assert!(Arc::ptr_eq(cluster, &after.clusters[name]), "the same cluster");
    }
}

#[test]
fn a_change_derives_the_roots_that_reach_it() {
    let mut graph = blue_green();
    let change = apply(&mut graph, [delegate("blue", json!([leaf("/"), leaf("/more")]))]);
    assert_eq!(change.derived, 1);
    assert_eq!(change.switches, [SwitchKey("example.com/".into())].into());
    let change = apply(&mut graph, [delegate("green", json!([leaf("/"), leaf("/more")]))]);
    assert_eq!(change.derived, 0, "nothing reaches green");
}

#[test]
fn what_was_missing_is_found_when_it_comes() {
    let mut graph = graph([root("root", "example.com", json!([to("/", "blue")]))]);
    assert!(graph.table().switches.is_empty());
    apply(&mut graph, [delegate("blue", json!([leaf("/")]))]);
    assert!(matches!(
        target(&graph, "example.com/", "blue", "/"),
        Some(Target::Unavailable(_))
    ));
    apply(&mut graph, [service("home")]);
    leaf_of(target(&graph, "example.com/", "blue", "/"));
    graph.delete(&id(Kind::IngressRoute, "blue"));
    let change = graph.commit();
    assert!(graph.table().switches.is_empty());
    assert_eq!(change.statuses, [name("root"), name("blue")].into());
}

#[test]
fn a_host_name_goes_from_one_root_to_another_in_one_commit() {
    let mut graph = blue_green();
    graph.delete(&id(Kind::IngressRoute, "root"));
    let change = apply(
        &mut graph,
        [root("newer", "example.com", json!([to("/", "green")]))],
    );
    assert_eq!(change.hosts, ["example.com".into()].into());
    assert_eq!(host(&graph, "example.com").root, name("newer"));
    assert_eq!(switch(&graph, "example.com/").active, name("green"));
}

#[test]
fn nothing_is_left_when_all_is_gone() {
    let mut graph = blue_green();
    for (kind, text) in [
        (Kind::IngressRoute, "root"),
        (Kind::IngressRoute, "blue"),
        (Kind::IngressRoute, "green"),
        (Kind::IngressRoute, "other"),
        (Kind::Service, "home"),
        (Kind::EndpointSlice, "home-1"),
    ] {
        assert!(graph.delete(&id(kind, text)));
    }
    graph.commit();
    assert_eq!(*graph.table(), crate::table::Table::default());
    assert_eq!(graph.statuses().count(), 0);
    assert!(graph.outlines.is_empty() && graph.standings.is_empty() && graph.compiled.is_empty());
}
