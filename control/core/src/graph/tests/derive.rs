//! Hosts, plain routes, and the bound of what is delegated.

use super::*;
use crate::table::HostRoute;

/// The host's routes on the plain port, in short.
fn routes(graph: &Graph, fqdn: &str) -> Vec<(String, &'static str)> {
    let routes = host(graph, fqdn).http.routes.iter();
    routes
        .map(|(prefix, route)| (prefix.to_string(), kind(route)))
        .collect()
}

pub(super) fn kind(route: &HostRoute) -> &'static str {
    match route {
        HostRoute::Plain(_) => "plain",
        HostRoute::Switch(_) => "switch",
        HostRoute::HttpsRedirect => "redirect",
        HostRoute::Unavailable => "503",
    }
}

/// A branch's routes, in short.
pub(super) fn branch(graph: &Graph, key: &str, branch: &str) -> Vec<(String, &'static str)> {
    let routes = &switch(graph, key).branches.get(&name(branch)).unwrap().routes;
    let kind = |target: &Target| match target {
        Target::Leaf(_) => "leaf",
        Target::Switch(_) => "switch",
        Target::HttpsRedirect => "redirect",
        Target::Unavailable(_) => "503",
    };
    routes
        .iter()
        .map(|(prefix, target)| (prefix.to_string(), kind(target)))
        .collect()
}

