//! What is wrong with policies.

mod auth;
mod changes;
mod limits;

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
        htpasswd(
            "cut",
            "alice:$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe\n",
        ),
        htpasswd("costly", &format!("# staff\nbob:$2y$15${}\n", "C".repeat(53))),
        htpasswd("apr1", "bob:$apr1$saltsaltsalt$B0KvBCkYcdIfXEHtb6lQp1\n"),
        htpasswd("sha", "bob:{SHA}W6ph5Mm5Pz8=\n"),
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
