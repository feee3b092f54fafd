//! Where requests go.

use super::*;

/// Plain routes, a switch with all that it may have, and a switch below it.
fn shop() -> Graph {
    let delegate = json!({
        "name": "blue", "standby": ["green"], "preview": {"header": "X-Preview", "value": "yes"},
        "canary": {"percent": 10}, "sticky": {"cookie": "shop"},
    });
    graph(&[
        (
            "root",
            root(json!([
                {"match": "/", "services": services("web")},
                {"match": "/old", "services": services("web"), "prefixRewrite": "/"},
                {"match": "/new", "services": services("web"), "prefixRewrite": "/v2"},
                {"match": "/shared", "services": [
                    {"name": "web", "port": 80, "weight": 1}, {"name": "api", "port": 80, "weight": 3},
                ]},
                {"match": "/idle", "services": services("idle")},
                {"match": "/bad", "services": services("gone")},
                {"match": "/gone", "delegate": {"name": "gone"}},
                {"match": "/shop", "delegate": delegate, "prefixRewrite": "/"},
            ])),
        ),
        (
            "blue",
            json!({"routes": [
                {"match": "/", "services": services("web")},
                {"match": "/api", "services": services("api"), "prefixRewrite": "/v1"},
                {"match": "/cart", "delegate": {"name": "cart"}},
                {"match": "/bad", "services": services("gone")},
            ]}),
        ),
        (
            "green",
            json!({"routes": [{"match": "/only", "services": services("api")}]}),
        ),
        (
            "cart",
            json!({"routes": [{"match": "/cart", "services": services("api")}]}),
        ),
    ])
}

#[test]
fn a_request_goes_where_its_path_leads() {
    let graph = shop();
    for (url, want, through) in [
        ("bar.com", "default/web /", "default/root /"),
        ("bar.com/a/b?c", "default/web /a/b?c", "default/root /"),
        ("bar.com:8080/a", "default/web /a", "default/root /"),
        ("BAR.com./a", "default/web /a", "default/root /"),
        ("bar.com/old/x/y?z", "default/web /x/y?z", "default/root /old"),
        ("bar.com/old", "default/web /", "default/root /old"),
        ("bar.com/older", "default/web /older", "default/root /"),
        ("bar.com/new/x", "default/web /v2/x", "default/root /new"),
        (
            "bar.com/shared/x",
            "default/web or default/api /shared/x",
            "default/root /shared",
        ),
        (
            "bar.com/shop/x?y",
            "default/web /x?y",
            "default/root /shop > Active default/blue /",
        ),
        (
            "bar.com/shop/api/x?y",
            "default/api /v1/x?y",
            "default/root /shop > Active default/blue /api",
        ),
        (
            "bar.com//shop/./api/../cart/1",
            "default/api /cart/1",
            "default/root /shop > Active default/blue /cart > Active default/cart /cart",
        ),
        (
            "bar.com/shop/bad/x",
            "503 Service [gone:80] is invalid or missing [spec.routes[3].services[0].name]",
            "default/root /shop > Active default/blue /bad",
        ),
        (
            "bar.com/idle",
            "503 no endpoint of default/idle/80 is ready",
            "default/root /idle",
        ),
        (
            "bar.com/bad/x",
            "503 the route is in error [spec.routes[5].services[0].name]",
            "default/root /bad",
        ),
        (
            "bar.com/gone",
            "503 the route is in error [spec.routes[6].delegate]",
            "default/root /gone",
        ),
        ("bar.com/a%2fb", "307 /a/b", ""),
        ("foo.com/", "404 no root serves the host", ""),
        (
            "https://bar.com/",
            "closed: the host serves no TLS",
            "default/root",
        ),
    ] {
        let explanation = ask(&graph, url);
        assert_eq!(
            (&*line(&explanation), &*chain(&explanation)),
            (want, through),
            "{url}"
        );
    }
}

