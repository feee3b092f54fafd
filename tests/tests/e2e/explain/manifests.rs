//! Small random worlds with few names and few paths, so that these often collide, shadow each other, are shared or are
//! missing.

use super::{dice::Dice, tokens::ISSUER};
use serde_json::{Map, Value, json};

pub(super) const NAMESPACES: [&str; 2] = ["a", "b"];
/// The Services with a backend. `idle` has none, and `gone` does not exist.
pub(super) const BACKENDS: [&str; 2] = ["home", "away"];
/// The mirror, and the authorization service.
pub(super) const SHADOW: &str = "shadow";
pub(super) const GUARD: &str = "guard";
/// The rate limit service, and the header that decides whether it lets a request pass.
pub(super) const METER: &str = "meter";
pub(super) const METER_HEADER: &str = "x-meter";
pub(super) const HOSTS: [&str; 4] = ["one.com", "two.com", "three.com", "four.com"];
pub(super) const PREVIEW: (&str, &str) = ("x-preview", "yes");
pub(super) const COOKIE: &str = "branch";
/// The header and the query parameter of API keys, and a valid key.
pub(super) const KEY_HEADER: &str = "x-api-key";
pub(super) const KEY_PARAMETER: &str = "key";
pub(super) const KEY: &str = "0123456789abcdef0123456789abcdef";
/// The allowed origin of pages.
pub(super) const ORIGIN: &str = "https://app.example.com";

const PATHS: [&str; 12] = [
    "/", "/", "/", "/", "/x", "/x", "/x/", "/x/y", "/x/y/z", "/y", "/xy", "/y/x",
];
const REWRITES: [&str; 5] = ["/", "/", "/x", "/y/x", "/v1"];
const DELEGATES: [&str; 4] = ["d1", "d2", "d3", "d4"];

/// All IngressRoutes of a world.
pub(super) fn world(dice: &mut Dice) -> String {
    let mut objects = Vec::new();
    for (number, fqdn) in HOSTS.iter().enumerate() {
        if dice.one_in(16) {
            continue;
        }
        let namespace = dice.pick(&NAMESPACES);
        objects.push(object(namespace, &format!("root{number}"), &root(dice, fqdn)));
        // Sometimes another root claims the host.
        if dice.one_in(16) {
            objects.push(object(namespace, &format!("twin{number}"), &root(dice, fqdn)));
        }
    }
    for namespace in NAMESPACES {
        for (number, name) in DELEGATES.iter().enumerate() {
            if !dice.one_in(8) {
                let spec = json!({"routes": routes(dice, number + 1)});
                objects.push(object(namespace, name, &spec));
            }
        }
    }
    objects.concat()
}

/// The Secrets of all worlds.
pub(super) fn secrets(namespace: &str, jwks: &str) -> String {
    let secret = |name: &str, data: Value| {
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name},
            "stringData": data,
        });
        format!("---\n{object}\n")
    };
    // The entry is created by `htpasswd -s` with the password "wonderland".
    let users =
        json!({"auth": "alice:{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ=\nbob:$apr1$xkq1N2bR$J8gPvEYyLPiIjOdA0G3Jt0"});
    secret("users", users)
        + &secret("clients", json!({"alice": KEY}))
        + &secret("issuers", json!({ "jwks": jwks }))
}

