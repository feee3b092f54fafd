//! What is written, and what the filter gets.

use super::*;

/// What a route `/shop` with these fields asks, as the filter has it.
fn asked(fields: Value) -> Value {
    let objects = [
        asking_root(json!({}), json!([merged(leaf("/shop"), fields.clone())])),
        service("home"),
        Object::Service(service_with("grpc", Protocol::H2c)),
        users("users"),
        secret(
            "clients",
            "Opaque",
            &[("alice", "secret1\n"), ("bob", " secret2 ")],
        ),
        secret("keys", "Opaque", &[("jwks", &key_set())]),
        fetched(URI, 1_700_000_000),
    ];
    let graph = graph(objects);
    let status = graph.status(&name("root")).unwrap();
    assert!(status.errors.is_empty(), "{fields}: {status:?}");
    let mut policy = serde_json::to_value(policy(&graph, "example.com default/root/shop")).unwrap();
    assert_eq!(policy["source"], "default/root route /shop");
    policy.as_object_mut().unwrap().remove("source");
    policy
}

fn cluster(service: &str) -> String {
    let protocol = if service == "grpc" {
        Protocol::H2c
    } else {
        Protocol::Http1
    };
    let graph = graph([
        root(
            "root",
            "a.com",
            json!([{"match": "/", "services": [{"name": service, "port": 8080}]}]),
        ),
        Object::Service(service_with(service, protocol)),
    ]);
    cluster_of(&graph, service).name.0.to_string()
}

#[test]
fn rate_limits() {
    let limits = json!([
        {"requests": 100, "unit": "minute"},
        {
            "match": {
                "methods": ["get", "POST"], "prefix": "/shop//cart/",
                "headers": [{"name": "X-Tenant"}, {"name": "x-tier", "value": "free one"}],
            },
            "requests": 5, "unit": "second", "burst": 20, "status": 503, "dryRun": true,
            "key": [
                {"clientIP": {}}, {"header": "X-Tenant"}, {"cookie": "Session"}, {"claim": "sub"}, {"path": {}},
                {"method": {}},
            ],
        },
        {"requests": 1, "unit": "hour"},
        {"requests": 4_294_967_295u32, "unit": "day"},
    ]);
    let want = json!([
        {"local": {"requests": 100, "perSeconds": 60, "burst": 100}},
        {
            "match": {
                "methods": ["GET", "POST"], "prefix": "/shop/cart",
                "headers": [{"name": "x-tenant"}, {"name": "x-tier", "value": "free one"}],
            },
            "dryRun": true,
            "status": 503,
            "local": {
                "requests": 5, "perSeconds": 1, "burst": 20,
                "key": [
                    "clientIP", {"header": "x-tenant"}, {"cookie": "Session"}, {"claim": "sub"}, "path", "method",
                ],
            },
        },
        {"local": {"requests": 1, "perSeconds": 3600, "burst": 1}},
        {"local": {"requests": 4_294_967_295u32, "perSeconds": 86400, "burst": 4_294_967_295u32}},
    ]);
    assert_eq!(asked(json!({"rateLimits": limits})), json!({"rateLimits": want}));
}

/// What encloses the route is as good as nothing.
#[test]
fn a_prefix_may_enclose_the_route() {
    for prefix in ["/", "/shop", "/shop/"] {
        let limit = json!({"requests": 1, "unit": "day", "match": {"prefix": prefix}});
        let got = asked(json!({"rateLimits": [limit]}));
        let want = if prefix == "/" { "/" } else { "/shop" };
        assert_eq!(got["rateLimits"][0]["match"]["prefix"], want);
    }
}

#[test]
fn global_rate_limits() {
    let global = |more: Value| {
        let descriptors = json!([
            {"entries": [{"key": "plan", "value": "free"}, {"key": "remote_address", "from": {"clientIP": {}}}]},
            {"entries": [{"key": "user", "from": {"claim": "sub"}}]},
        ]);
        let service = json!({"name": "home", "port": 8080});
        let global = json!({"service": service, "domain": "shop", "descriptors": descriptors});
        json!({"rateLimits": [{"global": merged(global, more), "status": 430}]})
    };
    let h2c = asked(global(json!({})))["rateLimits"][0]["global"]["cluster"].clone();
    let want = |timeout: u64| {
        json!({
            "cluster": h2c, "domain": "shop", "timeoutMs": timeout,
            "descriptors": [
                [{"key": "plan", "value": {"literal": "free"}},
                    {"key": "remote_address", "value": {"of": "clientIP"}}],
                [{"key": "user", "value": {"of": {"claim": "sub"}}}],
            ],
        })
    };
    let limits = |global: Value| json!({"rateLimits": [{"status": 430, "global": global}]});
    assert_eq!(asked(global(json!({}))), limits(want(100)));
    let denying = json!({"timeout": "50ms", "onFailure": "deny"});
    assert_eq!(asked(global(denying)), limits(want(50)));
    let allowing = json!({"timeout": "1m", "onFailure": "allow"});
    let want = merged(want(60_000), json!({"onFailure": "allow"}));
    assert_eq!(asked(global(allowing)), limits(want));
}

