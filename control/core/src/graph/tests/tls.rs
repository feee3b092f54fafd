//! Hosts with TLS, and that nothing of theirs is served without.

use super::{derive::kind, *};
use crate::table::HostTls;

fn insecure(match_: &str) -> Value {
    json!({"match": match_, "permitInsecure": true, "services": [{"name": "home", "port": 8080}]})
}

fn plain_port(graph: &Graph) -> Vec<(&str, &'static str)> {
    let routes = host(graph, "example.com").http.routes.iter();
    routes.map(|(prefix, route)| (&**prefix, kind(route))).collect()
}

fn tls_port(graph: &Graph) -> Vec<(&str, &'static str)> {
    match &host(graph, "example.com").tls {
        Some(HostTls::Terminate { vhost, .. }) => vhost
            .routes
            .iter()
            .map(|(prefix, route)| (&**prefix, kind(route)))
            .collect(),
        other => panic!("not terminated: {other:?}"),
    }
}

#[test]
fn a_host_with_tls_redirects_what_does_not_permit_insecure_requests() {
    let bad = json!({"match": "/bad"});
    let routes = json!([leaf("/"), insecure("/open"), to("/blog", "blog"), bad]);
    let graph = graph([
        tls_root("root", "example.com", routes),
        delegate("blog", json!([leaf("/blog")])),
        service("home"),
        tls_secret("cert"),
    ]);
    let plain = plain_port(&graph);
    assert_eq!(
        plain,
        [
            ("/", "redirect"),
            ("/bad", "503"),
            ("/blog", "redirect"),
            ("/open", "plain")
        ]
    );
    let tls = tls_port(&graph);
    assert_eq!(
        tls,
        [
            ("/", "plain"),
            ("/bad", "503"),
            ("/blog", "switch"),
            ("/open", "plain")
        ]
    );
    assert_eq!(
        graph.table().certificates.keys().collect::<Vec<_>>(),
        [&name("cert")]
    );
    assert!(host(&graph, "example.com").http.templates.is_empty());
}

#[test]
fn a_switch_above_an_insecure_leaf_has_a_variant_for_the_plain_port() {
    let graph = graph([
        tls_root("root", "example.com", json!([to("/a", "a"), to("/b", "b")])),
        delegate(
            "a",
            json!([leaf("/a"), to("/a/deep", "deep"), to("/a/shut", "shut")]),
        ),
        delegate("b", json!([leaf("/b")])),
        delegate("deep", json!([leaf("/a/deep"), insecure("/a/deep/open")])),
        delegate("shut", json!([leaf("/a/shut")])),
        service("home"),
        tls_secret("cert"),
    ]);
    assert_eq!(plain_port(&graph), [("/a", "switch"), ("/b", "redirect")]);
    let target = |key, branch, prefix| target(&graph, key, branch, prefix).unwrap();
    let top = "http://example.com/a";
    assert_eq!(target(top, "a", "/a"), &Target::HttpsRedirect);
    assert_eq!(target(top, "a", "/a/shut"), &Target::HttpsRedirect);
    let deep = "http://example.com default/a/a/deep";
    assert_eq!(
        target(top, "a", "/a/deep"),
        &Target::Switch(SwitchKey(deep.into()))
    );
    assert_eq!(target(deep, "deep", "/a/deep"), &Target::HttpsRedirect);
    leaf_of(Some(target(deep, "deep", "/a/deep/open")));
    leaf_of(Some(target("example.com/a", "a", "/a")));
    assert_eq!(graph.table().switches.len(), 6);
}

#[test]
fn permit_insecure_can_be_switched_off() {
    let settings = Settings {
        disable_permit_insecure: true,
        ..Settings::default()
    };
    let objects = [
        tls_root("root", "example.com", json!([insecure("/"), to("/a", "a")])),
        delegate("a", json!([insecure("/a")])),
        service("home"),
        tls_secret("cert"),
    ];
    let graph = graph_with(settings, objects);
    assert_eq!(plain_port(&graph), [("/", "redirect"), ("/a", "redirect")]);
}

#[test]
fn a_bad_certificate_takes_the_host_down_on_both_ports() {
    let mut graph = graph([
        tls_root(
            "root",
            "example.com",
            json!([leaf("/"), insecure("/open"), to("/blog", "blog")]),
        ),
        delegate("blog", json!([leaf("/blog")])),
        service("home"),
    ]);
    assert_eq!(plain_port(&graph), [("/", "503")]);
    assert!(host(&graph, "example.com").tls.is_none());
    assert!(graph.table().switches.is_empty());
    assert!(graph.table().certificates.is_empty());
    let blog = graph.status(&name("blog")).unwrap();
    assert_eq!(
        blog.description(),
        "valid IngressRoute",
        "the delegate is not at fault"
    );

    apply(&mut graph, [tls_secret("cert")]);
    assert_eq!(tls_port(&graph).len(), 3);
    graph.delete(&id(Kind::Secret, "cert"));
    graph.commit();
    assert_eq!(plain_port(&graph), [("/", "503")]);
    assert!(graph.table().certificates.is_empty());
}