fn object(namespace: &str, name: &str, spec: &Value) -> String {
    let object = json!({
        "apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    });
    format!("---\n{object}\n")
}

fn root(dice: &mut Dice, fqdn: &str) -> Value {
    let mut virtualhost = policies(dice, "/");
    virtualhost.insert("fqdn".to_owned(), json!(fqdn));
    let mut spec = json!({});
    match dice.below(6) {
        0 | 1 => {
            virtualhost.insert("tls".to_owned(), json!({"secretName": format!("cert-{fqdn}")}));
        }
        2 if dice.one_in(2) => {
            virtualhost.insert("tls".to_owned(), json!({"secretName": "gone"}));
        }
        2 => {
            virtualhost.insert("tls".to_owned(), json!({"secretName": format!("cert-{fqdn}")}));
            spec["tcpproxy"] = json!({"services": services(dice)});
        }
        _ => {}
    }
    spec["virtualhost"] = virtualhost.into();
    spec["routes"] = routes(dice, 0);
    spec
}

/// The routes of an IngressRoute at this depth. Delegates are deeper, or sometimes anywhere.
fn routes(dice: &mut Dice, depth: usize) -> Value {
    let count = 2 + dice.below(4);
    let mut routes: Vec<_> = (0..count).map(|_| route(dice, depth)).collect();
    // Of two routes with the same match, the first takes effect.
    if !dice.one_in(3) {
        routes.push(json!({"match": "/", "services": services(dice)}));
    }
    routes.into()
}

fn route(dice: &mut Dice, depth: usize) -> Value {
    let prefix = dice.pick(&PATHS);
    let mut route = policies(dice, prefix);
    route.insert("match".to_owned(), json!(prefix));
    let delegates = depth < DELEGATES.len() && dice.one_in(2);
    if delegates {
        route.insert("delegate".to_owned(), delegate(dice, depth));
    } else {
        route.insert("services".to_owned(), services(dice));
    }
    // A route that rewrites to `/` matches any paths of its delegate.
    if delegates && !dice.one_in(4) {
        route.insert("prefixRewrite".to_owned(), json!("/"));
    } else if dice.one_in(4) {
        route.insert("prefixRewrite".to_owned(), json!(dice.pick(&REWRITES)));
    }
    if dice.one_in(3) {
        route.insert("permitInsecure".to_owned(), true.into());
    }
    if dice.one_in(6) {
        route.insert("enableWebsockets".to_owned(), true.into());
    }
    route.into()
}

fn delegate(dice: &mut Dice, depth: usize) -> Value {
    let target = |dice: &mut Dice| {
        let deeper = &DELEGATES[depth..];
        let further = if dice.one_in(12) { &DELEGATES[..] } else { deeper };
        dice.pick(further)
    };
    let name = target(dice);
    let mut delegate = json!({"name": name});
    if dice.one_in(2) {
        delegate["namespace"] = json!(dice.pick(&NAMESPACES));
    }
    let standby = target(dice);
    if !dice.one_in(4) && standby != name {
        delegate["standby"] = json!([standby]);
        if !dice.one_in(3) {
            delegate["preview"] = json!({"header": PREVIEW.0, "value": PREVIEW.1});
        }
        if !dice.one_in(4) {
            delegate["canary"] = json!({"percent": dice.pick(&[0, 30, 50, 70, 50, 100])});
        }
        if !dice.one_in(3) {
            delegate["sticky"] = json!({"cookie": COOKIE});
        }
    }
    delegate
}

fn services(dice: &mut Dice) -> Value {
    let service = |dice: &mut Dice| {
        let name = match dice.below(24) {
            0 => "gone",
            1 => "idle",
            _ => dice.pick(&BACKENDS),
        };
        json!({"name": name, "port": 80, "weight": dice.below(3)})
    };
    if dice.one_in(4) {
        json!([service(dice), service(dice)])
    } else {
        json!([service(dice)])
    }
}

/// Random policies of a level: mostly none or one.
fn policies(dice: &mut Dice, prefix: &str) -> Map<String, Value> {
    let mut policies = Map::new();
    while dice.below(5) < 2 {
        let (field, policy) = match dice.below(16) {
            0 | 1 => ("auth", json!([auth(dice)])),
            2 => ("auth", json!([auth(dice), auth(dice)])),
            3 => ("headers", headers(dice)),
            4 => (
                "timeoutPolicy",
                json!({"request": dice.pick(&["7s", "9s", "infinity"])}),
            ),
            5 | 12 => ("retryPolicy", retries(dice)),
            6 | 9 => ("cors", cors(dice)),
            7 | 10 | 13 => ("rateLimits", json!([limit(dice, prefix)])),
            8 => ("concurrency", json!({"max": 1 + dice.below(2)})),
            11 => ("mirror", json!([mirror(dice, prefix), mirror(dice, prefix)])),
            _ => ("mirror", json!([mirror(dice, prefix)])),
        };
        policies.insert(field.to_owned(), policy);
    }
    policies
}

fn auth(dice: &mut Dice) -> Value {
    if dice.one_in(4) {
        return json!({"anyOf": [check(dice), check(dice)]});
    }
    if dice.one_in(4) {
        return external(dice);
    }
    if dice.one_in(8) {
        // In an `anyOf`, the answer of the service is final.
        return json!({"anyOf": [check(dice), external(dice)]});
    }
    check(dice)
}

fn external(dice: &mut Dice) -> Value {
    json!({"external": {
        "service": {"name": GUARD, "port": 80},
        "protocol": dice.pick(&["http", "grpc"]),
        "requestHeaders": ["authorization", "x-request-id"],
        "timeout": "20s",
    }})
}

fn check(dice: &mut Dice) -> Value {
    match dice.below(10) {
        0 | 1 => json!({"apiKey": {"secretName": "clients", "header": KEY_HEADER, "query": KEY_PARAMETER}}),
        2 => json!({"apiKey": {"secretName": "clients", "header": KEY_HEADER}}),
        3 | 4 => json!({"basic": {"secretName": "users"}}),
        5 => json!({"ip": {"allow": ["127.0.0.0/8"]}}),
        6 | 7 => json!({"jwt": {"issuer": ISSUER, "jwks": {"secretName": "issuers"},
            "claimsToHeaders": [{"claim": "sub", "header": "x-sub"}]}}),
        8 => json!({"ip": {"deny": ["10.0.0.0/8"]}}),
        _ if dice.one_in(5) => json!({"apiKey": {"secretName": "gone", "header": KEY_HEADER}}),
        _ => json!({"ip": {"deny": ["127.0.0.1"]}}),
    }
}

fn headers(dice: &mut Dice) -> Value {
    let edits = |dice: &mut Dice| {
        let name = dice.pick(&["x-one", "x-two"]);
        match dice.below(3) {
            0 => json!({"set": [{"name": name, "value": "set"}]}),
            1 => json!({"add": [{"name": name, "value": "added"}]}),
            _ => json!({"remove": [name]}),
        }
    };
    json!({"request": edits(dice), "response": edits(dice)})
}

/// A random rate limit: one that is never used up, one that is soon used up for the rest of the test, or one that a
/// service counts.
fn limit(dice: &mut Dice, prefix: &str) -> Value {
    let mut limit = match dice.below(3) {
        0 => json!({"requests": 1 + dice.below(2), "unit": "day"}),
        1 => json!({"requests": 1_000_000, "unit": "second", "key": [{"clientIP": {}}, {"header": "x-one"}]}),
        _ => global(),
    };
    if dice.one_in(2) {
        limit["match"] = json!({"prefix": prefix, "methods": ["GET"]});
    }
    if dice.one_in(6) {
        limit["dryRun"] = true.into();
    }
    limit
}

/// A limit counted by a service, which is not called for requests without the headers.
fn global() -> Value {
    let entries = ["x-request-id", METER_HEADER].map(|name| json!({"key": name, "from": {"header": name}}));
    json!({"global": {
        "service": {"name": METER, "port": 80},
        "domain": "worlds",
        "descriptors": [{"entries": entries}],
        "timeout": "20s",
    }})
}

fn mirror(dice: &mut Dice, prefix: &str) -> Value {
    let service = if dice.one_in(40) { "gone" } else { SHADOW };
    let percent = dice.pick(&[0, 50, 100, 100, 100]);
    let mut mirror = json!({"service": service, "port": 80, "percent": percent});
    if dice.one_in(3) {
        mirror["match"] = match dice.below(3) {
            0 => json!({"methods": ["POST"]}),
            1 => json!({"prefix": prefix}),
            _ => json!({"headers": [{"name": PREVIEW.0, "value": PREVIEW.1}]}),
        };
    }
    mirror
}

fn retries(dice: &mut Dice) -> Value {
    let mut retries = json!({"count": 1 + dice.below(2)});
    if dice.one_in(3) {
        retries["perTryTimeout"] = json!("5s");
    }
    retries
}

fn cors(dice: &mut Dice) -> Value {
    let mut cors = json!({"allowOrigins": [ORIGIN], "allowMethods": ["PUT"]});
    match dice.below(4) {
        0 => cors["allowOrigins"] = json!(["*"]),
        1 => cors["allowCredentials"] = true.into(),
        2 => cors["exposeHeaders"] = json!(["x-one"]),
        _ => {}
    }
    cors
}
