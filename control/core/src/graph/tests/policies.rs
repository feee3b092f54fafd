//! What levels ask of requests: where it is met, and what a change of it changes.

mod mirrors;
mod resolved;

use super::*;
use crate::{
    jwks::KeySet,
    object::{FetchedKeys, Jwks},
    table::{HostRoute, HostTls, Policy, PolicyKey, Retry, Template, Timeout},
};
use std::{collections::BTreeSet, time::Duration};

/// A public key of type OKP.
pub(super) const ED25519: &str =
    r#"{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "hlptnh4bhxgwP0bgqy9sBo70N-xKB8iQmIrYLDJUy1c"}"#;
/// Its SubjectPublicKeyInfo.
const ED25519_SPKI: &str = "MCowBQYDK2VwAyEAhlptnh4bhxgwP0bgqy9sBo70N+xKB8iQmIrYLDJUy1c=";
pub(super) const URI: &str = "https://issuer.example.com/jwks";
const HASH: &str = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=";

pub(super) fn key_set() -> String {
    format!(r#"{{"keys": [{ED25519}]}}"#)
}

pub(super) fn users(text: &str) -> Object {
    secret(text, "Opaque", &[("auth", &format!("alice:{HASH}\n"))])
}

pub(super) fn fetched(uri: &str, fetched: u64) -> Object {
    let KeySet { keys, left_out } = crate::jwks::parse(key_set().as_bytes()).unwrap();
    Object::Jwks(Jwks {
        uri: uri.into(),
        keys: Ok(FetchedKeys {
            keys,
            left_out,
            fetched,
        }),
    })
}

/// `fields` with those of `more`.
pub(super) fn merged(mut fields: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    fields
}

/// A root of example.com, whose virtualhost has these fields, too.
pub(super) fn asking_root(virtualhost: Value, routes: Value) -> Object {
    let virtualhost = merged(json!({"fqdn": "example.com"}), virtualhost);
    ingress_route("root", json!({"virtualhost": virtualhost, "routes": routes}))
}

/// A policy that can be told by its number.
fn limit(requests: u32) -> Value {
    json!({"rateLimits": [{"requests": requests, "unit": "second"}]})
}

fn mirrors(count: usize) -> Value {
    json!({"mirror": vec![json!({"service": "home", "port": 8080}); count]})
}

fn keys(keys: &[PolicyKey]) -> Vec<&str> {
    keys.iter().map(|key| &*key.0).collect()
}

fn policy<'a>(graph: &'a Graph, key: &str) -> &'a Policy {
    let policy = graph.table().policies.get(&PolicyKey(key.into()));
    policy.unwrap_or_else(|| panic!("no policy {key:?}: {:?}", graph.table().policies.keys()))
}

fn policy_keys(graph: &Graph) -> Vec<&str> {
    graph.table().policies.keys().map(|key| &*key.0).collect()
}

fn plain<'a>(graph: &'a Graph, prefix: &str) -> (&'a Template, Vec<&'a str>) {
    match &host(graph, "example.com").http.routes[prefix] {
        HostRoute::Plain(route) => (&route.template, keys(&route.policies)),
        other => panic!("not plain: {other:?}"),
    }
}

/// Policies at each of four levels.
fn four_levels() -> Vec<Object> {
    vec![
        asking_root(
            limit(1),
            json!([
                merged(to("/", "blue"), limit(2)),
                merged(leaf("/plain"), limit(3)),
                leaf("/bare"),
            ]),
        ),
        delegate("blue", json!([merged(to("/deep", "deep"), limit(4)), leaf("/")])),
        delegate(
            "deep",
            json!([merged(leaf("/deep"), limit(5)), leaf("/deep/bare")]),
        ),
        service("home"),
    ]
}