#[test]
fn a_certificate_of_another_namespace_needs_its_consent() {
    let tls = json!({"secretName": "admin/cert"});
    let spec = json!({"virtualhost": {"fqdn": "example.com", "tls": tls}, "routes": [leaf("/")]});
    for (delegated, namespaces, want) in [
        ("cert", &["default"][..], true),
        ("cert", &["*"], true),
        ("cert", &["other", "*", "another"], true),
        ("cert", &["other"], false),
        ("cert", &[], false),
        ("another", &["default"], false),
    ] {
        let mut graph = graph([
            ingress_route("root", spec.clone()),
            service("home"),
            tls_secret("admin/cert"),
            // Consent must come from beside the Secret.
            certificate_delegation("default/forged", "cert", &["*"]),
        ]);
        assert!(host(&graph, "example.com").tls.is_none());
        apply(
            &mut graph,
            [certificate_delegation("admin/consent", delegated, namespaces)],
        );
        assert_eq!(
            host(&graph, "example.com").tls.is_some(),
            want,
            "{delegated} {namespaces:?}"
        );
        graph.delete(&id(Kind::TlsCertificateDelegation, "admin/consent"));
        graph.commit();
        assert!(host(&graph, "example.com").tls.is_none());
    }
}

#[test]
fn a_renewed_certificate_changes_the_certificate_only() {
    let mut graph = graph([
        tls_root("root", "example.com", json!([leaf("/")])),
        service("home"),
        tls_secret("cert"),
    ]);
    let renewed = secret(
        "cert",
        "kubernetes.io/tls",
        &[("tls.crt", "chain2"), ("tls.key", "key2")],
    );
    let change = apply(&mut graph, [renewed]);
    let want = Change {
        certificates: [name("cert")].into(),
        derived: 1,
        ..Change::default()
    };
    assert_eq!(change, want);
}

/// The spec of a root with a tcpproxy to two services, 3 to 1.
fn tcp(tls: Value, tcpproxy: Value) -> Object {
    let virtualhost = json!({"fqdn": "example.com", "tls": tls});
    let spec = json!({"virtualhost": virtualhost, "tcpproxy": tcpproxy, "routes": [leaf("/")]});
    ingress_route("root", spec)
}

fn weighted() -> Value {
    json!({"services": [{"name": "home", "port": 8080, "weight": 3}, {"name": "away", "port": 8080, "weight": 1}]})
}

fn tcp_graph(tls: Value, tcpproxy: Value, others: Vec<Object>) -> Graph {
    let objects = [
        tcp(tls, tcpproxy),
        service("home"),
        service("away"),
        tls_secret("cert"),
    ];
    graph(objects.into_iter().chain(others))
}

fn proxied(graph: &Graph) -> Vec<(String, u32)> {
    match &host(graph, "example.com").tls {
        Some(HostTls::TerminateTcp { proxy, .. } | HostTls::Passthrough { proxy }) => shares(&proxy.clusters),
        other => panic!("not proxied: {other:?}"),
    }
}

#[test]
fn tcpproxy_honours_weights_and_leaves_the_plain_port_to_routes() {
    for tls in [json!({"secretName": "cert"}), json!({"passthrough": true})] {
        let graph = tcp_graph(tls.clone(), weighted(), vec![]);
        assert_eq!(
            proxied(&graph),
            [("home".to_owned(), 3), ("away".to_owned(), 1)],
            "{tls}"
        );
        assert_eq!(plain_port(&graph), [("/", "plain")], "{tls}");
    }
}

#[test]
fn tcpproxy_is_delegated() {
    let next = |to: &str| json!({"delegate": {"name": to}});
    let graph = tcp_graph(
        json!({"passthrough": true}),
        next("a"),
        vec![
            ingress_route("a", json!({"tcpproxy": next("b")})),
            ingress_route("b", json!({"tcpproxy": weighted()})),
        ],
    );
    assert_eq!(proxied(&graph).len(), 2);
    for delegate in ["a", "b"] {
        assert_eq!(
            graph.status(&name(delegate)).unwrap().description(),
            "valid IngressRoute"
        );
    }
}

#[test]
fn where_a_tcpproxy_leads_nowhere_connections_are_closed() {
    let next = |to: &str| json!({"delegate": {"name": to}});
    let mut graph = tcp_graph(
        json!({"passthrough": true}),
        next("a"),
        vec![delegate("a", json!([leaf("/")]))],
    );
    assert!(proxied(&graph).is_empty());
    apply(&mut graph, [ingress_route("a", json!({"tcpproxy": next("a")}))]);
    assert!(proxied(&graph).is_empty());
    apply(&mut graph, [ingress_route("a", json!({"tcpproxy": weighted()}))]);
    assert_eq!(proxied(&graph).len(), 2);
}
