//! What a switch would come to.

use super::*;

/// A root that delegates `/` to `blue`, with `green` standing by, and the Services that they need.
fn blue_green(more: Vec<Object>) -> Graph {
    let delegating = json!({"match": "/", "delegate": {"name": "blue", "standby": ["green"]}});
    let mut objects = vec![
        root("root", "a.com", json!([delegating, leaf("/own")])),
        delegate("blue", json!([leaf("/")])),
        service("home"),
        slice("home-1", "home", &["10.0.0.1"]),
        service("empty"),
    ];
    objects.extend(more);
    graph(objects)
}

fn empty_leaf(match_: &str) -> Value {
    json!({"match": match_, "services": [{"name": "empty", "port": 8080}]})
}

/// As people read it.
fn blockers_of(graph: &mut Graph, matched: &str, branch: &str) -> Option<Vec<String>> {
    let blockers = graph.dry_run(&name("root"), matched, branch)?;
    Some(blockers.iter().map(ToString::to_string).collect())
}

#[test]
fn a_branch_that_would_not_serve_says_why() {
    let weighted = json!({"match": "/", "services": [
        {"name": "empty", "port": 8080, "weight": 1}, {"name": "home", "port": 8080, "weight": 0},
    ]});
    let shared = json!({"match": "/", "services": [
        {"name": "empty", "port": 8080}, {"name": "home", "port": 8080},
    ]});
    for (routes, want) in [
        (json!([leaf("/"), leaf("/cart")]), vec![]),
        (json!([shared]), vec![]),
        (json!([]), vec!["IngressRoute default/green has no routes"]),
        (
            json!([leaf("/"), empty_leaf("/cart")]),
            vec!["IngressRoute default/green: /cart: no ready endpoints of default/empty"],
        ),
        (
            json!([weighted]),
            vec!["IngressRoute default/green: /: no ready endpoints of default/empty"],
        ),
        (
            json!([leaf("/"), {"match": "/x", "services": [{"name": "gone", "port": 1}]}]),
            vec![
                "IngressRoute default/green: spec.routes[1].services[0].name: \
                 Service [gone:1] is invalid or missing",
            ],
        ),
        (json!([to("/", "default/blue")]), vec![]),
        (
            json!([to("/", "default/third")]),
            vec!["IngressRoute default/third: /: no ready endpoints of default/empty"],
        ),
        (
            json!([to("/", "default/root")]),
            vec![
                "IngressRoute default/green: spec.routes[0].delegate: root ingressroute cannot delegate to another root ingressroute",
            ],
        ),
    ] {
        let third = delegate("third", json!([empty_leaf("/")]));
        let mut graph = blue_green(vec![delegate("green", routes.clone()), third]);
        let found = blockers_of(&mut graph, "/", "green").unwrap();
        assert_eq!(found, want, "{routes}");
    }
}

#[test]
fn a_branch_that_is_not_there_is_missing() {
    let mut graph = blue_green(vec![]);
    let found = blockers_of(&mut graph, "/", "purple").unwrap();
    assert_eq!(
        found,
        ["there is no IngressRoute default/purple; in namespace default there are: blue"]
    );
}

#[test]
fn errors_that_are_there_anyway_are_none_of_the_switch() {
    let other = root(
        "other",
        "b.com",
        json!([{"match": "/", "delegate": {"name": "gone"}}]),
    );
    let mut graph = blue_green(vec![other, delegate("green", json!([leaf("/")]))]);
    assert_eq!(
        blockers_of(&mut graph, "/", "green").unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn a_route_that_does_not_delegate_cannot_be_switched() {
    let mut graph = blue_green(vec![]);
    assert_eq!(blockers_of(&mut graph, "/own", "blue"), None);
    assert_eq!(blockers_of(&mut graph, "/nowhere", "blue"), None);
    assert_eq!(graph.dry_run(&name("nobody"), "/", "blue"), None);
}
