//! Policies and switches that the graph lets through, as the filter loads them: random specs, with values of every kind
//! that is not as it should be.

use super::*;
use crate::{resource::Body, translate::Translator};
use proptest::{collection::vec, sample::subsequence, test_runner::TestRunner};
use serde_json::{Value, json};
use std::{cell::Cell, rc::Rc};
use switchyard_core::{
    Graph, Name, Object,
    graph::{Change, Settings},
    object::{Created, IngressRoute, Limits, Protocol, Secret, Service, ServicePort, UnknownFields},
    table::{PolicyKey, SwitchKey},
};
use switchyard_policy::store::Store;

const OWNERS: [&str; 4] = ["root", "blue", "green", "inner"];

const TEXTS: [&str; 28] = [
    "",
    "a",
    "A-b",
    "a b",
    " a",
    "a\nb",
    "a\u{1}",
    "a\u{7f}",
    "\u{e9}",
    "a\u{85}b",
    "a\"b",
    "a\\b",
    "a:b",
    "a;b",
    "*",
    "host",
    "x-envoy-a",
    "x-switchyard-route",
    "Content-Length",
    "X-Forwarded-For",
    "x-forwarded-proto",
    "te",
    "a\u{0}",
    "x-key",
    "authorization",
    ":path",
    "https://a.com",
    "\u{2028}",
];
const PATHS: [&str; 22] = [
    "/",
    "/a",
    "/a/",
    "//a",
    "/a/b",
    "/a?b",
    "/a#b",
    "/a b",
    "/a\\b",
    "/a%2Fb",
    "/a%5cb",
    "/a/../b",
    "/..",
    "/a/.",
    "/a;b",
    "/a\nb",
    "/a\u{1}",
    "/\u{e9}",
    "/a%00",
    "/a/%2e%2e",
    "a",
    "",
];
const NUMBERS: [i64; 18] = [
    i64::MIN,
    -1,
    0,
    1,
    32,
    33,
    60,
    100,
    101,
    128,
    129,
    256,
    429,
    600,
    65_536,
    4_294_967_295,
    4_294_967_296,
    i64::MAX,
];
const DURATIONS: [&str; 9] = [
    "",
    "1s",
    "0s",
    "1ns",
    "61s",
    "5m",
    "infinity",
    "9223372036s",
    "9999999999999h",
];
const HASHES: [&str; 12] = [
    "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
    "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g",
    "{SHA}",
    "$apr1$EPzrM14p$vEHcCxabyH8xsZ/0SKEHC/",
    "$apr1$EPzrM14pp$vEHcCxabyH8xsZ/0SKEHC/",
    "$apr1$EPzrM14p",
    "$2y$04$nGwDrl6mQrs3Dt1Ca4Wbwuf7.X4Xmxa8AyMjzgsxqll26.gxnsBnu",
    "$2y$15$nGwDrl6mQrs3Dt1Ca4Wbwuf7.X4Xmxa8AyMjzgsxqll26.gxnsBnu",
    "$2y$04$nGwDrl6mQrs3Dt1Ca4Wbwuf7",
    "$2x$04$nGwDrl6mQrs3Dt1Ca4Wbwuf7.X4Xmxa8AyMjzgsxqll26.gxnsBnu",
    "$6$abc$rounds",
    "plain",
];

/// A value that is right more often than not, so that whole specs come through.
fn mostly(good: Value, other: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![24 => Just(good), 1 => other].boxed()
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(values).prop_map(Value::from)
}

fn text(good: &str) -> BoxedStrategy<Value> {
    mostly(json!(good), one_of(&TEXTS))
}

fn path(good: &str) -> BoxedStrategy<Value> {
    mostly(json!(good), one_of(&PATHS))
}

fn number(good: i64) -> BoxedStrategy<Value> {
    mostly(
        json!(good),
        prop::sample::select(&NUMBERS[..]).prop_map(Value::from),
    )
}

fn duration(good: &str) -> BoxedStrategy<Value> {
    mostly(json!(good), one_of(&DURATIONS))
}

/// An object with some of these fields.
fn some(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let all = fields.len();
    let chosen = subsequence(fields, 0..=all);
    chosen.prop_flat_map(object).boxed()
}

/// An object with all of these fields.
fn all(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    object(fields).boxed()
}

fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    values.prop_map(move |values| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .zip(values)
            .collect::<Value>()
    })
}

fn list(item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    vec(item, 0..3).prop_map(Value::from).boxed()
}

fn when() -> BoxedStrategy<Value> {
    let header = all(vec![("name", text("x-a")), ("value", text("b"))]);
    some(vec![
        ("methods", list(text("GET"))),
        ("prefix", path("/")),
        ("headers", list(header)),
    ])
}

