//! Small random worlds: few names and few paths, so that they collide, shadow, share and go missing often.

use super::{
    policies::{URI, fetched, merged},
    *,
};
use crate::object::Jwks;
use proptest::{prelude::*, sample::select};

/// Whom delegates delegate to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Anybody, themselves included.
    Wild,
    /// Those with higher numbers: no cycles.
    Layered,
}

/// What happens to a graph.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Apply(Box<Object>),
    Delete(ObjectId),
    Commit,
}

/// Twice what makes delegation come off.
const PATHS: [&str; 12] = [
    "/", "/", "/", "/x", "/x", "/x", "/x/", "/x/y", "/x/y/z", "/y", "/xy", "x",
];
const REWRITES: [&str; 4] = ["/", "/x", "/y", "/x/y"];
const HOSTS: [&str; 6] = ["one.com", "One.com", "two.com", "three.com", "four.com", "*.com"];
const NAMESPACES: [&str; 2] = ["a", "b"];
const SERVICES: [&str; 3] = ["home", "away", "gone"];
const ROOTS: [&str; 3] = ["root1", "root2", "root3"];
const DELEGATES: [&str; 5] = ["d1", "d2", "d3", "d4", "d5"];

/// Host names that requests ask for.
pub(super) const FQDNS: [&str; 4] = ["one.com", "two.com", "three.com", "four.com"];

/// Paths that requests ask for.
pub(super) const REQUESTS: [&str; 12] = [
    "/",
    "/x",
    "/x/y",
    "/x/y/z",
    "/x/y/z/deep",
    "/xy",
    "/xyz",
    "/y",
    "/y/x",
    "/y/x/y",
    "/z",
    "/x/z",
];

fn service_use() -> impl Strategy<Value = Value> {
    let weight = prop_oneof![20 => Just(None), 10 => (0..3i64).prop_map(Some), 1 => Just(Some(-1))];
    let strategy = select(&["", "Random", "Cookie"][..]);
    let name = prop_oneof![20 => select(&SERVICES[..2]), 1 => Just("gone")];
    let port = prop_oneof![20 => Just(8080), 1 => Just(8081)];
    (name, port, weight, strategy).prop_map(
        |(name, port, weight, strategy)| {
            json!({"name": name, "port": port, "weight": weight, "strategy": strategy})
        },
    )
}

/// Delegates to one of `targets`, or now and then to a root or to nobody.
fn delegate_to(targets: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let target = move || prop_oneof![20 => select(targets), 1 => select(&ROOTS[..]), 1 => Just("gone")];
    let namespace = prop_oneof![3 => Just(""), 1 => select(&NAMESPACES[..])];
    let standby = prop::collection::vec(target(), 0..3);
    let percent = prop_oneof![4 => 0..=100i64, 1 => Just(101)];
    let branch = || prop_oneof![2 => Just(""), 1 => select(targets)];
    let preview = prop::option::weighted(0.2, branch());
    let choices = (standby, preview, prop::option::weighted(0.2, (percent, branch())));
    (target(), namespace, choices)
        .prop_map(|(name, namespace, (standby, preview, canary))| {
            let mut delegate = json!({"name": name, "namespace": namespace, "standby": standby});
            if let Some(branch) = preview {
                delegate["preview"] = json!({"header": "x-preview", "value": "1", "branch": branch});
            }
            if let Some((percent, branch)) = canary {
                delegate["canary"] = json!({"percent": percent, "branch": branch});
            }
            delegate
        })
        .boxed()
}

/// What a virtualhost or a route asks: mostly nothing. Layered worlds never have more mirrors in a chain than there is
/// room for.
fn policies(shape: Shape) -> impl Strategy<Value = Value> {
    let mirrors = match shape {
        Shape::Wild => 1..5usize,
        Shape::Layered => 1..2,
    };
    let service = prop_oneof![10 => select(&SERVICES[..2]), 1 => Just("gone")];
    let mirror = (service, mirrors).prop_map(|(service, count)| {
        let mirror = json!({"service": service, "port": 8080});
        json!({"mirror": vec![mirror; count]})
    });
    let limit =
        (1..3u32).prop_map(|requests| json!({"rateLimits": [{"requests": requests, "unit": "second"}]}));
    prop_oneof![
        16 => Just(json!({})),
        2 => limit,
        2 => Just(json!({"auth": [{"apiKey": {"secretName": "clients", "header": "x-key"}}]})),
        1 => Just(json!({"auth": [{"jwt": {"jwks": {"uri": URI}}}]})),
        2 => mirror,
        1 => (0..2i64).prop_map(|max| json!({"concurrency": {"max": max}})),
    ]
}

