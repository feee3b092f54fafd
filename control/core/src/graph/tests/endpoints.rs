//! Where a cluster's endpoints come from.

use super::*;
use crate::table::Endpoint;

fn serving(objects: impl IntoIterator<Item = Object>) -> Graph {
    let fixed = [root("root", "example.com", json!([leaf("/")])), service("home")];
    graph(fixed.into_iter().chain(objects))
}

/// The endpoints of the only cluster.
fn listed(graph: &Graph) -> Vec<String> {
    let mut lists = graph.table().endpoints.values();
    let list = lists.next().unwrap();
    assert!(lists.next().is_none());
    list.iter()
        .map(|Endpoint { address, port }| format!("{address}:{port}"))
        .collect()
}

#[test]
fn slices_are_joined() {
    let graph = serving([
        slice("home-1", "home", &["10.0.0.2", "10.0.0.1"]),
        slice("home-2", "home", &["10.0.0.3", "10.0.0.1"]),
        slice("other-1", "other", &["10.9.9.9"]),
        slice("elsewhere/home-1", "home", &["10.8.8.8"]),
    ]);
    assert_eq!(listed(&graph), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
}

#[test]
fn addresses_outside_the_cluster_are_as_good() {
    let graph = serving([slice("home-1", "home", &["203.0.113.7", "2001:db8::1"])]);
    assert_eq!(listed(&graph), ["203.0.113.7:80", "2001:db8::1:80"]);
}

#[test]
fn endpoints_count_only_without_slices() {
    let mut graph = serving([endpoints("home", &["10.0.0.1"])]);
    assert_eq!(listed(&graph), ["10.0.0.1:80"]);
    apply(&mut graph, [slice("home-1", "home", &["10.0.0.2"])]);
    assert_eq!(listed(&graph), ["10.0.0.2:80"]);
    graph.delete(&id(Kind::EndpointSlice, "home-1"));
    graph.commit();
    assert_eq!(listed(&graph), ["10.0.0.1:80"]);
}

#[test]
fn only_the_ready_are_listed() {
    let Object::EndpointSlice(mut slice) = slice("home-1", "home", &["10.0.0.1", "10.0.0.2"]) else {
        panic!("a slice")
    };
    slice.endpoints[0].ready = false;
    let mut graph = serving([Object::EndpointSlice(slice.clone())]);
    assert_eq!(listed(&graph), ["10.0.0.2:80"]);
    slice.endpoints[1].ready = false;
    apply(&mut graph, [Object::EndpointSlice(slice)]);
    assert!(listed(&graph).is_empty());
}

#[test]
fn ports_are_matched_by_name() {
    let Object::EndpointSlice(mut slice) = slice("home-1", "home", &["10.0.0.1"]) else {
        panic!("a slice")
    };
    slice.ports = BTreeMap::from([("metrics".to_owned(), 9090)]);
    let graph = serving([Object::EndpointSlice(slice)]);
    assert!(listed(&graph).is_empty());
}

#[test]
fn endpoints_touch_endpoints_only() {
    let mut graph = serving([slice("home-1", "home", &["10.0.0.1"])]);
    let change = apply(&mut graph, [slice("home-1", "home", &["10.0.0.2"])]);
    let endpoints = graph.table().endpoints.keys().cloned().collect();
    let want = Change {
        endpoints,
        ..Change::default()
    };
    assert_eq!(change, want);
}

/// A port renamed leads to other endpoints of the same cluster.
#[test]
fn a_renamed_port_lists_anew() {
    let mut graph = serving([slice("home-1", "home", &["10.0.0.1"])]);
    let mut renamed = service_with("home", Protocol::Http1);
    renamed.ports[0].name = "web".to_owned();
    apply(&mut graph, [Object::Service(renamed)]);
    assert!(listed(&graph).is_empty());
}