fn key_part() -> BoxedStrategy<Value> {
    prop_oneof![
        some(vec![
            ("ipv4PrefixLength", number(24)),
            ("ipv6PrefixLength", number(56))
        ])
        .prop_map(|lengths| json!({ "clientIP": lengths })),
        Just(json!({"path": {}})),
        text("x-a").prop_map(|name| json!({"header": name})),
        text("a").prop_map(|name| json!({"cookie": name})),
        text("sub").prop_map(|name| json!({"claim": name})),
    ]
    .boxed()
}

fn service() -> BoxedStrategy<Value> {
    Just(json!({"name": "web", "port": 80})).boxed()
}

fn rate_limit() -> BoxedStrategy<Value> {
    let entry = all(vec![("key", text("a")), ("value", text("b"))]);
    let from = all(vec![("key", text("a")), ("from", key_part())]);
    let entries = vec(prop_oneof![entry, from], 1..3).prop_map(|entries| json!([{ "entries": entries }]));
    let global = all(vec![
        ("service", service()),
        ("domain", text("shop")),
        ("descriptors", entries.boxed()),
        ("timeout", duration("50ms")),
    ]);
    let local = all(vec![
        ("match", when()),
        ("requests", number(5)),
        ("unit", text("second")),
        ("burst", number(9)),
        ("key", list(key_part())),
        ("status", number(429)),
    ]);
    prop_oneof![3 => local, 1 => all(vec![("global", global), ("match", when())])].boxed()
}

fn auth() -> BoxedStrategy<Value> {
    let basic = all(vec![
        ("secretName", Just(json!("users")).boxed()),
        ("realm", text("all")),
    ]);
    let api_key = merged(vec![
        all(vec![("secretName", Just(json!("clients")).boxed())]),
        some(vec![("header", text("x-key")), ("query", text("key"))]),
    ]);
    let jwks = prop_oneof![
        Just(json!({"secretName": "keys"})),
        keys().prop_map(|keys| json!({ "inline": keys }))
    ];
    let jwt = all(vec![
        ("issuer", text("a")),
        ("audiences", list(text("b"))),
        ("jwks", jwks.boxed()),
        ("clockSkewSeconds", number(60)),
        (
            "requiredClaims",
            list(all(vec![("claim", text("a")), ("values", list(text("b")))])),
        ),
        (
            "claimsToHeaders",
            list(all(vec![("claim", text("a")), ("header", text("x-a"))])),
        ),
    ]);
    let external = all(vec![
        ("service", service()),
        ("protocol", mostly(json!("http"), Just(json!("grpc")))),
        ("path", path("/verify")),
        ("timeout", duration("1s")),
        ("requestHeaders", list(text("x-a"))),
        ("responseHeaders", list(text("x-b"))),
    ]);
    let cidr = || {
        mostly(
            json!("10.0.0.0/8"),
            one_of(&[
                "::/0",
                "::1",
                "10.1.1.1",
                "10.0.0.1/8",
                "a",
                "::ffff:1.2.3.4",
                "fe80::1%lo",
            ]),
        )
    };
    let ip = all(vec![("allow", list(cidr())), ("deny", list(cidr()))]);
    let check = prop_oneof![
        basic.prop_map(|basic| json!({ "basic": basic })),
        api_key.prop_map(|key| json!({ "apiKey": key })),
        jwt.prop_map(|jwt| json!({ "jwt": jwt })),
        external.prop_map(|external| json!({ "external": external })),
        ip.prop_map(|ip| json!({ "ip": ip })),
    ]
    .boxed();
    prop_oneof![3 => check.clone(), 1 => vec(check, 1..3).prop_map(|checks| json!({ "anyOf": checks }))]
        .boxed()
}

fn edits() -> BoxedStrategy<Value> {
    let header = || all(vec![("name", text("x-a")), ("value", text("b"))]);
    let edits = || {
        some(vec![
            ("set", list(header())),
            ("add", list(header())),
            ("remove", list(text("x-c"))),
        ])
    };
    some(vec![("request", edits()), ("response", edits())])
}

fn cors() -> BoxedStrategy<Value> {
    let origin = mostly(
        json!("https://a.com"),
        one_of(&[
            "*",
            "null",
            "https://*.a.com:443",
            "https://a.com:8443",
            "http://[::1]",
            "https://\u{e9}.com",
            "a.com",
            "https://a.com/",
        ]),
    );
    all(vec![
        ("allowOrigins", vec(origin, 1..3).prop_map(Value::from).boxed()),
        ("allowMethods", list(text("PUT"))),
        ("allowHeaders", list(text("x-a"))),
        ("exposeHeaders", list(text("x-b"))),
        ("maxAgeSeconds", number(60)),
        ("allowCredentials", any::<bool>().prop_map(Value::from).boxed()),
    ])
}