#[test]
fn concurrency() {
    let got = asked(json!({"concurrency": {"max": 10}}));
    assert_eq!(got, json!({"concurrency": {"max": 10}}));
    let got = asked(json!({"concurrency": {"max": 1, "key": [{"clientIP": {}}]}}));
    assert_eq!(got, json!({"concurrency": {"max": 1, "key": ["clientIP"]}}));
}

#[test]
fn prefix_lengths_of_client_addresses_have_defaults() {
    for (written, want) in [
        (json!({}), json!("clientIP")),
        (
            json!({"ipv4PrefixLength": 32, "ipv6PrefixLength": 64}),
            json!("clientIP"),
        ),
        (
            json!({"ipv6PrefixLength": 56}),
            json!({"clientIP": {"ipv4PrefixLength": 32, "ipv6PrefixLength": 56}}),
        ),
        (
            json!({"ipv4PrefixLength": 24}),
            json!({"clientIP": {"ipv4PrefixLength": 24, "ipv6PrefixLength": 64}}),
        ),
    ] {
        let got = asked(json!({"concurrency": {"max": 1, "key": [{"clientIP": written}]}}));
        assert_eq!(got, json!({"concurrency": {"max": 1, "key": [want]}}));
    }
}

fn required(checks: Value) -> Value {
    json!({"auth": [{"anyOf": checks}]})
}

#[test]
fn basic() {
    let got = asked(json!({"auth": [{"basic": {"secretName": "users"}}]}));
    let want = json!({"basic": {"realm": "Restricted", "users": {"alice": HASH}}});
    assert_eq!(got, required(json!([want])));
    let got = asked(json!({"auth": [{"basic": {"secretName": "users", "realm": "The shop"}}]}));
    let want = json!({"basic": {"realm": "The shop", "users": {"alice": HASH}}});
    assert_eq!(got, required(json!([want])));
}

/// Of a file as it comes: comments, empty lines, Windows' ends of lines.
#[test]
fn htpasswd_files() {
    let text = format!("# comment\r\n\r\nalice:{HASH}\r\n  bob:{HASH}\n#carol:{HASH}");
    let basic = json!({"auth": [{"basic": {"secretName": "users"}}]});
    let graph = graph([
        asking_root(basic, json!([leaf("/")])),
        service("home"),
        secret("users", "Opaque", &[("auth", &text)]),
    ]);
    let policy = serde_json::to_value(policy(&graph, "example.com default/root virtualhost")).unwrap();
    let users = &policy["auth"][0]["anyOf"][0]["basic"]["users"];
    assert_eq!(*users, json!({"alice": HASH, "bob": HASH}));
}

/// Only digests leave the Secret (`printf secret1 | sha256sum`).
#[test]
fn api_keys() {
    let keys = json!({
        "5b11618c2e44027877d0cd0921ed166b9f176f50587fc91e7534dd2946db77d6": "alice",
        "35224d0d3465d74e855f8d69a136e79c744ea35a675d3393360a327cbf6359a2": "bob",
    });
    let got = asked(json!({"auth": [{"apiKey": {"secretName": "clients", "header": "X-API-Key"}}]}));
    let want = json!({"apiKey": {"header": "x-api-key", "keys": keys}});
    assert_eq!(got, required(json!([want])));
    let both = json!({"secretName": "clients", "header": "x-api-key", "query": "key"});
    let got = asked(json!({"auth": [{"apiKey": both}]}));
    let want = json!({"apiKey": {"header": "x-api-key", "query": "key", "keys": keys}});
    assert_eq!(got, required(json!([want])));
}

#[test]
fn tokens() {
    let key = json!({"kid": "a", "algorithms": ["EdDSA"], "spki": ED25519_SPKI});
    for jwks in [json!({"secretName": "keys"}), json!({"inline": key_set()})] {
        let got = asked(json!({"auth": [{"jwt": {"jwks": jwks}}]}));
        let want = json!({"jwt": {"keys": [key], "clockSkewSeconds": 60}});
        assert_eq!(got, required(json!([want])));
    }
    let jwt = json!({
        "issuer": "https://issuer.example.com", "audiences": ["shop", "api"], "clockSkewSeconds": 0,
        "jwks": {"uri": URI, "maxStaleSeconds": 800},
        "requiredClaims": [{"claim": "sub"}, {"claim": "groups", "values": ["admins"]}],
        "claimsToHeaders": [{"claim": "email", "header": "X-Email"}],
    });
    let want = json!({"jwt": {
        "issuer": "https://issuer.example.com", "audiences": ["shop", "api"], "clockSkewSeconds": 0,
        "keys": [key], "keysExpire": 1_700_000_800u64,
        "requiredClaims": [{"claim": "sub"}, {"claim": "groups", "values": ["admins"]}],
        "claimsToHeaders": [{"claim": "email", "header": "x-email"}],
    }});
    assert_eq!(asked(json!({"auth": [{"jwt": jwt}]})), required(json!([want])));
}

