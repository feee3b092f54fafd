//! Every field that names a header, tried with headers that Envoy, the connection or the filter need: either the field
//! is rejected, or requests arrive intact.

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use switchyard_tests::{
    echo::Echo,
    gatekeeper::Gatekeeper,
    manifests::{annotated_service, ingress_route, object, service},
    raw::{self, Reply},
    tokens::Issuer,
    wait::until,
    world::{Builder, Source, World},
};

/// The key in the Secret `keys`.
const KEY: &str = "alice-secret";
const BODY: &str = "hello";
/// The number of cases to run concurrently.
const AT_A_TIME: usize = 8;

/// The use that a field makes of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set,
    Remove,
    Read,
    /// The header carries the client's key, and is removed from the request.
    Key,
}
use Kind::{Key, Read, Remove, Set};

/// Header names, and the kinds of fields that reject them.
const NAMES: [(&str, &[Kind]); 38] = [
    ("host", &[Set, Remove, Read, Key]),
    ("Connection", &[Set, Remove, Read, Key]),
    ("keep-alive", &[Set, Remove, Read, Key]),
    ("proxy-connection", &[Set, Remove, Read, Key]),
    ("transfer-encoding", &[Set, Remove, Read, Key]),
    ("x-switchyard-user", &[Set, Remove, Read, Key]),
    ("x-switchyard-cluster", &[Set, Remove, Read, Key]),
    ("content-length", &[Set, Remove, Key]),
    ("te", &[Set, Remove, Key]),
    ("trailer", &[Set, Remove, Key]),
    ("upgrade", &[Set, Remove, Key]),
    ("x-envoy-retry-on", &[Set, Remove, Key]),
    ("x-envoy-upstream-rq-timeout-ms", &[Set, Remove, Key]),
    ("X-Forwarded-Proto", &[Remove, Key]),
    ("x-forwarded-for", &[Key]),
    ("x-request-id", &[]),
    ("x-forwarded-client-cert", &[Read, Key]),
    ("x-forwarded-host", &[]),
    ("x-forwarded-port", &[]),
    ("x-real-ip", &[]),
    ("forwarded", &[]),
    ("via", &[]),
    ("accept", &[]),
    ("accept-encoding", &[]),
    ("authorization", &[]),
    ("content-type", &[]),
    ("content-encoding", &[]),
    ("cookie", &[]),
    ("date", &[]),
    ("early-data", &[]),
    ("grpc-timeout", &[]),
    ("http2-settings", &[]),
    ("location", &[]),
    ("max-forwards", &[]),
    ("server", &[]),
    ("user-agent", &[]),
    ("x-b3-traceid", &[]),
    ("x-tenant", &[]),
];

/// A field that names a header: its name in errors, its kind, and a function that creates a level with it.
type Field = (&'static str, Kind, fn(&str, &Value) -> Value);

fn edit(of: &str, how: &str, value: &Value) -> Value {
    json!({"headers": {of: {how: [value]}}})
}

fn put(name: &str) -> Value {
    json!({"name": name, "value": "1"})
}

fn limit(more: &Value) -> Value {
    let mut limit = json!({"requests": 1000, "unit": "second"});
    if let (Value::Object(limit), Value::Object(more)) = (&mut limit, more.clone()) {
        limit.extend(more);
    }
    json!({"rateLimits": [limit]})
}

fn jwt(jwks: &Value, claim: &str, name: &str) -> Value {
    json!({"auth": [{"jwt": {"jwks": jwks, "claimsToHeaders": [{"claim": claim, "header": name}]}}]})
}

fn asked(fields: &Value) -> Value {
    let service = json!({"service": {"name": "gate", "port": 80}});
    json!({"auth": [{"external": merged(service, fields)}]})
}

fn counted(name: &str) -> Value {
    let descriptors = json!([{"entries": [{"key": "k", "from": {"header": name}}]}]);
    json!({"rateLimits": [{"global": {
        "service": {"name": "limits", "port": 80}, "domain": "d", "descriptors": descriptors, "timeout": "10s"
    }}]})
}

const FIELDS: [Field; 17] = [
    ("headers.request.set[0].name", Set, |name, _| {
        edit("request", "set", &put(name))
    }),
    ("headers.request.add[0].name", Set, |name, _| {
        edit("request", "add", &put(name))
    }),
    ("headers.request.remove[0]", Remove, |name, _| {
        edit("request", "remove", &json!(name))
    }),
    ("headers.response.set[0].name", Set, |name, _| {
        edit("response", "set", &put(name))
    }),
    ("headers.response.add[0].name", Set, |name, _| {
        edit("response", "add", &put(name))
    }),
    ("headers.response.remove[0]", Remove, |name, _| {
        edit("response", "remove", &json!(name))
    }),
    (
        "apiKey.header",
        Key,
        |name, _| json!({"auth": [{"apiKey": {"secretName": "keys", "header": name}}]}),
    ),
    ("jwt.claimsToHeaders[0].header", Remove, |name, jwks| {
        jwt(jwks, "sub", name)
    }),
    // The claim is missing, so the header is removed.
    ("jwt.claimsToHeaders[0].header", Remove, |name, jwks| {
        jwt(jwks, "nothing", name)
    }),
    ("external.requestHeaders[0]", Set, |name, _| {
        // The service needs `authorization` for its answer.
        asked(&json!({"requestHeaders": [name, "authorization"]}))
    }),
    ("external.responseHeaders[0]", Remove, |name, _| {
        asked(&json!({"responseHeaders": [name]}))
    }),
    ("rateLimits[0].match.headers[0].name", Read, |name, _| {
        limit(&json!({"match": {"headers": [{"name": name}]}}))
    }),
    ("rateLimits[0].key[0].header", Read, |name, _| {
        limit(&json!({"key": [{"header": name}]}))
    }),
    (
        "rateLimits[0].global.descriptors[0].entries[0].from.header",
        Read,
        |name, _| counted(name),
    ),
    (
        "mirror[0].match.headers[0].name",
        Read,
        |name, _| json!({"mirror": [{"service": "web", "port": 80, "match": {"headers": [{"name": name}]}}]}),
    ),
    // These lists are only sent to browsers, and reject no header.
    ("cors.allowHeaders[0]", Read, |name, _| cors("allowHeaders", name)),
    ("cors.exposeHeaders[0]", Read, |name, _| {
        cors("exposeHeaders", name)
    }),
];

fn cors(field: &str, name: &str) -> Value {
    json!({"cors": {"allowOrigins": ["https://app.bar.com"], field: [name]}})
}

/// A level that has policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Virtualhost,
    PlainRoute,
    BelowSwitch,
}