#[test]
fn a_request_meets_the_policies_of_every_level_it_comes_through() {
    let graph = graph(four_levels());
    let host_policy = "example.com default/root virtualhost";
    let top = switch(&graph, "example.com/");
    assert_eq!(keys(&top.policies), [host_policy, "example.com default/root/"]);
    let nested = switch(&graph, "example.com default/blue/deep");
    assert_eq!(keys(&nested.policies), ["example.com default/blue/deep"]);
    let leaf = |key, branch, prefix| {
        let leaf = leaf_of(target(&graph, key, branch, prefix));
        leaf.policy.as_ref().map(|key| &*key.0)
    };
    let deep = "example.com default/blue/deep";
    assert_eq!(leaf(deep, "deep", "/deep"), Some("example.com default/deep/deep"));
    assert_eq!(leaf(deep, "deep", "/deep/bare"), None);
    assert_eq!(leaf("example.com/", "blue", "/"), None);
    assert_eq!(
        plain(&graph, "/plain").1,
        [host_policy, "example.com default/root/plain"]
    );
    assert_eq!(plain(&graph, "/bare").1, [host_policy]);
    assert_eq!(
        policy_keys(&graph),
        [
            "example.com default/blue/deep",
            "example.com default/deep/deep",
            "example.com default/root virtualhost",
            "example.com default/root/",
            "example.com default/root/plain",
        ]
    );
    let asked = |key| {
        let policy = policy(&graph, key);
        let limit = policy.rate_limits[0].local.as_ref().unwrap().requests;
        (&*policy.source, limit)
    };
    assert_eq!(asked(host_policy), ("default/root virtualhost", 1));
    assert_eq!(asked("example.com default/root/"), ("default/root route /", 2));
    assert_eq!(
        asked("example.com default/deep/deep"),
        ("default/deep route /deep", 5)
    );
}

#[test]
fn a_policy_says_where_it_stands() {
    let graph = graph(four_levels());
    let place = |key: &str| graph.policy_place(&PolicyKey(key.into()));
    let at = |text, field: &str| Some((name(text), field.to_owned()));
    assert_eq!(
        place("example.com default/root virtualhost"),
        at("root", "spec.virtualhost")
    );
    assert_eq!(
        place("example.com default/root/plain"),
        at("root", "spec.routes[1]")
    );
    assert_eq!(
        place("example.com default/blue/deep"),
        at("blue", "spec.routes[0]")
    );
    assert_eq!(place("example.com default/blue/gone"), None);
    assert_eq!(place("example.com default/gone virtualhost"), None);
    assert_eq!(place("example.com"), None);
    let key = PolicyKey("example.com default/root/a b virtualhost".into());
    assert_eq!(key.host(), "example.com");
    assert_eq!(key.level(), Some((name("root"), Some("/a b virtualhost"))));
}

#[test]
fn a_level_that_asks_nothing_has_no_policy() {
    let empty = json!({"rateLimits": [], "auth": [], "mirror": [], "headers": {"request": {"set": []}}});
    let graph = graph([
        asking_root(empty.clone(), json!([merged(leaf("/"), empty)])),
        service("home"),
    ]);
    assert!(graph.table().policies.is_empty());
    assert!(plain(&graph, "/").1.is_empty());
}

#[test]
fn what_is_delegated_on_several_hosts_has_a_policy_on_each() {
    let graph = graph([
        root("one", "one.com", json!([to("/blog", "blog")])),
        root("two", "two.com", json!([to("/blog", "blog")])),
        delegate("blog", json!([merged(leaf("/blog"), limit(1))])),
        service("home"),
    ]);
    let want = ["one.com default/blog/blog", "two.com default/blog/blog"];
    assert_eq!(policy_keys(&graph), want);
    let [one, two] = want.map(|key| policy(&graph, key));
    assert!(std::ptr::eq(one, two), "they are one and the same");
}

#[test]
fn redirects_and_what_is_unavailable_need_no_policies() {
    let bad = merged(json!({"match": "/bad"}), limit(3));
    let routes = json!([
        merged(leaf("/"), limit(1)),
        merged(to("/blog", "blog"), limit(2)),
        bad
    ]);
    let virtualhost = merged(limit(4), json!({"tls": {"secretName": "cert"}}));
    let mut graph = graph([
        asking_root(virtualhost, routes),
        delegate("blog", json!([leaf("/blog")])),
        service("home"),
        tls_secret("cert"),
    ]);
    let on_tls = [
        "example.com default/root virtualhost",
        "example.com default/root/",
        "example.com default/root/blog",
    ];
    assert_eq!(policy_keys(&graph), on_tls);
    graph.delete(&id(Kind::Secret, "cert"));
    let change = graph.commit();
    assert!(graph.table().policies.is_empty(), "nothing is served");
    assert_eq!(change.policies.len(), 3);
}

