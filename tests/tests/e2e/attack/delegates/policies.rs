//! A delegate's own tokens, limits, mirrors and services.

use super::{
    Attempt,
    Entitled::{Denied, OutOfOrder, Served},
    attempts::{routes, saying},
};
use crate::attack::{merged, to, tokens::Keys};
use anyhow::Result;
use serde_json::{Value, json};

/// Names of Services that are not the delegate's own, or do not exist.
const FOREIGN: [&str; 4] = ["nobody", "default/vault", "vault.default", ""];

/// A rate limit key with every kind of part.
fn key() -> Value {
    json!([
        {"clientIP": {"ipv4PrefixLength": 1, "ipv6PrefixLength": 1}},
        {"header": "x-tenant"},
        {"cookie": "session"},
        {"claim": "sub"},
        {"path": {}},
        {"method": {}},
    ])
}

fn when() -> Value {
    json!({"methods": ["GET"], "prefix": "/team", "headers": [{"name": "x-tenant", "value": "a"}]})
}

fn service(name: &str) -> Value {
    json!({"name": name, "port": 80})
}

/// The delegate's own token issuers.
pub(super) fn own_tokens() -> Result<Vec<Attempt>> {
    let check = Keys::new()?.check()?;
    let with = |more: Value| json!({"jwt": merged(check["jwt"].clone(), &more)});
    let all = json!({"ip": {"allow": ["0.0.0.0/0", "::/0"]}});
    let to_header = |header: &str| with(json!({"claimsToHeaders": [{"claim": "sub", "header": header}]}));
    let asked = |what, auth: Value, entitled| saying(what, &json!({"auth": [auth]}), entitled);
    Ok(vec![
        asked("its own tokens", check.clone(), Denied),
        asked(
            "its own tokens, or none",
            json!({"anyOf": [check, all]}),
            Served("/team/x"),
        ),
        asked(
            "its own tokens say who it is",
            to_header("x-switchyard-user"),
            OutOfOrder,
        ),
        asked("its own tokens say the host", to_header("host"), OutOfOrder),
        asked(
            "its own tokens say the credential",
            to_header("x-api-key"),
            Denied,
        ),
        asked(
            "keys that are not there",
            with(json!({"jwks": {"secretName": "nothing"}})),
            OutOfOrder,
        ),
        asked(
            "keys of the parent's Secret",
            with(json!({"jwks": {"secretName": "keys"}})),
            OutOfOrder,
        ),
        asked(
            "keys that nobody hands out",
            with(json!({"jwks": {"uri": "http://127.0.0.1:9/keys", "maxStaleSeconds": 60}})),
            OutOfOrder,
        ),
        asked(
            "no addresses",
            json!({"ip": {"allow": ["0.0.0.0/0"], "deny": ["127.0.0.0/8"]}}),
            Denied,
        ),
        asked(
            "its own people, by another name",
            json!({"basic": {"secretName": "own-people", "realm": "parent"}}),
            Denied,
        ),
    ])
}

/// Limits, local and global.
pub(super) fn own_limits() -> Vec<Attempt> {
    let limit = |what, more: Value, entitled| {
        let limit = json!({"requests": 1_000_000, "unit": "second", "burst": 1_000_000, "key": key()});
        saying(what, &json!({"rateLimits": [merged(limit, &more)]}), entitled)
    };
    let global = |what, more: Value, entitled| {
        let from = |part: &Value| json!({"entries": [{"key": "a", "from": part}]});
        let mut descriptors: Vec<_> = key().as_array().into_iter().flatten().map(from).collect();
        descriptors.push(json!({"entries": [{"key": "a", "value": "b"}]}));
        let asks = json!({
            "service": service("web"), "domain": "shop", "descriptors": descriptors,
            "timeout": "5s", "onFailure": "allow",
        });
        saying(
            what,
            &json!({"rateLimits": [{"global": merged(asks, &more)}]}),
            entitled,
        )
    };
    let mut attempts = vec![
        limit("limits by everything", json!({}), Served("/team/x")),
        limit(
            "limits of some",
            json!({"match": when(), "status": 429}),
            Served("/team/x"),
        ),
        limit("a limit that lets in", json!({"status": 200}), OutOfOrder),
        limit("a limit that sends elsewhere", json!({"status": 302}), OutOfOrder),
        limit("a limit of nothing", json!({"requests": 0}), OutOfOrder),
        saying(
            "places by everything",
            &json!({"concurrency": {"max": 1_000_000, "key": key()}}),
            Served("/team/x"),
        ),
        global("a service that does not count", json!({}), Served("/team/x")),
        global(
            "the same, and it has to",
            json!({"onFailure": "deny"}),
            OutOfOrder,
        ),
    ];
    attempts.extend(FOREIGN.map(|name| {
        global(
            "a service of others counts",
            json!({"service": service(name)}),
            OutOfOrder,
        )
    }));
    attempts
}

/// Services for authorization, mirroring or routing.
pub(super) fn own_services() -> Vec<Attempt> {
    let external = |what, more: Value, entitled| {
        let asks = json!({"service": service("web"), "timeout": "5s", "path": "/team"});
        let check = json!({"external": merged(asks, &more)});
        saying(what, &json!({"auth": [check, {"anyOf": [check]}]}), entitled)
    };
    let copies = |what, more: Value, entitled| {
        let mirror = merged(json!({"service": "web", "port": 80, "percent": 100}), &more);
        saying(what, &json!({"mirror": [mirror]}), entitled)
    };
    let vault = |more: Value| merged(service("vault"), &more);
    let served = |what, services: Value, entitled| {
        routes(
            what,
            &json!([merged(to("vault", "/team"), &json!({"services": services}))]),
            entitled,
        )
    };
    let asks_after_it = json!({
        "path": "/", "host": "parent.bar.com", "intervalSeconds": 60, "timeoutSeconds": 1,
        "unhealthyThresholdCount": 1, "healthyThresholdCount": 1,
    });
    let mut attempts = vec![
        external("its own service, at a path", json!({}), Served("/team/x")),
        // As a gRPC status, the returned `grpc-status` is not a number.
        external(
            "its own service, which hands back what it is told",
            json!({"protocol": "grpc"}),
            OutOfOrder,
        ),
        external(
            "its own service, in another language",
            json!({"protocol": "carrier pigeon"}),
            OutOfOrder,
        ),
        copies("copies to its own", json!({"match": when()}), Served("/team/x")),
        served(
            "its services, some of them well",
            json!([
                vault(json!({"weight": 1, "strategy": "Cookie"})),
                merged(
                    service("web"),
                    &json!({"weight": 0, "healthCheck": asks_after_it})
                )
            ]),
            Served("/team/x"),
        ),
        served(
            "its service, by certificate",
            json!([vault(
                json!({"validation": {"caSecret": "nothing", "subjectName": "parent.bar.com"}})
            )]),
            OutOfOrder,
        ),
    ];
    for name in FOREIGN {
        attempts.extend([
            external(
                "a service of others is asked",
                json!({"service": service(name)}),
                OutOfOrder,
            ),
            copies("copies to others", json!({"service": name}), OutOfOrder),
            served("a service of others", json!([service(name)]), OutOfOrder),
        ]);
    }
    attempts
}