/// The complete table is tried at one level; the others have two names that are each rejected for different kinds.
const LEVELS: [(Level, &[&str]); 3] = [
    (Level::PlainRoute, &[]),
    (Level::Virtualhost, &["X-Forwarded-Proto", "x-forwarded-for"]),
    (Level::BelowSwitch, &["X-Forwarded-Proto", "x-forwarded-for"]),
];

/// A field with a header, on a level.
#[derive(Debug)]
struct Case {
    host: String,
    path: String,
    name: &'static str,
    field: &'static str,
    level: Level,
    is_refused: bool,
}

/// A host whose cases share an IngressRoute.
struct Host {
    manifests: String,
    cases: Vec<Case>,
}

fn merged(mut one: Value, other: &Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other.clone()) {
        one.extend(other);
    }
    one
}

fn leaf(path: &str) -> Value {
    json!({"match": path, "services": [{"name": "web", "port": 80}]})
}

/// The hosts of a level: each virtualhost policy needs its own host, and route policies share one.
fn hosts_of(level: Level, name: &'static str, refused: &[Kind], first: usize, jwks: &Value) -> Vec<Host> {
    let case = |number: usize, index: usize, (field, kind, _): &Field| Case {
        host: format!("h{number}.bar.com"),
        path: format!("/f{index}"),
        name,
        field,
        level,
        is_refused: refused.contains(kind) && !field.starts_with("cors"),
    };
    let fields = FIELDS.iter().enumerate();
    let root = |number: usize, virtualhost: &Value, routes: &[Value]| {
        let fqdn = json!({"fqdn": format!("h{number}.bar.com")});
        ingress_route(
            &format!("r{number}"),
            &json!({"virtualhost": merged(fqdn, virtualhost), "routes": routes}),
        )
    };
    let routes = || -> Vec<Value> {
        let fields = fields.clone();
        fields
            .map(|(index, (_, _, policy))| merged(leaf(&format!("/f{index}")), &policy(name, jwks)))
            .collect()
    };
    let cases = || {
        fields
            .clone()
            .map(|(index, field)| case(first, index, field))
            .collect()
    };
    match level {
        Level::Virtualhost => fields
            .map(|(index, field)| Host {
                manifests: root(first + index, &field.2(name, jwks), &[leaf("/")]),
                cases: vec![case(first + index, index, field)],
            })
            .collect(),
        Level::PlainRoute => vec![Host {
            manifests: root(first, &json!({}), &routes()),
            cases: cases(),
        }],
        Level::BelowSwitch => {
            let branch = format!("d{first}");
            let delegate = json!({"match": "/", "delegate": {"name": branch}});
            let below = ingress_route(&branch, &json!({"routes": routes()}));
            vec![Host {
                manifests: root(first, &json!({}), &[delegate]) + &below,
                cases: cases(),
            }]
        }
    }
}

fn hosts(jwks: &Value) -> Vec<Host> {
    let mut hosts = Vec::new();
    for (level, names) in LEVELS {
        for (name, refused) in NAMES {
            if names.is_empty() || names.contains(&name) {
                hosts.extend(hosts_of(level, name, refused, hosts.len(), jwks));
            }
        }
    }
    hosts
}