/// Timeouts and retries alone are in the proxy's own route.
#[test]
fn a_plain_route_has_the_timeout_of_its_virtualhost_and_no_filter_for_it() {
    let defaults = json!({"timeoutPolicy": {"request": "30s"}, "retryPolicy": {"count": 3}});
    let own = merged(leaf("/own"), json!({"timeoutPolicy": {"request": "5s"}}));
    let graph_of = |virtualhost: Value| {
        graph([
            asking_root(virtualhost, json!([leaf("/"), own, to("/blog", "blog")])),
            delegate("blog", json!([leaf("/blog")])),
            service("home"),
        ])
    };
    let retry = Some(Retry {
        count: 3,
        per_try_timeout: None,
    });
    let template = |seconds| Template {
        timeout: Some(Timeout::After(Duration::from_secs(seconds))),
        retry,
        ..Template::default()
    };
    let graph = graph_of(defaults.clone());
    assert_eq!(plain(&graph, "/"), (&template(30), vec![]));
    assert_eq!(plain(&graph, "/own"), (&template(5), vec![]));
    // What is below a switch has it from the filter.
    let key = "example.com default/root virtualhost";
    assert_eq!(keys(&switch(&graph, "example.com/blog").policies), [key]);
    assert_eq!(policy(&graph, key).timeout_ms, Some(30_000));
    let below = leaf_of(target(&graph, "example.com/blog", "blog", "/blog"));
    assert_eq!(below.template, Template::default());

    let graph = graph_of(merged(defaults, limit(1)));
    assert_eq!(plain(&graph, "/"), (&template(30), vec![key]));
}

#[test]
fn a_route_with_services_keeps_its_timeout_to_itself() {
    let policies = json!({"timeoutPolicy": {"request": "5s"}, "retryPolicy": {}});
    let graph = graph([
        asking_root(json!({}), json!([merged(to("/", "blue"), policies.clone())])),
        delegate("blue", json!([merged(leaf("/"), policies), leaf("/more")])),
        service("home"),
    ]);
    assert_eq!(policy_keys(&graph), ["example.com default/root/"]);
    let above = policy(&graph, "example.com default/root/");
    assert_eq!(above.timeout_ms, Some(5_000));
    assert_eq!(above.retry.unwrap().count, 1);
    let leaf = |prefix| leaf_of(target(&graph, "example.com/", "blue", prefix));
    assert_eq!(leaf("/").policy, None);
    assert_eq!(
        leaf("/").template.timeout,
        Some(Timeout::After(Duration::from_secs(5)))
    );
    assert_eq!(leaf("/more").template.timeout, None);
}

/// Rounded up: 0 is no limit.
#[test]
fn timeouts_are_milliseconds() {
    for (written, want) in [
        ("5s", Some(5_000)),
        ("1.5ms", Some(2)),
        ("1ns", Some(1)),
        ("0s", Some(0)),
        ("infinity", Some(0)),
        ("soon", Some(0)),
        ("", None),
    ] {
        let timeout = json!({"timeoutPolicy": {"request": written}});
        let graph = graph([
            asking_root(json!({}), json!([merged(to("/", "blue"), timeout)])),
            delegate("blue", json!([leaf("/")])),
            service("home"),
        ]);
        let policies = &graph.table().policies;
        let timeout = policies.values().next().map(|policy| policy.timeout_ms);
        assert_eq!(timeout.flatten(), want, "{written}");
        assert_eq!(policies.len(), usize::from(want.is_some()), "{written}");
    }
}

/// A Secret that is not there, and one that is wrong.
fn unresolvable() -> [Value; 2] {
    ["gone", "empty"].map(|secret| json!({"auth": [{"basic": {"secretName": secret}}]}))
}