#[test]
fn a_branch_is_chosen_by_what_the_request_has() {
    let graph = shop();
    let green = "default/root /shop > Preview default/green /only";
    let explanation = told(&graph, with("bar.com/shop/only", &["x-preview: yes"]));
    assert_eq!(
        (&*chain(&explanation), &*line(&explanation)),
        (green, "default/api /only")
    );
    let chosen = explanation.chain.last().unwrap().chosen.clone().unwrap();
    assert_eq!(
        (chosen.name.as_deref(), chosen.percent),
        (Some("x-preview"), None)
    );
    // Whose value is another, it is no preview's.
    let explanation = told(&graph, with("bar.com/shop/only", &["x-preview: no"]));
    assert_eq!(chain(&explanation), "default/root /shop > Active default/blue /");
    let chosen = explanation.chain.last().unwrap().chosen.clone().unwrap();
    assert_eq!(chosen.percent, Some(90));
    assert_eq!(chosen.others, ["default/green"]);

    let canary = Request {
        canaries: Canaries::All,
        ..Request::get("bar.com/shop/x").unwrap()
    };
    let explanation = told(&graph, canary);
    assert_eq!(chain(&explanation), "default/root /shop > Canary default/green");
    assert_eq!(line(&explanation), "404 no route of default/green takes the path");
    let chosen = explanation.chain.last().unwrap().chosen.clone().unwrap();
    assert_eq!(chosen.percent, Some(10));

    let session = format!(
        "cookie: a=b; shop={}",
        switchyard_policy::session::token("default/green")
    );
    let explanation = told(&graph, with("bar.com/shop/only", &[&session]));
    assert_eq!(
        chain(&explanation),
        "default/root /shop > Session default/green /only"
    );
    let chosen = explanation.chain.last().unwrap().chosen.clone().unwrap();
    assert_eq!(chosen.name.as_deref(), Some("shop"));
}

/// Each canary of a chain can be had alone.
#[test]
fn canaries_can_be_named() {
    let delegate = |name: &str, standby: &str| json!([{"match": "/", "delegate": {"name": name, "standby": [standby], "canary": {"percent": 10}}}]);
    let leaf = json!({"routes": [{"match": "/", "services": services("web")}]});
    let graph = graph(&[
        ("root", root(delegate("a", "b"))),
        ("a", json!({"routes": delegate("c", "d")})),
        ("b", json!({"routes": delegate("c", "d")})),
        ("c", leaf.clone()),
        ("d", leaf),
    ]);
    for (named, want, unmet) in [
        (&[][..], "Active default/a / > Active default/c", 0),
        (&["true"], "Canary default/b / > Canary default/d", 0),
        (&["default/b"], "Canary default/b / > Active default/c", 0),
        (&["default/d"], "Active default/a / > Canary default/d", 0),
        (
            &["default/b", "default/d"],
            "Canary default/b / > Canary default/d",
            0,
        ),
        // It is the active one, and this is nowhere.
        (
            &["default/c", "default/x"],
            "Active default/a / > Active default/c",
            2,
        ),
    ] {
        let request = Request {
            canaries: Canaries::of(named.iter().copied()).unwrap(),
            ..Request::get("bar.com").unwrap()
        };
        let explanation = told(&graph, request);
        assert_eq!(
            chain(&explanation),
            format!("default/root / > {want} /"),
            "{named:?}"
        );
        assert_eq!(explanation.assumed.len(), unmet, "{named:?}");
    }
}

#[test]
fn what_steers_the_proxy_is_nothing_that_a_client_says() {
    let graph = shop();
    let lines = [
        "x-switchyard-route: forward",
        "x-switchyard-cluster: default/api/80/x",
    ];
    let explanation = told(&graph, with("bar.com/old/x", &lines));
    assert_eq!(line(&explanation), "default/web /x");
    let explanation = told(&graph, with("bar.com/", &["x_a: b"]));
    let want = "400 the header \"x_a\" has an underscore, which some upstreams take for a hyphen";
    assert_eq!(line(&explanation), want);
}

#[test]
fn host_that_two_roots_claim_is_the_owners() {
    let graph = graph(&[
        ("one", root(json!([{"match": "/", "services": services("web")}]))),
        ("two", root(json!([{"match": "/", "services": services("api")}]))),
    ]);
    assert_eq!(line(&ask(&graph, "bar.com/")), "default/web /");
}

