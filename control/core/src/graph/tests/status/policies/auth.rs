//! Of auth.

use super::*;

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
            "Secret default/plain: key \"auth\", line 2: user \"alice\": the hash is neither bcrypt ($2y$), apr1 ($apr1$) nor \
             SHA ({SHA}): make it with htpasswd -B",
        ),
        wrong(
            basic("cut"),
            at,
            "Secret default/cut: key \"auth\", line 1: user \"alice\": the hash starts like one of bcrypt, and is not a \
             whole one",
        ),
        wrong(
            basic("costly"),
            at,
            "Secret default/costly: key \"auth\", line 2: user \"bob\": the hash is of bcrypt with a cost of 15: 4 to 14 \
             can be verified while a client waits",
        ),
        wrong(
            basic("apr1"),
            at,
            "Secret default/apr1: key \"auth\", line 1: user \"bob\": the hash starts like one of apr1, and is not a \
             whole one",
        ),
        wrong(
            basic("sha"),
            at,
            "Secret default/sha: key \"auth\", line 1: user \"bob\": the hash starts like one of SHA, and is not a \
             whole one",
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
            "\"a\\tb\" holds a control character",
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