/// The fields that every level may have.
fn level() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    let mirror = all(vec![
        ("service", Just(json!("web")).boxed()),
        ("port", Just(json!(80)).boxed()),
        ("percent", number(10)),
        ("match", when()),
    ]);
    vec![
        ("rateLimits", list(rate_limit())),
        (
            "concurrency",
            all(vec![("max", number(5)), ("key", list(key_part()))]),
        ),
        ("auth", list(auth())),
        ("mirror", list(mirror)),
        ("headers", edits()),
        ("cors", cors()),
        ("timeoutPolicy", all(vec![("request", duration("5s"))])),
        (
            "retryPolicy",
            all(vec![("count", number(2)), ("perTryTimeout", duration("1s"))]),
        ),
    ]
}

fn merged(parts: Vec<BoxedStrategy<Value>>) -> BoxedStrategy<Value> {
    let whole = |parts: Vec<Value>| {
        let fields = parts.into_iter().filter_map(|part| match part {
            Value::Object(fields) => Some(fields),
            _ => None,
        });
        fields.flatten().collect::<Value>()
    };
    parts.prop_map(whole).boxed()
}

fn leaf() -> BoxedStrategy<Value> {
    let own = all(vec![
        ("match", path("/")),
        ("services", Just(json!([{"name": "web", "port": 80}])).boxed()),
    ]);
    merged(vec![
        own,
        some(vec![("prefixRewrite", path("/c"))]),
        some(level()),
    ])
}

fn delegating(targets: &'static [&'static str]) -> BoxedStrategy<Value> {
    let delegate = some(vec![
        (
            "preview",
            all(vec![("header", text("x-a")), ("value", text("b"))]),
        ),
        ("canary", all(vec![("percent", number(10))])),
        (
            "sticky",
            all(vec![("cookie", text("a")), ("ttlSeconds", number(60))]),
        ),
    ]);
    let names = json!({"name": targets[0], "standby": &targets[1..]});
    let delegate = merged(vec![Just(names).boxed(), delegate]);
    let own = all(vec![("match", path("/")), ("delegate", delegate)]);
    merged(vec![own, some(vec![("prefixRewrite", path("/"))]), some(level())])
}

fn routes(route: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    vec(route, 1..3)
        .prop_map(|routes| json!({ "routes": routes }))
        .boxed()
}

fn specs() -> impl Strategy<Value = [Value; 4]> {
    let virtualhost = merged(vec![Just(json!({"fqdn": "bar.com"})).boxed(), some(level())]);
    let root = all(vec![("virtualhost", virtualhost)]);
    let root = merged(vec![
        root,
        routes(prop_oneof![delegating(&["blue", "green"]), leaf()].boxed()),
    ]);
    let blue = routes(prop_oneof![delegating(&["inner"]), leaf()].boxed());
    [root, blue, routes(leaf()), routes(leaf())]
}

fn users() -> impl Strategy<Value = String> {
    let name = prop_oneof![8 => Just("alice"), 1 => prop::sample::select(&TEXTS[..])];
    let hash = prop_oneof![8 => Just(HASHES[0]), 1 => prop::sample::select(&HASHES[..])];
    let more = prop::sample::select(vec!["", "# staff", "\n", "bob", ":", "alice:", " carol:plain"]);
    let more = prop_oneof![4 => Just(""), 1 => more];
    (name, hash, more).prop_map(|(name, hash, more)| format!("{name}:{hash}\n{more}\n"))
}

/// RSA's moduli of sizes that there are, with keys of other types.
fn keys() -> impl Strategy<Value = String> {
    let rsa = |bits: usize| json!({"kty": "RSA", "n": "_".repeat(bits.div_ceil(6)), "e": "AQAB"});
    let rsa =
        (prop::sample::select(vec![1024, 2046, 2048, 3072, 4096, 4104, 6144, 8192, 8400])).prop_map(rsa);
    let exponent = prop::sample::select(vec!["", "AQ", "Ag", "Aw", "AQAB", "_____w", "_____w8"]);
    let odd = exponent.prop_map(|e| json!({"kty": "RSA", "n": "_".repeat(342), "e": e}));
    let point = |size: usize| "A".repeat((size * 8).div_ceil(6));
    let ec = prop::sample::select(vec![
        ("P-256", 32),
        ("P-384", 48),
        ("P-521", 66),
        ("secp256k1", 32),
    ])
    .prop_map(move |(crv, size)| json!({"kty": "EC", "crv": crv, "x": point(size), "y": point(size)}));
    // The points of small order are among them.
    let okp = any::<[u8; 1]>().prop_map(move |[byte]| {
        let x = if byte % 2 == 0 {
            point(32)
        } else {
            format!("AQ{}", "A".repeat(41))
        };
        json!({"kty": "OKP", "crv": "Ed25519", "x": x})
    });
    let key = prop_oneof![rsa, odd, ec, okp, Just(json!({"kty": "oct", "k": "AA"}))].boxed();
    let more = some(vec![
        ("kid", text("1")),
        (
            "alg",
            mostly(json!("RS256"), one_of(&["none", "HS256", "EdDSA", "ES256", ""])),
        ),
        ("use", mostly(json!("sig"), one_of(&["enc", ""]))),
        ("key_ops", mostly(json!(["verify"]), Just(json!([])))),
    ]);
    let set = vec(merged(vec![key, more]), 1..4).prop_map(|keys| json!({ "keys": keys }).to_string());
    let odd = prop::sample::select(vec!["", "{", "[]", "{\"keys\": {}}", "{\"keys\": [1]}"]);
    prop_oneof![24 => set, 1 => odd.prop_map(str::to_owned)]
}