// === impl Case ===

impl Case {
    /// The name of the IngressRoute in the output of `check`.
    fn place(&self) -> String {
        let owner = if self.level == Level::BelowSwitch {
            "d"
        } else {
            "r"
        };
        let number = self.host.trim_start_matches('h').trim_end_matches(".bar.com");
        format!("default/{owner}{number}")
    }

    fn is_told(&self, told: &str) -> bool {
        let (place, index) = (self.place(), self.path.trim_start_matches("/f"));
        let at = match self.level {
            Level::Virtualhost => "virtualhost.".to_owned(),
            Level::PlainRoute | Level::BelowSwitch => format!("routes[{index}]."),
        };
        told.lines().any(|line| {
            line.split([' ', ':']).any(|word| word == place)
                && line.contains(&at)
                && line.contains(self.field)
        })
    }

    /// Returns true if the service cannot answer: it does not get headers that only it may set, including the
    /// credential.
    fn is_unanswerable(&self) -> bool {
        self.name == "authorization" && self.field == "external.responseHeaders[0]"
    }

    fn request(&self, token: &str) -> String {
        let Self {
            host,
            path,
            name,
            field,
            ..
        } = self;
        // A rejected field needs no key, and its header might affect the message framing.
        let key = if *field == "apiKey.header" && !self.is_refused {
            format!("{name}: {KEY}\r\n")
        } else {
            String::new()
        };
        let credentials = if field.starts_with("jwt") {
            format!("Authorization: Bearer {token}\r\n")
        } else if field.starts_with("external") {
            "Authorization: yes a\r\n".to_owned()
        } else {
            String::new()
        };
        let length = BODY.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{key}{credentials}Content-Length: {length}\r\n\r\n{BODY}"
        )
    }

    fn check(&self, reply: &Reply, told: &str) -> Result<()> {
        if self.is_refused {
            ensure!(reply.status == Some(503), "it is served: {reply:?}");
            ensure!(self.is_told(told), "no error at the field");
            return Ok(());
        }
        ensure!(reply.status == Some(200), "it is not served: {reply:?}");
        // A rejection before the end of the body would close the connection.
        ensure!(reply.count() == 2, "not two answers: {reply:?}");
        ensure!(
            reply.seen()?.body_bytes == BODY.len() as u64,
            "the body is not whole: {reply:?}"
        );
        Ok(())
    }

    /// Sends a valid case twice on one connection, which reveals a request that ends in the wrong place.
    async fn ask(&self, world: &World, token: &str) -> Result<Reply> {
        let request = self.request(token);
        if self.is_refused {
            return raw::ask(world.http(), request.as_bytes()).await;
        }
        let last = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        raw::ask_until_closed(world.http(), (request + &last).as_bytes()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserved_headers_are_rejected_and_others_work() -> Result<()> {
    let (web, gate) = (Echo::start("web").await?, Gatekeeper::start().await?);
    let issuer = Issuer::new("ES256")?;
    let token = issuer.token(&json!({"sub": "ann"}))?;
    let jwks = json!({"inline": json!({"keys": [issuer.jwk()?]}).to_string()});
    let hosts = hosts(&jwks);
    let keys = json!({"type": "Opaque", "stringData": {"alice": KEY}});
    let h2c = [("projectcontour.io/upstream-protocol.h2c", "80")];
    let services = service("default", "web", &[web.address])
        + &service("default", "gate", &[gate.address])
        + &annotated_service("default", "limits", &[gate.address], &h2c)
        + &object("v1", "Secret", "keys", keys);
    let manifests: String = hosts.iter().map(|host| host.manifests.as_str()).collect();
    let builder = Builder::new(Source::Directory)?.manifest("hosts.yaml", &(services + &manifests))?;
    let world = builder.start().await?;
    let told = world.ask("check", &[]).await?.stdout;
    let cases = hosts.iter().flat_map(|host| &host.cases);
    let cases: Vec<_> = cases.filter(|case| !case.is_unanswerable()).collect();
    let came_of = stream::iter(&cases).map(async |case| {
        let held = until("it is as it should be", async || {
            case.check(&case.ask(&world, &token).await?, &told)
        });
        let what = || format!("{} in {} of {:?}", case.name, case.field, case.level);
        held.await.with_context(what)
    });
    let wrong: Vec<_> = came_of
        .buffer_unordered(AT_A_TIME)
        .filter_map(async |held| held.err().map(|error| format!("{error:#}")))
        // Each failure takes the full time limit, so that only some are reported.
        .take(AT_A_TIME)
        .collect()
        .await;
    ensure!(wrong.is_empty(), "of {}:\n{}", cases.len(), wrong.join("\n"));
    Ok(())
}
