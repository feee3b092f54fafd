//! What is wrong with policies.

use super::{
    super::policies::{ED25519, URI, asking_root, key_set, merged, users},
    *,
};
use crate::object::Jwks;

/// A policy of the route `/shop`, the field of it that is wrong, and what is said.
type Wrong = (Value, &'static str, String);

/// Everything that the policies below name, as far as it is there.
fn world() -> Vec<Object> {
    let htpasswd = |name, text: &str| secret(name, "Opaque", &[("auth", text)]);
    let clients = |name, keys: &[(&str, &str)]| secret(name, "Opaque", keys);
    let jwks = |name, text: &str| secret(name, "Opaque", &[("jwks", text)]);
    let private = format!(
        r#"{{"keys": [{}]}}"#,
        ED25519.replace(r#""kid""#, r#""d": "AA", "kid""#)
    );
    let mut binary = secret("binary", "Opaque", &[("auth", "x")]);
    if let Object::Secret(secret) = &mut binary {
        secret.data.insert("auth".to_owned(), vec![0xff]);
    }
    vec![
        service("home"),
        users("users"),
        secret("empty", "Opaque", &[]),
        binary,
        htpasswd("no-users", "# nobody\n"),
        htpasswd("no-hash", "alice\n"),
        htpasswd("plain", "# staff\nalice:hunter2\n"),
        htpasswd("blank-user", ":{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
        htpasswd(
            "twice",
            "alice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nalice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        ),
        clients("clients", &[("alice", "hunter2")]),
        clients("blank-key", &[("alice", "\n")]),
        clients("odd-key", &[("alice", "hunter\u{e9}")]),
        clients("odd-client", &[("a\nb", "hunter2")]),
        clients("shared-key", &[("alice", "hunter2"), ("bob", "hunter2\n")]),
        jwks("keys", &key_set()),
        jwks("no-keys", "{}"),
        jwks("private-key", &private),
        Object::Jwks(Jwks {
            uri: URI.into(),
            keys: Err("connection refused".to_owned()),
        }),
    ]
}

fn limit(more: Value) -> Value {
    json!({"rateLimits": [merged(json!({"requests": 1, "unit": "second"}), more)]})
}

fn global(more: Value) -> Value {
    let entries = json!([{"key": "a", "value": "b"}]);
    let global = json!({
        "service": {"name": "home", "port": 8080}, "domain": "shop", "descriptors": [{"entries": entries}],
    });
    json!({"rateLimits": [{"global": merged(global, more)}]})
}

fn auth(check: Value) -> Value {
    json!({"auth": [{"ip": {"allow": ["10.0.0.0/8"]}}, check]})
}

fn api_key(more: Value) -> Value {
    auth(json!({"apiKey": merged(json!({"secretName": "clients", "header": "x-key"}), more)}))
}

fn jwt(more: Value) -> Value {
    auth(json!({"jwt": merged(json!({"jwks": {"secretName": "keys"}}), more)}))
}

fn external(more: Value) -> Value {
    auth(json!({"external": merged(json!({"service": {"name": "home", "port": 8080}}), more)}))
}

fn check_wrong(cases: Vec<Wrong>) {
    for (fields, path, message) in cases {
        let graph = graph(world().into_iter().chain([asking_root(
            json!({}),
            json!([leaf("/"), merged(leaf("/shop"), fields.clone())]),
        )]));
        let status = graph.status(&name("root")).unwrap();
        let want = StatusError {
            field: format!("spec.routes[1].{path}"),
            message: format!("route \"/shop\": {path}: {message}"),
        };
        assert_eq!(status.errors, [want], "{fields}");
        assert!(
            !status.description().contains("hunter"),
            "{}",
            status.description()
        );
        assert!(graph.table().policies.is_empty(), "{fields}");

        // The same of a virtualhost.
        let root = asking_root(fields.clone(), json!([leaf("/shop")]));
        let graph = super::graph(world().into_iter().chain([root]));
        let want = StatusError {
            field: format!("spec.virtualhost.{path}"),
            message: format!("virtualhost: {path}: {message}"),
        };
        // All prefixes lie in it.
        let want = Some(want).filter(|_| !message.contains("the paths of this route"));
        assert!(
            graph.status(&name("root")).unwrap().errors.iter().eq(&want),
            "{fields}"
        );
    }
}

fn wrong(fields: Value, path: &'static str, message: &str) -> Wrong {
    (fields, path, message.to_owned())
}

#[test]
fn rate_limit_texts() {
    let exactly = "must have exactly one of requests with unit, and global";
    let count = "must be in the range 1-4294967295";
    let parts = "must have exactly one of clientIP, header, cookie, claim, path and method";
    let global_limit = || global(json!({}))["rateLimits"][0].clone();
    let beside = |more: Value| json!({"rateLimits": [merged(global_limit(), more)]});
    let beside_text = "burst and key are for limits with requests and unit: leave them out";
    check_wrong(vec![
        wrong(json!({"rateLimits": [{}]}), "rateLimits[0]", exactly),
        wrong(
            json!({"rateLimits": [{"unit": "second"}]}),
            "rateLimits[0]",
            exactly,
        ),
        wrong(beside(json!({"unit": "second"})), "rateLimits[0]", exactly),
        wrong(beside(json!({"requests": 1})), "rateLimits[0]", exactly),
        wrong(beside(json!({"burst": 1})), "rateLimits[0]", beside_text),
        wrong(
            beside(json!({"key": [{"path": {}}]})),
            "rateLimits[0]",
            beside_text,
        ),
        wrong(
            json!({"rateLimits": [{"requests": 1}]}),
            "rateLimits[0].unit",
            "must not be empty",
        ),
        wrong(
            limit(json!({"unit": "week"})),
            "rateLimits[0].unit",
            "\"week\" must be one of second, minute, hour and day",
        ),
        wrong(limit(json!({"requests": 0})), "rateLimits[0].requests", count),
        wrong(
            limit(json!({"requests": 4_294_967_296u64})),
            "rateLimits[0].requests",
            count,
        ),
        wrong(limit(json!({"burst": 0})), "rateLimits[0].burst", count),
        wrong(
            limit(json!({"status": 200})),
            "rateLimits[0].status",
            "must be in the range 400-599",
        ),
        wrong(limit(json!({"key": [{}]})), "rateLimits[0].key[0]", parts),
        wrong(
            limit(json!({"key": [{"path": {}}, {"path": {}, "header": "x"}]})),
            "rateLimits[0].key[1]",
            parts,
        ),
        wrong(
            limit(json!({"key": [{"header": "a b"}]})),
            "rateLimits[0].key[0].header",
            "\"a b\" is not a header name",
        ),
        wrong(
            limit(json!({"key": [{"header": "X-Switchyard-User"}]})),
            "rateLimits[0].key[0].header",
            "header \"X-Switchyard-User\" is one that requests never have here: match and key cannot go by it",
        ),
        wrong(
            limit(json!({"key": [{"cookie": "a b"}]})),
            "rateLimits[0].key[0].cookie",
            "\"a b\" is not a cookie name",
        ),
        wrong(
            limit(json!({"key": [{"claim": ""}]})),
            "rateLimits[0].key[0].claim",
            "must not be empty",
        ),
        wrong(
            limit(json!({"key": vec![json!({"path": {}}); 9]})),
            "rateLimits[0].key",
            "must have 8 entries at most",
        ),
        wrong(
            json!({"rateLimits": vec![json!({"requests": 1, "unit": "day"}); 17]}),
            "rateLimits",
            "must have 16 entries at most",
        ),
        wrong(json!({"concurrency": {"max": 0}}), "concurrency.max", count),
        wrong(
            json!({"concurrency": {"max": 1, "key": [{}]}}),
            "concurrency.key[0]",
            parts,
        ),
    ]);
}

#[test]
fn match_texts() {
    let matched = |when: Value| limit(json!({"match": when}));
    let printable = "must be printable, without spaces at its ends";
    check_wrong(vec![
        wrong(
            matched(json!({"methods": ["GET", "a b"]})),
            "rateLimits[0].match.methods[1]",
            "\"a b\" is not a method",
        ),
        wrong(
            matched(json!({"prefix": "shop"})),
            "rateLimits[0].match.prefix",
            "\"shop\" must start with \"/\"",
        ),
        wrong(
            matched(json!({"prefix": "/cart"})),
            "rateLimits[0].match.prefix",
            "no request has the prefix \"/cart\": the paths of this route begin with \"/shop\"",
        ),
        wrong(
            matched(json!({"headers": [{"name": ""}]})),
            "rateLimits[0].match.headers[0].name",
            "\"\" is not a header name",
        ),
        wrong(
            matched(json!({"headers": [{"name": "Host", "value": "a.com"}]})),
            "rateLimits[0].match.headers[0].name",
            "header \"Host\" is one that requests never have here: match and key cannot go by it",
        ),
        wrong(
            matched(json!({"headers": [{"name": "x", "value": " a"}]})),
            "rateLimits[0].match.headers[0].value",
            printable,
        ),
    ]);
}

#[test]
fn global_rate_limit_texts() {
    let service = |service: Value| global(json!({"service": service}));
    let entries = |entries: Value| global(json!({"descriptors": [{"entries": entries}]}));
    check_wrong(vec![
        wrong(
            service(json!({"name": "gone", "port": 8080})),
            "rateLimits[0].global.service.name",
            "Service default/gone not found",
        ),
        wrong(
            service(json!({"name": "", "port": 8080})),
            "rateLimits[0].global.service.name",
            "must not be empty",
        ),
        wrong(
            service(json!({"name": "home", "port": 81})),
            "rateLimits[0].global.service.port",
            "Service default/home has no port 81",
        ),
        wrong(
            service(json!({"name": "home", "port": 65536})),
            "rateLimits[0].global.service.port",
            "must be in the range 1-65535",
        ),
        wrong(
            global(json!({"domain": ""})),
            "rateLimits[0].global.domain",
            "must not be empty",
        ),
        wrong(
            global(json!({"descriptors": []})),
            "rateLimits[0].global.descriptors",
            "must not be empty",
        ),
        wrong(
            entries(json!([])),
            "rateLimits[0].global.descriptors[0].entries",
            "must not be empty",
        ),
        wrong(
            entries(json!([{"value": "a"}])),
            "rateLimits[0].global.descriptors[0].entries[0].key",
            "must not be empty",
        ),
        wrong(
            entries(json!([{"key": "a"}])),
            "rateLimits[0].global.descriptors[0].entries[0]",
            "must have exactly one of value and from",
        ),
        wrong(
            entries(json!([{"key": "a", "value": "a\nb"}])),
            "rateLimits[0].global.descriptors[0].entries[0].value",
            "must be printable, without spaces at its ends",
        ),
        wrong(
            global(json!({"timeout": "2m"})),
            "rateLimits[0].global.timeout",
            "\"2m\" must be a duration from 1ms to 1m, such as 200ms",
        ),
        wrong(
            global(json!({"onFailure": "pass"})),
            "rateLimits[0].global.onFailure",
            "\"pass\" must be one of deny and allow",
        ),
    ]);
}

#[test]
fn auth_texts() {
    let exactly = "must have exactly one of anyOf, basic, apiKey, jwt, external and ip";
    let any_of = |checks: Value| auth(json!({"anyOf": checks}));
    let checks = "must have exactly one of basic, apiKey, jwt, external and ip";
    let ip = json!({"allow": ["10.0.0.0/8"]});
    check_wrong(vec![
        wrong(auth(json!({})), "auth[1]", exactly),
        wrong(auth(json!({"anyOf": []})), "auth[1]", exactly),
        wrong(
            auth(json!({"ip": ip, "basic": {"secretName": "users"}})),
            "auth[1]",
            exactly,
        ),
        wrong(auth(json!({"anyOf": [{"ip": ip}], "ip": ip})), "auth[1]", exactly),
        wrong(any_of(json!([{"ip": ip}, {}])), "auth[1].anyOf[1]", checks),
        wrong(
            any_of(json!(vec![json!({"ip": ip}); 9])),
            "auth[1].anyOf",
            "must have 8 entries at most",
        ),
        wrong(auth(json!({"ip": {}})), "auth[1].ip", "must have allow or deny"),
        wrong(
            auth(json!({"ip": {"allow": ["10.0.0.0/8", "localhost"]}})),
            "auth[1].ip.allow[1]",
            "\"localhost\" is neither an IP address nor a CIDR such as 10.0.0.0/8",
        ),
        wrong(
            auth(json!({"ip": {"deny": ["10.0.0.0/33"]}})),
            "auth[1].ip.deny[0]",
            "\"10.0.0.0/33\" is neither an IP address nor a CIDR such as 10.0.0.0/8",
        ),
        wrong(
            auth(json!({"ip": {"allow": ["10.0.0.1/8"]}})),
            "auth[1].ip.allow[0]",
            "\"10.0.0.1/8\" has bits beyond its prefix: write 10.0.0.0/8, or the address alone",
        ),
        wrong(
            auth(json!({"ip": {"deny": ["::ffff:10.0.0.1"]}})),
            "auth[1].ip.deny[0]",
            "\"::ffff:10.0.0.1\" is an IPv4 address in IPv6 clothes: write it as IPv4",
        ),
    ]);
}

#[test]
fn basic_texts() {
    let basic = |secret: &str| auth(json!({"basic": {"secretName": secret}}));
    let at = "auth[1].basic.secretName";
    check_wrong(vec![
        wrong(basic(""), at, "must not be empty"),
        wrong(basic("gone"), at, "Secret default/gone not found"),
        wrong(basic("other/users"), at, "Secret default/other/users not found"),
        wrong(basic("empty"), at, "Secret default/empty: empty \"auth\" key"),
        wrong(
            basic("binary"),
            at,
            "Secret default/binary: key \"auth\" is not UTF-8",
        ),
        wrong(
            basic("no-users"),
            at,
            "Secret default/no-users: key \"auth\" has no users",
        ),
        wrong(
            basic("no-hash"),
            at,
            "Secret default/no-hash: key \"auth\", line 1: must be name:hash",
        ),
        wrong(
            basic("plain"),
            at,
            "Secret default/plain: key \"auth\", line 2: must be a hash of bcrypt, apr1 or SHA",
        ),
        wrong(
            basic("blank-user"),
            at,
            "Secret default/blank-user: key \"auth\", line 1: the name must be printable, and not empty",
        ),
        wrong(
            basic("twice"),
            at,
            "Secret default/twice: key \"auth\", line 2: this user stands in an earlier line, too",
        ),
        wrong(
            auth(json!({"basic": {"secretName": "users", "realm": "the \"shop\""}})),
            "auth[1].basic.realm",
            "\"the \\\"shop\\\"\" must be printable, without quotes and backslashes",
        ),
    ]);
}

#[test]
fn api_key_texts() {
    let of_secret = |secret: &str| api_key(json!({"secretName": secret}));
    let at = "auth[1].apiKey.secretName";
    check_wrong(vec![
        wrong(of_secret("gone"), at, "Secret default/gone not found"),
        wrong(of_secret("empty"), at, "Secret default/empty has no keys"),
        wrong(
            of_secret("blank-key"),
            at,
            "Secret default/blank-key: client \"alice\": the key is empty",
        ),
        wrong(
            of_secret("odd-key"),
            at,
            "Secret default/odd-key: client \"alice\": the key must be printable ASCII",
        ),
        wrong(
            of_secret("odd-client"),
            at,
            "Secret default/odd-client: client \"a\\nb\": the name must be printable",
        ),
        wrong(
            of_secret("shared-key"),
            at,
            "Secret default/shared-key: clients \"alice\" and \"bob\" have the same key",
        ),
        wrong(
            api_key(json!({"header": ""})),
            "auth[1].apiKey",
            "must have header or query",
        ),
        wrong(
            api_key(json!({"header": "host"})),
            "auth[1].apiKey.header",
            "header \"host\" belongs to the proxy or to the connection: no policy may change it",
        ),
        wrong(
            api_key(json!({"query": "a\tb"})),
            "auth[1].apiKey.query",
            "must be printable, without spaces at its ends",
        ),
    ]);
}

#[test]
fn jwt_texts() {
    let jwks = |jwks: Value| jwt(json!({"jwks": jwks}));
    let of_secret = |secret: &str| jwks(json!({"secretName": secret}));
    let exactly = "must have exactly one of secretName, inline and uri";
    let at = "auth[1].jwt.jwks.secretName";
    check_wrong(vec![
        wrong(jwks(json!({})), "auth[1].jwt.jwks", exactly),
        wrong(
            jwks(json!({"secretName": "keys", "uri": URI})),
            "auth[1].jwt.jwks",
            exactly,
        ),
        wrong(of_secret("gone"), at, "Secret default/gone not found"),
        wrong(of_secret("empty"), at, "Secret default/empty: empty \"jwks\" key"),
        wrong(
            of_secret("no-keys"),
            at,
            "Secret default/no-keys: key \"jwks\": this is not a set of keys: it must be a JSON object with a list \
             \"keys\"",
        ),
        wrong(
            of_secret("private-key"),
            at,
            "Secret default/private-key: key \"jwks\": keys[0] (kid \"a\") has the private member \"d\", by which \
             whoever reads it can sign: make a new key, and put its public members here",
        ),
        wrong(
            jwks(json!({"inline": "{\"keys\": []}"})),
            "auth[1].jwt.jwks.inline",
            "no key can be used: there is none",
        ),
        wrong(
            jwks(json!({"uri": "ftp://a"})),
            "auth[1].jwt.jwks.uri",
            "\"ftp://a\" is not a URI of http or https",
        ),
        wrong(
            jwks(json!({"uri": "https:///a"})),
            "auth[1].jwt.jwks.uri",
            "\"https:///a\" is not a URI of http or https",
        ),
        wrong(
            jwks(json!({"uri": URI})),
            "auth[1].jwt.jwks.uri",
            "no keys from https://issuer.example.com/jwks: connection refused",
        ),
        wrong(
            jwks(json!({"uri": "https://new.example.com/"})),
            "auth[1].jwt.jwks.uri",
            "no keys from https://new.example.com/: they have not been fetched yet",
        ),
        wrong(
            jwt(json!({"clockSkewSeconds": 3601})),
            "auth[1].jwt.clockSkewSeconds",
            "must be in the range 0-3600",
        ),
        wrong(
            jwt(json!({"audiences": [""]})),
            "auth[1].jwt.audiences[0]",
            "must not be empty",
        ),
        wrong(
            jwt(json!({"requiredClaims": [{"values": ["a"]}]})),
            "auth[1].jwt.requiredClaims[0].claim",
            "must not be empty",
        ),
        wrong(
            jwt(json!({"requiredClaims": [{"claim": "a", "values": vec!["a"; 33]}]})),
            "auth[1].jwt.requiredClaims[0].values",
            "must have 32 entries at most",
        ),
        wrong(
            jwt(json!({"claimsToHeaders": [{"claim": "a", "header": "x-switchyard-user"}]})),
            "auth[1].jwt.claimsToHeaders[0].header",
            "header \"x-switchyard-user\" belongs to the proxy or to the connection: no policy may change it",
        ),
    ]);
}

#[test]
fn external_texts() {
    let path = |given: &'static str| {
        let text = "must be a plain path: it starts with \"/\", and has no .., ?, #, encoded slash or space";
        let external = external(json!({"path": given}));
        (external, "auth[1].external.path", format!("{given:?} {text}"))
    };
    let reserved = |name: &str| {
        format!("header {name:?} belongs to the proxy or to the connection: no policy may change it")
    };
    check_wrong(vec![
        wrong(
            external(json!({"service": {"name": "gone", "port": 1}})),
            "auth[1].external.service.name",
            "Service default/gone not found",
        ),
        wrong(
            external(json!({"protocol": "https"})),
            "auth[1].external.protocol",
            "\"https\" must be one of http and grpc",
        ),
        path("verify"),
        path("/verify?a=b"),
        path("/../verify"),
        path("/a%2Fb"),
        path("/a b"),
        wrong(
            external(json!({"timeout": "0s"})),
            "auth[1].external.timeout",
            "\"0s\" must be a duration from 1ms to 1m, such as 200ms",
        ),
        wrong(
            external(json!({"onFailure": "open"})),
            "auth[1].external.onFailure",
            "\"open\" must be one of deny and allow",
        ),
        (
            external(json!({"requestHeaders": ["cookie", "Content-Length"]})),
            "auth[1].external.requestHeaders[1]",
            reserved("Content-Length"),
        ),
        (
            external(json!({"responseHeaders": ["x-envoy-retry-on"]})),
            "auth[1].external.responseHeaders[0]",
            reserved("x-envoy-retry-on"),
        ),
    ]);
}

#[test]
fn mirror_header_and_cors_texts() {
    let mirror = |more: Value| json!({"mirror": [merged(json!({"service": "home", "port": 8080}), more)]});
    let set = |name: &str, value: &str| json!({"set": [{"name": name, "value": value}]});
    let request = |edits: Value| json!({"headers": {"request": edits}});
    let cors = |more: Value| json!({"cors": merged(json!({"allowOrigins": ["https://a.com"]}), more)});
    let origin = |given: &'static str| {
        let text = "must be *, or an origin such as https://www.example.com or https://*.example.com";
        let cors = cors(json!({"allowOrigins": [given]}));
        (cors, "cors.allowOrigins[0]", format!("{given:?} {text}"))
    };
    let credentials = |field: &str| cors(json!({field: ["*"], "allowCredentials": true}));
    let wildcard = "* must not stand beside allowCredentials: name what is allowed";
    let mut cases = vec![
        wrong(
            mirror(json!({"service": "gone"})),
            "mirror[0].service",
            "Service default/gone not found",
        ),
        wrong(
            mirror(json!({"port": 81})),
            "mirror[0].port",
            "Service default/home has no port 81",
        ),
        wrong(
            mirror(json!({"percent": 101})),
            "mirror[0].percent",
            "must be in the range 0-100",
        ),
        wrong(
            json!({"mirror": vec![json!({"service": "home", "port": 8080}); 9]}),
            "mirror",
            "must have 8 entries at most",
        ),
        wrong(
            request(set("a b", "c")),
            "headers.request.set[0].name",
            "\"a b\" is not a header name",
        ),
        wrong(
            request(set(":path", "/admin")),
            "headers.request.set[0].name",
            "\":path\" is not a header name",
        ),
        wrong(
            request(set("x", "a\r\nb: c")),
            "headers.request.set[0].value",
            "must be printable, without spaces at its ends",
        ),
        wrong(
            request(set("x", "")),
            "headers.request.set[0].value",
            "must be printable, without spaces at its ends",
        ),
        wrong(
            cors(json!({"allowOrigins": []})),
            "cors.allowOrigins",
            "must not be empty",
        ),
        wrong(credentials("allowOrigins"), "cors.allowOrigins[0]", wildcard),
        wrong(credentials("allowMethods"), "cors.allowMethods[0]", wildcard),
        wrong(credentials("allowHeaders"), "cors.allowHeaders[0]", wildcard),
        wrong(credentials("exposeHeaders"), "cors.exposeHeaders[0]", wildcard),
        wrong(
            cors(json!({"maxAgeSeconds": 86401})),
            "cors.maxAgeSeconds",
            "must be in the range 0-86400",
        ),
        origin("www.example.com"),
        origin("https://www.example.com/"),
        origin("https://*"),
        origin("https://a.*.com"),
        origin("https://a.com:0"),
        origin("null"),
        origin("ftp://a.com"),
    ];
    for name in [
        "Host",
        "connection",
        "Content-Length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "Transfer-Encoding",
        "upgrade",
        "x-switchyard-route",
        "X-Envoy-Max-Retries",
    ] {
        let text =
            format!("header {name:?} belongs to the proxy or to the connection: no policy may change it");
        let remove = json!({"remove": [name]});
        cases.push((
            request(set(name, "a")),
            "headers.request.set[0].name",
            text.clone(),
        ));
        cases.push((
            request(json!({"add": [{"name": name, "value": "a"}]})),
            "headers.request.add[0].name",
            text.clone(),
        ));
        cases.push((request(remove.clone()), "headers.request.remove[0]", text.clone()));
        let response = json!({"headers": {"response": remove}});
        cases.push((response, "headers.response.remove[0]", text));
    }
    check_wrong(cases);
}

#[test]
fn a_tcpproxy_below_what_keeps_requests_out_text() {
    let ip = json!({"auth": [{"ip": {"allow": ["10.0.0.0/8"]}}]});
    let limits = json!({"rateLimits": [{"requests": 1, "unit": "day"}]});
    let harmless = json!({"timeoutPolicy": {"request": "5s"}, "mirror": [{"service": "home", "port": 8080}]});
    let case = |rule, policies: Value, errors| {
        let virtualhost = json!({"fqdn": "example.com", "tls": {"passthrough": true}});
        let services = json!([{"name": "home", "port": 8080}]);
        let spec = json!({
            "virtualhost": merged(virtualhost, policies), "tcpproxy": {"services": services}, "routes": [leaf("/")],
        });
        bad_root(rule, spec, errors)
    };
    let error = (
        "spec.tcpproxy",
        "tcpproxy: the virtualhost has auth, rateLimits or concurrency, which connections are not asked for: put them \
         on routes, or remove the tcpproxy",
    );
    let mut cases = vec![
        case("auth", ip, vec![error]),
        case("rate limits", limits, vec![error]),
        case("concurrency", json!({"concurrency": {"max": 1}}), vec![error]),
        case("what keeps nobody out", harmless, vec![]),
    ];
    cases[3].state = State::Valid;
    check(&Settings::default(), cases);
}

/// Its owner mends all of it at once.
#[test]
fn everything_that_is_wrong_is_told() {
    let policies = json!({
        "auth": [{"basic": {"secretName": "gone", "realm": "\""}}, {"ip": {"allow": ["a", "b"]}}],
        "cors": {"maxAgeSeconds": -1},
        "mirror": [{"service": "gone", "port": 0}],
    });
    let route = merged(json!({"match": "/shop"}), policies);
    let graph = graph([asking_root(json!({}), json!([route]))]);
    let errors = &graph.status(&name("root")).unwrap().errors;
    let fields: Vec<_> = errors
        .iter()
        .map(|error| error.field.strip_prefix("spec.routes[0]").unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "",
            ".auth[0].basic.realm",
            ".auth[0].basic.secretName",
            ".auth[1].ip.allow[0]",
            ".auth[1].ip.allow[1]",
            ".cors.allowOrigins",
            ".cors.maxAgeSeconds",
            ".mirror[0].port",
            ".mirror[0].service",
        ]
    );
}