fn secret(name: &str, key: &str, value: String) -> Object {
    Object::Secret(Secret {
        name: Name::new("default", name),
        type_: String::new(),
        data: BTreeMap::from([(key.to_owned(), value.into_bytes())]),
        faults: Default::default(),
    })
}

fn graph(specs: [Value; 4], (users, keys, client): (String, String, String)) -> (Graph, Change) {
    let mut graph = Graph::new(Settings::default());
    graph.apply(Object::Service(Service {
        name: Name::new("default", "web"),
        ports: vec![ServicePort {
            name: String::new(),
            port: 80,
            protocol: Protocol::Http1,
        }],
        external_name: None,
        limits: Limits::default(),
    }));
    graph.apply(secret("users", "auth", users));
    graph.apply(secret("keys", "jwks", keys));
    graph.apply(secret("clients", &client, "0123456789abcdef".to_owned()));
    for (name, spec) in OWNERS.into_iter().zip(specs) {
        graph.apply(Object::from(IngressRoute {
            name: Name::new("default", name),
            generation: 1,
            created: Created::Unknown,
            spec: serde_json::from_value(spec).unwrap(),
            unknown: UnknownFields::default(),
        }));
    }
    let change = graph.commit();
    (graph, change)
}

/// The filters' configurations, by shard, loaded from the bytes that a proxy gets.
fn loaded(graph: &Graph, change: &Change) -> BTreeMap<String, (Arc<Sections>, Store)> {
    let mut translator = Translator::new(crate::translate::Settings::default());
    let code = Code::Inline(Bytes::new());
    let updates = [translator.start(), translator.update(graph.table(), change, 1)];
    let resources = updates.into_iter().flat_map(|update| update.set);
    let sections = resources.filter_map(|(_, name, resource)| match resource.body {
        Body::Sections(sections) => {
            let store = Store::new(payload(&sections, &code).0, Rc::default()).unwrap();
            Some((name.to_string(), (sections, store)))
        }
        Body::Encoded(_) => None,
    });
    sections.collect()
}

/// Every level that the graph calls valid is in the table, and has its section.
#[test]
fn the_filter_takes_all_that_the_graph_calls_valid() {
    let (policies, switches, routes, refused) = (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0));
    let client =
        prop_oneof![8 => Just("alice"), 1 => prop::sample::select(&TEXTS[..])].prop_map(str::to_owned);
    let worlds = (specs(), (users(), keys(), client));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(768));
    let outcome = runner.run(&worlds, |(specs, secrets)| {
        let (graph, change) = graph(specs, secrets);
        let loaded = loaded(&graph, &change);
        let store = |key: &str| &loaded[&Shard::of_section(key).to_string()].1;
        for (PolicyKey(key), policy) in &graph.table().policies {
            let found = store(key).policy(key);
            prop_assert!(matches!(found, Ok(Some(_))), "{key}: {found:?}: {policy:?}");
            policies.set(policies.get() + 1);
        }
        for (SwitchKey(key), switch) in &graph.table().switches {
            let found = store(key).switch(key);
            prop_assert!(matches!(found, Ok(Some(_))), "{key}: {found:?}: {switch:?}");
            switches.set(switches.get() + 1);
        }
        for (key, _) in loaded.values().flat_map(|(sections, _)| sections.iter()) {
            if let SectionKey::Route(name) = SectionKey::parse(key) {
                let found = store(key).route(name);
                prop_assert!(matches!(found, Ok(Some(_))), "{key}: {found:?}");
                routes.set(routes.get() + 1);
            }
        }
        let wrong = graph.statuses().filter(|(_, status)| !status.errors.is_empty());
        refused.set(refused.get() + wrong.count());
        Ok(())
    });
    outcome.unwrap();
    let seen = [&policies, &switches, &routes, &refused].map(Cell::get);
    assert!(
        seen.iter().all(|count| *count > 100),
        "policies, switches, routes, statuses with errors: {seen:?}"
    );
}