fn pairs<'a>(pairs: &[(&'a str, &'static str)]) -> Vec<(String, &'static str)> {
    pairs
        .iter()
        .map(|(prefix, kind): &(&'a str, _)| ((*prefix).to_owned(), *kind))
        .collect()
}

#[test]
fn a_root_serves_its_own_routes_plainly() {
    let graph = graph([
        root("root", "Example.com", json!([leaf("/"), leaf("/foo/")])),
        service("home"),
    ]);
    assert_eq!(
        routes(&graph, "example.com"),
        pairs(&[("/", "plain"), ("/foo", "plain")])
    );
    let host = host(&graph, "example.com");
    assert_eq!(host.root, name("root"));
    assert!(host.tls.is_none());
    assert!(host.http.templates.is_empty(), "no switch, no templates");
}

#[test]
fn a_bad_route_is_unavailable_under_its_own_match_and_the_rest_is_served() {
    let bad = json!({"match": "/bad", "services": [{"name": "away", "port": 8080}]});
    let graph = graph([
        root("root", "example.com", json!([leaf("/"), bad])),
        service("home"),
    ]);
    assert_eq!(
        routes(&graph, "example.com"),
        pairs(&[("/", "plain"), ("/bad", "503")])
    );
}

#[test]
fn of_two_routes_with_one_match_the_first_stands() {
    let second = json!({"match": "/foo/", "services": [{"name": "away", "port": 8080}]});
    let graph = graph([
        root("root", "example.com", json!([leaf("/foo"), second])),
        service("home"),
    ]);
    assert_eq!(routes(&graph, "example.com"), pairs(&[("/foo", "plain")]));
}

#[test]
fn what_leaves_the_bound_is_clipped_to_it() {
    let served = |routes: Value| {
        let graph = graph([
            root("root", "example.com", json!([to("/foo", "child")])),
            delegate("child", routes),
            service("home"),
        ]);
        branch(&graph, "example.com/foo", "child")
    };
    // It encloses the bound: 503 at the bound, beside what is good.
    let got = served(json!([leaf("/"), leaf("/foo/bar")]));
    assert_eq!(got, pairs(&[("/foo", "503"), ("/foo/bar", "leaf")]));
    // A good route stands there already.
    let got = served(json!([leaf("/"), leaf("/foo")]));
    assert_eq!(got, pairs(&[("/foo", "leaf")]));
    // It lies wholly outside: no effect.
    let got = served(json!([leaf("/foobar"), leaf("/foo/bar")]));
    assert_eq!(got, pairs(&[("/foo/bar", "leaf")]));
}

#[test]
fn the_bound_holds_for_grandchildren() {
    let graph = graph([
        root("root", "example.com", json!([to("/blog", "blog")])),
        delegate("blog", json!([to("/admin", "admin"), to("/blog/info", "info")])),
        delegate("admin", json!([leaf("/admin")])),
        delegate("info", json!([leaf("/blog"), leaf("/blog/info")])),
        service("home"),
    ]);
    assert_eq!(
        branch(&graph, "example.com/blog", "blog"),
        pairs(&[("/blog/info", "switch")])
    );
    assert_eq!(
        branch(&graph, "example.com default/blog/blog/info", "info"),
        pairs(&[("/blog/info", "leaf")])
    );
    let keys: Vec<_> = graph
        .table()
        .switches
        .keys()
        .map(|key| key.0.to_string())
        .collect();
    assert_eq!(keys, ["example.com default/blog/blog/info", "example.com/blog"]);
}

#[test]
fn a_missing_delegate_is_unavailable_under_its_prefix() {
    let graph = graph([
        root("root", "example.com", json!([leaf("/"), to("/foo", "gone")])),
        service("home"),
    ]);
    assert_eq!(
        routes(&graph, "example.com"),
        pairs(&[("/", "plain"), ("/foo", "503")])
    );
    assert!(graph.table().switches.is_empty());
}

#[test]
fn delegation_crosses_namespaces_and_services_do_not() {
    let graph = graph([
        root("roots/root", "example.com", json!([to("/foo", "team/child")])),
        delegate("team/child", json!([leaf("/foo")])),
        service("roots/home"),
        service("team/home"),
    ]);
    let leaf = leaf_of(target(&graph, "example.com/foo", "team/child", "/foo"));
    assert!(leaf.clusters[0].cluster.0.starts_with("team/home/8080/"));
}

#[test]
fn a_rewriting_delegation_mounts_what_is_below() {
    let mounting = json!({"match": "/team/a", "prefixRewrite": "/", "delegate": {"name": "child"}});
    let nested = json!({"match": "/admin", "prefixRewrite": "/console/", "delegate": {"name": "admin"}});
    let graph = graph([
        root("root", "example.com", json!([mounting])),
        delegate("child", json!([leaf("/"), leaf("/team/a"), nested])),
        delegate("admin", json!([leaf("/console"), leaf("/admin")])),
        service("home"),
    ]);
    let top = switch(&graph, "example.com/team/a");
    assert_eq!((&*top.prefix, &*top.mount), ("/team/a", "/"));
    let got = branch(&graph, "example.com/team/a", "child");
    assert_eq!(
        got,
        pairs(&[("/", "leaf"), ("/admin", "switch"), ("/team/a", "leaf")])
    );
    let below = switch(&graph, "example.com default/child/admin");
    assert_eq!((&*below.prefix, &*below.mount), ("/admin", "/console"));
    assert_eq!(
        branch(&graph, "example.com default/child/admin", "admin"),
        pairs(&[("/console", "leaf")])
    );
}

#[test]
fn one_delegate_serves_several_hosts() {
    let graph = graph([
        root("one", "one.com", json!([to("/blog", "blog")])),
        root("two", "two.com", json!([to("/blog", "blog")])),
        delegate("blog", json!([leaf("/blog")])),
        service("home"),
    ]);
    for key in ["one.com/blog", "two.com/blog"] {
        assert_eq!(branch(&graph, key, "blog"), pairs(&[("/blog", "leaf")]), "{key}");
    }
}

#[test]
fn a_cycle_is_cut_where_it_closes_and_the_rest_is_served() {
    let graph = graph([
        root("root", "example.com", json!([to("/", "a")])),
        delegate("a", json!([leaf("/a"), to("/x", "b")])),
        delegate("b", json!([leaf("/x/b"), to("/x/y", "a")])),
        service("home"),
    ]);
    assert_eq!(
        branch(&graph, "example.com/", "a"),
        pairs(&[("/a", "leaf"), ("/x", "switch")])
    );
    let below = branch(&graph, "example.com default/a/x", "b");
    assert_eq!(below, pairs(&[("/x/b", "leaf"), ("/x/y", "503")]));
}