fn route(shape: Shape, targets: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let services = || prop::collection::vec(service_use(), 1..3);
    let action = prop_oneof![
        6 => services().prop_map(|services| json!({"services": services})),
        6 => delegate_to(targets).prop_map(|delegate| json!({"delegate": delegate})),
        1 => (services(), delegate_to(targets)).prop_map(|(s, d)| json!({"services": s, "delegate": d})),
        1 => Just(json!({})),
    ];
    let rewrite = prop::option::weighted(0.3, select(&REWRITES[..]));
    let timeout = prop::option::weighted(0.2, select(&["1s", "2s", "infinity"][..]));
    let action = (action, policies(shape)).prop_map(|(action, policies)| merged(action, policies));
    (select(&PATHS[..]), action, rewrite, any::<bool>(), timeout)
        .prop_map(|(match_, mut route, rewrite, permit_insecure, timeout)| {
            route["match"] = json!(match_);
            route["permitInsecure"] = json!(permit_insecure);
            if let Some(rewrite) = rewrite {
                route["prefixRewrite"] = json!(rewrite);
            }
            if let Some(timeout) = timeout {
                route["timeoutPolicy"] = json!({"request": timeout});
            }
            route
        })
        .boxed()
}

fn virtualhost(shape: Shape, fqdns: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let tls = prop_oneof![
        4 => Just(None),
        4 => Just(Some(json!({"secretName": "cert"}))),
        1 => Just(Some(json!({"secretName": "a/cert"}))),
        1 => Just(Some(json!({"passthrough": true}))),
    ];
    let timeout = prop::option::weighted(0.2, select(&["3s", "infinity"][..]));
    (select(fqdns), tls, policies(shape).boxed(), timeout).prop_map(|(fqdn, tls, policies, timeout)| {
        let mut virtualhost = merged(json!({"fqdn": fqdn}), policies);
        if let Some(tls) = tls {
            virtualhost["tls"] = tls;
        }
        if let Some(timeout) = timeout {
            virtualhost["timeoutPolicy"] = json!({"request": timeout});
        }
        virtualhost
    })
}

fn tcpproxy(targets: &'static [&'static str]) -> impl Strategy<Value = Option<Value>> {
    let tcpproxy = prop_oneof![
        service_use().prop_map(|service| json!({"services": [service]})),
        delegate_to(targets).prop_map(|delegate| json!({"delegate": delegate})),
    ];
    prop::option::weighted(0.15, tcpproxy)
}

/// A spec without `virtualhost`.
///
/// Strategies are large where they are not boxed, and lie on the stack.
fn spec(shape: Shape, targets: &'static [&'static str]) -> BoxedStrategy<Value> {
    let routes = prop::collection::vec(route(shape, targets).boxed(), 0..5);
    let whole = |(routes, tcpproxy): (Vec<Value>, Option<Value>)| match tcpproxy {
        Some(tcpproxy) => json!({"routes": routes, "tcpproxy": tcpproxy}),
        None => json!({"routes": routes}),
    };
    (routes, tcpproxy(targets).boxed()).prop_map(whole).boxed()
}

fn root_of(
    shape: Shape,
    names: &'static [&'static str],
    fqdns: &'static [&'static str],
) -> impl Strategy<Value = Object> {
    let created = prop_oneof![Just(Created::Unknown), (1..4i64).prop_map(Created::At)];
    let parts = (
        select(names),
        virtualhost(shape, fqdns),
        spec(shape, &DELEGATES),
        created,
    );
    parts.prop_map(|(name, virtualhost, mut spec, created)| {
        spec["virtualhost"] = virtualhost;
        match ingress_route(name, spec) {
            Object::IngressRoute(root) => Object::from(IngressRoute { created, ..*root }),
            other => other,
        }
    })
}

fn any_root(shape: Shape) -> BoxedStrategy<Object> {
    root_of(shape, &["a/root1", "a/root2", "b/root1", "b/root3"], &HOSTS).boxed()
}

fn delegate_of(shape: Shape, namespace: &'static str, index: usize) -> impl Strategy<Value = Object> {
    let targets = match shape {
        Shape::Wild => &DELEGATES[..],
        Shape::Layered if index + 1 == DELEGATES.len() => &["gone"],
        Shape::Layered => &DELEGATES[index + 1..],
    };
    spec(shape, targets)
        .prop_map(move |spec| ingress_route(&format!("{namespace}/{}", DELEGATES[index]), spec))
}

fn any_delegate(shape: Shape) -> impl Strategy<Value = Object> {
    let place = (select(&NAMESPACES[..]), 0..DELEGATES.len());
    place.prop_flat_map(move |(namespace, index)| delegate_of(shape, namespace, index))
}

fn any_service() -> impl Strategy<Value = Object> {
    let external = prop::option::weighted(0.1, Just("upstream.net".to_owned()));
    (
        select(&NAMESPACES[..]),
        select(&SERVICES[..2]),
        external,
        any::<bool>(),
    )
        .prop_map(|(namespace, service, external_name, named)| {
            let mut service = service_with(&format!("{namespace}/{service}"), Protocol::Http1);
            service.external_name = external_name;
            service.ports[0].name = if named { "http" } else { "web" }.to_owned();
            Object::Service(service)
        })
}