#[test]
fn a_route_whose_policy_is_wrong_is_unavailable_and_the_rest_is_served() {
    for wrong in unresolvable() {
        let mut graph = graph([
            asking_root(
                json!({}),
                json!([
                    merged(leaf("/plain"), wrong.clone()),
                    merged(to("/away", "away"), wrong.clone()),
                    leaf("/"),
                    to("/blog", "blog"),
                ]),
            ),
            delegate("away", json!([leaf("/away")])),
            delegate("blog", json!([merged(leaf("/blog"), wrong), leaf("/blog/open")])),
            service("home"),
            secret("empty", "Opaque", &[]),
        ]);
        let routes = |graph: &Graph| {
            let routes = host(graph, "example.com").http.routes.iter();
            routes
                .map(|(prefix, route)| (prefix.to_string(), derive::kind(route)))
                .collect::<Vec<_>>()
        };
        let routes = routes(&graph);
        let routes: Vec<_> = routes.iter().map(|(prefix, kind)| (&**prefix, *kind)).collect();
        assert_eq!(
            routes,
            [
                ("/", "plain"),
                ("/away", "503"),
                ("/blog", "switch"),
                ("/plain", "503")
            ]
        );
        let below = derive::branch(&graph, "example.com/blog", "blog");
        let below: Vec<_> = below.iter().map(|(prefix, kind)| (&**prefix, *kind)).collect();
        assert_eq!(below, [("/blog", "503"), ("/blog/open", "leaf")]);
        assert!(graph.table().policies.is_empty());

        apply(&mut graph, [users("gone"), users("empty")]);
        assert_eq!(graph.table().policies.len(), 3);
        assert_eq!(plain(&graph, "/plain").1.len(), 1);
        graph.delete(&id(Kind::Secret, "gone"));
        graph.delete(&id(Kind::Secret, "empty"));
        graph.commit();
        assert!(
            graph.table().policies.is_empty(),
            "it is met, or nothing is served"
        );
    }
}

#[test]
fn a_virtualhost_whose_policy_is_wrong_takes_the_host_down_on_both_ports() {
    for wrong in unresolvable() {
        let virtualhost = merged(wrong, json!({"tls": {"secretName": "cert"}}));
        let open = merged(leaf("/open"), json!({"permitInsecure": true}));
        let mut graph = graph([
            asking_root(virtualhost, json!([leaf("/"), open, to("/blog", "blog")])),
            delegate("blog", json!([merged(leaf("/blog"), limit(1))])),
            service("home"),
            tls_secret("cert"),
            secret("empty", "Opaque", &[]),
        ]);
        let all = |graph: &Graph| {
            let Host { http, tls, .. } = host(graph, "example.com");
            let Some(HostTls::Terminate { vhost, .. }) = tls else {
                panic!("not terminated: {tls:?}")
            };
            [http.clone(), vhost.clone()]
        };
        for vhost in all(&graph) {
            assert_eq!(vhost.routes, [("/".into(), HostRoute::Unavailable)].into());
        }
        assert!(graph.table().switches.is_empty() && graph.table().policies.is_empty());
        let blog = graph.status(&name("blog")).unwrap();
        assert_eq!(blog.description(), "valid IngressRoute", "it is not at fault");

        apply(&mut graph, [users("gone"), users("empty")]);
        let [http, https] = all(&graph);
        assert_eq!((http.routes.len(), https.routes.len()), (3, 3));
        assert_eq!(graph.table().policies.len(), 2);
    }
}

/// A path that reaches nobody costs nothing.
#[test]
fn a_change_derives_what_reaches_it() {
    let jwt = json!({"auth": [{"jwt": {"jwks": {"uri": URI}}}]});
    let basic = json!({"auth": [{"basic": {"secretName": "users"}}]});
    let mut graph = graph([
        root("one", "one.com", json!([merged(leaf("/"), jwt)])),
        root("two", "two.com", json!([to("/", "blog")])),
        delegate("blog", json!([merged(leaf("/"), basic)])),
        service("home"),
    ]);
    assert_eq!(graph.commit(), Change::default());
    let policies = |keys: &[&str]| keys.iter().map(|key| PolicyKey((*key).into())).collect();

    let change = apply(&mut graph, [users("users")]);
    assert_eq!(change.derived, 1);
    assert_eq!(change.policies, policies(&["two.com default/blog/"]));
    let change = apply(&mut graph, [fetched(URI, 1_000_000)]);
    assert_eq!(change.derived, 1);
    assert_eq!(change.policies, policies(&["one.com default/one/"]));

    // New content changes the policy, and nothing else.
    let other = secret("users", "Opaque", &[("auth", &format!("bob:{HASH}"))]);
    let change = apply(&mut graph, [other]);
    let want = Change {
        policies: policies(&["two.com default/blog/"]),
        derived: 1,
        ..Change::default()
    };
    assert_eq!(change, want);
    // The same keys, fetched again soon, change nothing.
    assert_eq!(apply(&mut graph, [fetched(URI, 1_000_300)]), Change::default());
    // Nobody names these.
    let others = [users("other"), fetched("https://other.example.com/", 1)];
    assert_eq!(apply(&mut graph, others), Change::default());

    graph.delete(&ObjectId::jwks(URI.into()));
    let change = graph.commit();
    assert_eq!(change.policies, policies(&["one.com default/one/"]));
    assert_eq!(change.statuses, [name("one")].into());
}

