//! How many copies of a request there may be.

use super::*;

/// How many copies the routes of a host have room for.
fn room(objects: Vec<Object>) -> usize {
    host(&graph(objects), "example.com").http.mirrors
}

#[test]
fn a_host_has_room_for_the_mirrors_of_its_longest_chain() {
    let chain = |virtualhost, route, plain, junction, standby| {
        room(vec![
            asking_root(
                mirrors(virtualhost),
                json!([
                    merged(
                        json!({"match": "/", "delegate": {"name": "blue", "standby": ["green"]}}),
                        mirrors(route)
                    ),
                    merged(leaf("/plain"), mirrors(plain)),
                ]),
            ),
            delegate(
                "blue",
                json!([merged(to("/deep", "deep"), mirrors(junction)), leaf("/")]),
            ),
            delegate("green", json!([merged(leaf("/"), mirrors(standby))])),
            delegate(
                "deep",
                json!([leaf("/deep"), merged(leaf("/deep/er"), mirrors(1))]),
            ),
            service("home"),
        ])
    };
    assert_eq!(chain(0, 0, 0, 0, 0), 1);
    assert_eq!(chain(1, 1, 0, 1, 0), 4);
    assert_eq!(chain(1, 0, 5, 1, 0), 6);
    assert_eq!(chain(0, 2, 0, 1, 5), 7);
    assert_eq!(chain(8, 0, 0, 0, 0), 8);
}

/// Switching to a delegate then changes no route.
#[test]
fn a_host_has_room_for_the_mirrors_of_delegates_that_could_be_switched_to() {
    let objects = |active: &str| {
        vec![
            asking_root(mirrors(1), json!([to("/", active)])),
            delegate("blue", json!([leaf("/")])),
            delegate("green", json!([merged(leaf("/"), mirrors(2))])),
            service("home"),
        ]
    };
    assert_eq!(room(objects("blue")), 3);
    assert_eq!(room(objects("green")), 3);
    let plain = vec![asking_root(json!({}), json!([leaf("/")])), service("home")];
    assert_eq!(room(plain), 0);
}

#[test]
fn more_mirrors_than_there_is_room_for_are_an_error_where_they_get_too_many() {
    let text = "with the mirrors of all levels above and below there are more than 8 copies of a request: take some out";
    let status = |graph: &Graph, about| {
        let errors = &graph.status(&name(about)).unwrap().errors;
        errors
            .iter()
            .map(|error| (error.field.clone(), error.message.clone()))
            .collect::<Vec<_>>()
    };
    let error = |field: &str, prefix: &str| {
        let message = format!("route {prefix:?}: {text}");
        vec![(field.to_owned(), message)]
    };
    // The leaf that goes beyond is unavailable, not the team above.
    let graph = graph([
        asking_root(
            mirrors(2),
            json!([
                merged(to("/", "blue"), mirrors(5)),
                merged(leaf("/plain"), mirrors(7))
            ]),
        ),
        delegate(
            "blue",
            json!([
                merged(leaf("/"), mirrors(1)),
                merged(leaf("/more"), mirrors(2)),
                merged(to("/deep", "deep"), mirrors(2)),
            ]),
        ),
        delegate("deep", json!([leaf("/deep")])),
        service("home"),
    ]);
    assert_eq!(
        derive::branch(&graph, "example.com/", "blue"),
        [
            ("/".to_owned(), "leaf"),
            ("/deep".to_owned(), "503"),
            ("/more".to_owned(), "503")
        ]
    );
    assert_eq!(status(&graph, "root"), error("spec.routes[1].mirror", "/plain"));
    let blue = [
        error("spec.routes[1].mirror", "/more"),
        error("spec.routes[2].mirror", "/deep"),
    ];
    assert_eq!(status(&graph, "blue"), blue.concat());
    assert_eq!(host(&graph, "example.com").http.mirrors, 8);
}

/// What has room by one way may not have it by another.
#[test]
fn mirrors_count_by_every_way() {
    let mount =
        |match_: &str, to: &str| json!({"match": match_, "prefixRewrite": "/", "delegate": {"name": to}});
    let graph = graph([
        asking_root(
            mirrors(1),
            json!([
                mount("/a", "team"),
                merged(mount("/b", "team"), mirrors(3)),
                mount("/c", "other")
            ]),
        ),
        // Through its own junction, which was walked below /a.
        delegate("other", json!([merged(mount("/x", "inner"), mirrors(4))])),
        delegate("team", json!([mount("/y", "inner")])),
        delegate("inner", json!([merged(leaf("/"), mirrors(5))])),
        service("home"),
    ]);
    let kind = |prefix: &str| derive::kind(&host(&graph, "example.com").http.routes[prefix]);
    assert_eq!((kind("/a"), kind("/b"), kind("/c")), ("switch", "503", "switch"));
    let message = "with the mirrors of all levels above and below there are more than 8 copies of a request: take some out";
    let description = |about| graph.status(&name(about)).unwrap().description();
    assert_eq!(description("root"), format!("route \"/b\": {message}"));
    assert_eq!(description("other"), format!("route \"/x\": {message}"));
    assert_eq!(description("inner"), "valid IngressRoute");
    assert_eq!(host(&graph, "example.com").http.mirrors, 6);
}

/// How many in a million of its requests the filter is asked about.
fn asked(virtualhost: Value, asks: Value) -> u32 {
    let objects = [
        asking_root(virtualhost, json!([merged(leaf("/"), asks)])),
        service("home"),
    ];
    match &host(&graph(objects), "example.com").http.routes["/"] {
        HostRoute::Plain(route) => route.sample.per_million(),
        other => panic!("not plain: {other:?}"),
    }
}

#[test]
fn a_route_that_copies_a_few_requests_asks_about_no_more_than_it_has_to() {
    let few = |percent| json!({"mirror": [{"service": "home", "port": 8080, "percent": percent}]});
    let patient = json!({"timeoutPolicy": {"request": "1h"}});
    for (virtualhost, asks, want) in [
        (json!({}), few(1), 10_000),
        (few(1), json!({}), 10_000),
        (few(1), few(6), 60_000),
        (few(6), few(1), 60_000),
        (few(1), few(100), 1_000_000),
        (patient.clone(), few(1), 10_000),
        (few(1), patient, 10_000),
        (limit(1), few(1), 1_000_000),
        (few(1), limit(1), 1_000_000),
    ] {
        assert_eq!(
            asked(virtualhost.clone(), asks.clone()),
            want,
            "{virtualhost} {asks}"
        );
    }
}