fn any_endpoints() -> impl Strategy<Value = Object> {
    let place = || (select(&NAMESPACES[..]), select(&SERVICES[..]));
    let addresses = || prop::sample::subsequence(vec!["10.0.0.1", "10.0.0.2", "169.254.0.1"], 0..3);
    let names = Just(vec!["one.net", "two.net"]);
    let slice = (
        place(),
        1..3,
        prop_oneof![3 => addresses().boxed(), 1 => names.boxed()],
    )
        .prop_map(|((namespace, service), number, addresses)| {
            // Which Service a slice belongs to may change.
            slice(&format!("{namespace}/slice-{number}"), service, &addresses)
        });
    let endpoints = (place(), addresses()).prop_map(|((namespace, service), addresses)| {
        endpoints(&format!("{namespace}/{service}"), &addresses)
    });
    prop_oneof![3 => slice, 1 => endpoints]
}

fn any_dns_name() -> impl Strategy<Value = Object> {
    let addresses = prop_oneof![
        Just(Err("no such host".to_owned())),
        Just(Ok(["127.0.0.1".parse().unwrap()].into())),
        Just(Ok(
            ["10.0.0.9".parse().unwrap(), "127.0.0.1".parse().unwrap()].into()
        )),
    ];
    (select(&["upstream.net", "one.net", "two.net"][..]), addresses).prop_map(|(name, addresses)| {
        Object::DnsName(crate::object::DnsName {
            name: name.into(),
            addresses,
        })
    })
}

fn any_secret() -> impl Strategy<Value = Object> {
    (select(&NAMESPACES[..]), select(&["", "chain", "chain2"][..])).prop_map(|(namespace, chain)| {
        let data = [("tls.crt", chain), ("tls.key", "key")];
        secret(&format!("{namespace}/cert"), "kubernetes.io/tls", &data)
    })
}

/// API keys, of which there may be none.
fn clients() -> impl Strategy<Value = Object> {
    (select(&NAMESPACES[..]), select(&["", "secret1", "secret2"][..]))
        .prop_map(|(namespace, key)| secret(&format!("{namespace}/clients"), "Opaque", &[("alice", key)]))
}

fn any_jwks() -> impl Strategy<Value = Object> {
    let failed = Object::Jwks(Jwks {
        uri: URI.into(),
        keys: Err("connection refused".to_owned()),
    });
    prop_oneof![
        2 => (0..3u64).prop_map(|day| fetched(URI, day * 86_400)),
        1 => Just(failed),
    ]
}

fn any_certificate_delegation() -> impl Strategy<Value = Object> {
    let targets = prop::sample::subsequence(vec!["a", "b", "*"], 0..3);
    (select(&NAMESPACES[..]), targets).prop_map(|(namespace, targets)| {
        certificate_delegation(&format!("{namespace}/consent"), "cert", &targets)
    })
}

fn any_object(shape: Shape) -> impl Strategy<Value = Object> {
    prop_oneof![
        5 => any_root(shape).boxed(),
        12 => any_delegate(shape).boxed(),
        4 => any_service().boxed(),
        3 => any_endpoints().boxed(),
        2 => any_dns_name().boxed(),
        2 => any_secret().boxed(),
        1 => clients().boxed(),
        1 => any_jwks().boxed(),
        1 => any_certificate_delegation().boxed(),
    ]
}

/// Objects with distinct names: two roots and all delegates, services and certificates, and then what may come on top
/// or in place of these.
pub(super) fn objects(shape: Shape) -> impl Strategy<Value = Vec<Object>> {
    let roots = (
        root_of(shape, &["a/root1"], &["one.com"]),
        root_of(shape, &["b/root2"], &["two.com"]),
    );
    let places = NAMESPACES
        .iter()
        .flat_map(|namespace| (0..DELEGATES.len()).map(move |index| (*namespace, index)));
    let delegates: Vec<_> = places
        .map(|(namespace, index)| delegate_of(shape, namespace, index))
        .collect();
    let extra = prop::collection::vec(any_object(shape), 0..10);
    (roots, delegates, extra).prop_map(|((one, two), delegates, extra)| {
        let usual = NAMESPACES.iter().flat_map(|namespace| {
            let named = |service| super::service(&format!("{namespace}/{service}"));
            [
                named("home"),
                named("away"),
                tls_secret(&format!("{namespace}/cert")),
                secret(&format!("{namespace}/clients"), "Opaque", &[("alice", "secret1")]),
            ]
        });
        let all = usual
            .chain([fetched(URI, 0), one, two])
            .chain(delegates)
            .chain(extra);
        let all: BTreeMap<_, _> = all.map(|object| (object.id(), object)).collect();
        all.into_values().collect()
    })
}

/// A life of objects that come, change and go.
pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => any_object(Shape::Wild).prop_map(|object| Event::Apply(Box::new(object))).boxed(),
        3 => any_object(Shape::Wild).prop_map(|object| Event::Delete(object.id())).boxed(),
        2 => Just(Event::Commit),
    ];
    prop::collection::vec(event, 1..60)
}