/// So that control gets them, and no others.
#[test]
fn an_ingress_route_tells_the_secrets_and_uris_that_it_names() {
    let any_of = json!([
        {"basic": {"secretName": "users"}},
        {"apiKey": {"secretName": "clients", "header": "x-key"}},
        {"jwt": {"jwks": {"secretName": "keys"}}},
        {"jwt": {"jwks": {"uri": URI}}},
        {"jwt": {"jwks": {"inline": "{}"}}},
        {"basic": {}},
    ]);
    let virtualhost =
        json!({"auth": [{"basic": {"secretName": "host-users"}}, {"jwt": {"jwks": {"uri": "http://b"}}}]});
    let Object::IngressRoute(object) = asking_root(
        virtualhost,
        json!([merged(leaf("/"), json!({"auth": [{"anyOf": any_of}]}))]),
    ) else {
        panic!("no IngressRoute")
    };
    let secrets: BTreeSet<_> = object.secrets().collect();
    assert_eq!(
        secrets,
        ["users", "clients", "keys", "host-users"].map(name).into()
    );
    assert_eq!(object.jwks_uris().collect::<Vec<_>>(), ["http://b", URI]);
}

#[test]
fn services_of_policies_are_clusters() {
    let external = |service: &str, protocol: &str| json!({"auth": [{"external": {"service": {"name": service, "port": 8080}, "protocol": protocol}}]});
    for (spoken, protocol, want) in [
        (Protocol::Http1, "http", Protocol::Http1),
        (Protocol::Tls, "http", Protocol::Tls),
        (Protocol::H2c, "http", Protocol::H2c),
        (Protocol::Http1, "grpc", Protocol::H2c),
        (Protocol::H2c, "grpc", Protocol::H2c),
        (Protocol::H2, "grpc", Protocol::H2),
        (Protocol::Tls, "grpc", Protocol::H2),
    ] {
        let graph = graph([
            asking_root(external("asked", protocol), json!([leaf("/")])),
            service("home"),
            Object::Service(service_with("asked", spoken)),
            slice("asked-1", "asked", &["10.0.0.1"]),
        ]);
        let cluster = cluster_of(&graph, "asked");
        assert_eq!(cluster.protocol, want, "{spoken:?} {protocol}");
        assert_eq!(graph.table().endpoints[&cluster.name].len(), 1);
        let policy = policy(&graph, "example.com default/root virtualhost");
        let policy = serde_json::to_value(policy).unwrap();
        let named = &policy["auth"][0]["anyOf"][0]["external"]["cluster"];
        assert_eq!(*named, *cluster.name.0);
    }
}

/// Its connections are warm already.
#[test]
fn a_mirror_of_a_service_that_is_served_shares_its_cluster() {
    let graph = graph([asking_root(mirrors(1), json!([leaf("/")])), service("home")]);
    let policy = policy(&graph, "example.com default/root virtualhost");
    assert_eq!(policy.mirror[0].cluster, *cluster_of(&graph, "home").name.0);
}

#[test]
fn connections_are_not_asked_what_requests_are() {
    let virtualhost = merged(limit(1), json!({"tls": {"passthrough": true}}));
    let virtualhost = merged(json!({"fqdn": "example.com"}), virtualhost);
    let services = json!([{"name": "home", "port": 8080}]);
    let spec = json!({"virtualhost": virtualhost, "tcpproxy": {"services": services}, "routes": [leaf("/")]});
    let graph = graph([ingress_route("root", spec), service("home")]);
    match &host(&graph, "example.com").tls {
        Some(HostTls::Passthrough { proxy }) => assert!(proxy.clusters.is_empty()),
        other => panic!("not passed through: {other:?}"),
    }
    assert_eq!(plain(&graph, "/").1.len(), 1, "the plain port is served");
}