#[test]
fn external_services() {
    let external = |more: Value| {
        let service = json!({"name": "home", "port": 8080});
        json!({"auth": [{"external": merged(json!({"service": service}), more)}]})
    };
    let usual = json!({"cluster": cluster("home"), "protocol": "http", "timeoutMs": 200});
    let got = asked(external(json!({})));
    assert_eq!(got, required(json!([{"external": usual}])));
    // As an API server hands it out, with the defaults.
    let got = asked(external(
        json!({"protocol": "http", "path": "/", "timeout": "200ms", "onFailure": "deny"}),
    ));
    assert_eq!(got, required(json!([{"external": usual}])));
    let more = json!({
        "path": "/verify/", "timeout": "1s", "onFailure": "allow",
        "requestHeaders": ["Cookie"], "responseHeaders": ["X-User", "x-groups"],
    });
    let want = json!({
        "cluster": cluster("home"), "protocol": "http", "path": "/verify", "timeoutMs": 1000, "onFailure": "allow",
        "requestHeaders": ["cookie"], "responseHeaders": ["x-user", "x-groups"],
    });
    assert_eq!(asked(external(more)), required(json!([{"external": want}])));
    let service = json!({"name": "grpc", "port": 8080});
    let got = asked(json!({"auth": [{"external": {"service": service, "protocol": "grpc", "path": "/"}}]}));
    let want = json!({"cluster": cluster("grpc"), "protocol": "grpc", "timeoutMs": 200});
    assert_eq!(got, required(json!([{"external": want}])));
}

#[test]
fn addresses() {
    let ip = json!({
        "allow": ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"], "deny": ["10.1.0.0/16", "0.0.0.0/0"],
    });
    let want = json!({"ip": {
        "allow": ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128"], "deny": ["10.1.0.0/16", "0.0.0.0/0"],
    }});
    assert_eq!(asked(json!({"auth": [{"ip": ip}]})), required(json!([want])));
}

#[test]
fn any_of_several_checks() {
    let auth = json!([
        {"anyOf": [{"ip": {"deny": ["192.0.2.1"]}}, {"basic": {"secretName": "users"}}]},
        {"ip": {"allow": ["10.0.0.0/8"]}},
    ]);
    let want = json!([
        {"anyOf": [
            {"ip": {"deny": ["192.0.2.1/32"]}}, {"basic": {"realm": "Restricted", "users": {"alice": HASH}}},
        ]},
        {"anyOf": [{"ip": {"allow": ["10.0.0.0/8"]}}]},
    ]);
    assert_eq!(asked(json!({"auth": auth})), json!({"auth": want}));
}

#[test]
fn mirrors() {
    let mirrors = json!([
        {"service": "home", "port": 8080},
        {"service": "home", "port": 8080, "percent": 0, "match": {"methods": ["GET"]}},
    ]);
    let want = json!([
        {"cluster": cluster("home"), "percent": 100},
        {"cluster": cluster("home"), "percent": 0, "match": {"methods": ["GET"]}},
    ]);
    assert_eq!(asked(json!({"mirror": mirrors})), json!({"mirror": want}));
}

#[test]
fn headers() {
    let headers = json!({
        "request": {
            "set": [{"name": "X-Shop", "value": "yes please"}], "add": [{"name": "Via", "value": "shop"}],
            "remove": ["X-Debug", "x-forwarded-for"],
        },
        "response": {"remove": ["Server"]},
    });
    let want = json!({
        "request": {
            "set": [{"name": "x-shop", "value": "yes please"}], "add": [{"name": "via", "value": "shop"}],
            "remove": ["x-debug", "x-forwarded-for"],
        },
        "response": {"remove": ["server"]},
    });
    assert_eq!(asked(json!({"headers": headers})), json!({"headers": want}));
}

#[test]
fn cors() {
    let got = asked(json!({"cors": {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"]}}));
    let want =
        json!({"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"], "maxAgeSeconds": 5});
    assert_eq!(got, json!({"cors": want}));
    let origins = [
        "https://www.example.com",
        "HTTPS://*.Example.com",
        "https://a.example.com:443",
        "http://a.example.com:80",
        "http://localhost:3000",
    ];
    let cors = json!({
        "allowOrigins": origins, "allowMethods": ["patch"], "allowHeaders": ["X-A"], "exposeHeaders": ["X-B"],
        "maxAgeSeconds": 0, "allowCredentials": true,
    });
    let want = json!({
        "allowOrigins": [
            "https://www.example.com", "https://*.example.com", "https://a.example.com", "http://a.example.com",
            "http://localhost:3000",
        ],
        "allowMethods": ["PATCH"], "allowHeaders": ["x-a"], "exposeHeaders": ["x-b"], "maxAgeSeconds": 0,
        "allowCredentials": true,
    });
    assert_eq!(asked(json!({"cors": cors})), json!({"cors": want}));
}