#[test]
fn a_connection_becomes_another_where_the_route_lets_it() {
    let sockets = json!({"match": "/chat", "services": services("web"), "enableWebsockets": true});
    let plain = json!({"match": "/", "services": services("web")});
    let routes = json!([plain, sockets]);
    let below = json!([{"match": "/", "delegate": {"name": "below"}}]);
    let graph = graph(&[
        ("plain", root(routes.clone())),
        (
            "switched",
            json!({"virtualhost": {"fqdn": "foo.com"}, "routes": below}),
        ),
        ("below", json!({"routes": routes})),
    ]);
    for host in ["bar.com", "foo.com"] {
        let upgrade = |path: &str| {
            with(
                &format!("{host}{path}"),
                &["Upgrade: WebSocket", "Connection: Upgrade"],
            )
        };
        assert_eq!(
            line(&told(&graph, upgrade("/chat/1"))),
            "default/web /chat/1",
            "{host}"
        );
        let refused = told(&graph, upgrade("/x"));
        assert_eq!(
            line(&refused),
            "403 the route lets no connection become another",
            "{host}"
        );
        // Without the other header it asks for nothing.
        let asks_nothing = with(&format!("{host}/x"), &["Upgrade: websocket"]);
        assert_eq!(line(&told(&graph, asks_nothing)), "default/web /x", "{host}");
    }
    // It is asked before whatever else the route would answer.
    let nowhere = with(
        "five.com/",
        &["Upgrade: websocket", "Connection: keep-alive, upgrade"],
    );
    let refused = "403 the route lets no connection become another";
    assert_eq!(line(&told(&graph, nowhere)), refused);
}

/// A host with TLS, of which a part is served in plain text, too; and hosts whose connections are passed on.
fn secured() -> Graph {
    let tls = |fqdn: &str| json!({"fqdn": fqdn, "tls": {"secretName": "cert"}});
    let routes = json!([
        {"match": "/", "services": services("web")},
        {"match": "/open", "services": services("api"), "permitInsecure": true},
        {"match": "/team", "delegate": {"name": "team"}},
    ]);
    let team = json!([
        {"match": "/team", "services": services("web")},
        {"match": "/team/open", "services": services("api"), "permitInsecure": true},
    ]);
    let passing = json!({
        "virtualhost": {"fqdn": "tcp.com", "tls": {"passthrough": true}},
        "tcpproxy": {"delegate": {"name": "sink"}}, "routes": routes,
    });
    let nowhere = json!({
        "virtualhost": tls("nowhere.com"), "tcpproxy": {"delegate": {"name": "gone"}}, "routes": [],
    });
    let bad = json!({
        "virtualhost": {"fqdn": "bad.com", "tls": {"secretName": "gone"}}, "routes": routes,
    });
    let strict = json!({
        "virtualhost": {"fqdn": "strict.com", "tls": {"secretName": "cert", "minimumProtocolVersion": "1.3"}},
        "routes": routes,
    });
    let graph = &mut graph(&[
        ("root", json!({"virtualhost": tls("bar.com"), "routes": routes})),
        ("team", json!({"routes": team})),
        ("strict", strict),
        ("passing", passing),
        ("sink", json!({"tcpproxy": {"services": services("web")}})),
        ("nowhere", nowhere),
        ("bad", bad),
    ]);
    let data = ["tls.crt", "tls.key"].map(|key| (key.to_owned(), b"pem".to_vec()));
    graph.apply(Object::Secret(Secret {
        name: name("cert"),
        type_: "kubernetes.io/tls".to_owned(),
        data: data.into(),
        faults: Default::default(),
    }));
    graph.commit();
    std::mem::take(graph)
}

#[test]
fn a_connection_that_names_a_host_is_served_as_the_host_says() {
    let graph = secured();
    for (url, want) in [
        ("bar.com/a?b", "301 https://bar.com/a?b"),
        ("bar.com:80/a", "301 https://bar.com/a"),
        ("bar.com:8080/a", "301 https://bar.com:8080/a"),
        ("bar.com/open/a", "default/api /open/a"),
        ("bar.com/team/a", "301 https://bar.com/team/a"),
        ("bar.com/team/open/a", "default/api /team/open/a"),
        ("https://bar.com/a", "default/web /a"),
        ("https://bar.com/team/a", "default/web /team/a"),
        ("https://strict.com/a", "default/web /a"),
        ("strict.com/a", "301 https://strict.com/a"),
        ("tcp.com/a", "default/web /a"),
        ("https://tcp.com/a", "bytes to 1, false"),
        (
            "https://nowhere.com/a",
            "closed: the tcpproxy leads to nothing that is ready",
        ),
        (
            "bad.com/a",
            "503 the route is in error [spec.virtualhost.tls.secretName]",
        ),
        ("https://bad.com/a", "closed: the host serves no TLS"),
        ("https://foo.com/a", "closed: the host serves no TLS"),
    ] {
        assert_eq!(line(&ask(&graph, url)), want, "{url}");
    }
    let passed = ask(&graph, "https://tcp.com/");
    assert_eq!(chain(&passed), "default/passing > default/sink");
}
