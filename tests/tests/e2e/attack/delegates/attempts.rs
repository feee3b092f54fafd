//! The contents of a delegate.

use super::{
    Attempt,
    Entitled::{self, Denied, OutOfOrder, Served},
    PARENT,
};
use crate::attack::{branch, guarded, merged, to};
use serde_json::{Value, json};
use switchyard_tests::manifests::{ingress_route, object};

fn attempt(what: &'static str, spec: Value, entitled: Entitled) -> Attempt {
    Attempt {
        what,
        spec,
        more: String::new(),
        entitled,
        paths: &["/team/x"],
    }
}

/// `team` with one route for everything delegated to it, with these additional fields.
pub(super) fn saying(what: &'static str, more: &Value, entitled: Entitled) -> Attempt {
    attempt(
        what,
        json!({"routes": [merged(to("vault", "/team"), more)]}),
        entitled,
    )
}

/// `team` with these routes.
pub(super) fn routes(what: &'static str, routes: &Value, entitled: Entitled) -> Attempt {
    attempt(what, json!({"routes": routes}), entitled)
}

/// `team` as intended, with additional objects.
fn beside(what: &'static str, more: String, entitled: Entitled) -> Attempt {
    Attempt {
        more,
        ..saying(what, &json!({}), entitled)
    }
}

/// The delegate's own checks, which apply in addition to the parent's.
pub(super) fn own_checks() -> Vec<Attempt> {
    let all = json!({"ip": {"allow": ["0.0.0.0/0", "::/0"]}});
    let key = |place: Value| json!({"apiKey": merged(json!({"secretName": "own-keys"}), &place)});
    let basic = json!({"basic": {"secretName": "own-people"}});
    let any_of = |checks: Value| json!([{"anyOf": checks}]);
    let asked = |what, auth: Value, entitled| saying(what, &json!({"auth": auth}), entitled);
    let external = |more: Value| {
        let service = json!({"service": {"name": "web", "port": 80}, "timeout": "5s"});
        json!([{"external": merged(service, &more)}])
    };
    vec![
        asked("no auth", json!([]), Served("/team/x")),
        asked("all addresses", json!([all]), Served("/team/x")),
        asked(
            "any of all addresses",
            any_of(json!([all, basic])),
            Served("/team/x"),
        ),
        asked(
            "any of its keys and all addresses",
            any_of(json!([key(json!({"header": "x-own-key"})), all])),
            Served("/team/x"),
        ),
        asked(
            "its own keys in the same header",
            json!([key(json!({"header": "x-api-key"}))]),
            Denied,
        ),
        asked(
            "its own keys, or none, in the same header",
            any_of(json!([key(json!({"header": "x-api-key"})), all])),
            Served("/team/x"),
        ),
        asked(
            "its own keys elsewhere",
            json!([key(json!({"header": "x-own-key"}))]),
            Denied,
        ),
        asked(
            "its own keys in the query",
            json!([key(json!({"query": "key"}))]),
            Denied,
        ),
        asked("its own people", json!([basic]), Denied),
        asked("its own service", external(json!({})), Served("/team/x")),
        asked(
            "its own service, or none",
            external(json!({"onFailure": "allow"})),
            Served("/team/x"),
        ),
        asked(
            "a service that says who it is",
            {
                external(
                    json!({"responseHeaders": ["x-api-key", "x-backend"], "requestHeaders": ["x-api-key"]}),
                )
            },
            Served("/team/x"),
        ),
        asked(
            "a Secret that is not there",
            json!([{"basic": {"secretName": "nothing"}}]),
            OutOfOrder,
        ),
        asked("a check of nothing", json!([{}]), OutOfOrder),
        asked("an empty anyOf", any_of(json!([])), OutOfOrder),
        asked(
            "addresses that are none",
            json!([{"ip": {"allow": ["everywhere"]}}]),
            OutOfOrder,
        ),
    ]
}

/// Edits of headers.
pub(super) fn edits() -> Vec<Attempt> {
    let set = |name: &str, value: &str| json!([{"name": name, "value": value}]);
    let edit = |what, edits: Value, entitled| saying(what, &json!({"headers": {"request": edits}}), entitled);
    let mut attempts = vec![
        edit(
            "sets the credential",
            json!({"set": set("x-api-key", "open sesame")}),
            Served("/team/x"),
        ),
        edit(
            "adds the credential",
            json!({"add": set("X-Api-Key", "open sesame")}),
            Served("/team/x"),
        ),
        edit(
            "removes the credential",
            json!({"remove": ["x-api-key"]}),
            Served("/team/x"),
        ),
        edit(
            "sets an address",
            json!({"set": set("x-forwarded-for", "192.0.2.7")}),
            Served("/team/x"),
        ),
        edit(
            "removes an address",
            json!({"remove": ["x-forwarded-for", "x-request-id"]}),
            Served("/team/x"),
        ),
    ];
    for name in [
        "x-switchyard-user",
        "X-Switchyard-Auth",
        "x-switchyard-route",
        "x-switchyard-cluster",
        "x-switchyard-mirror-0",
        "x-switchyard-anything",
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-original-path",
        "host",
        "Host",
        ":path",
        ":authority",
        ":method",
        "connection",
        "transfer-encoding",
        "content-length",
        "x: y",
        "",
    ] {
        let says = [
            ("/team", json!({"set": set(name, "root")})),
            ("/team/add", json!({"add": set(name, "root")})),
            ("/team/remove", json!({"remove": [name]})),
        ];
        let says =
            says.map(|(prefix, edits)| merged(to("vault", prefix), &json!({"headers": {"request": edits}})));
        attempts.push(Attempt {
            paths: &["/team/x", "/team/add", "/team/remove"],
            ..routes("changes what is not its own", &json!(says), OutOfOrder)
        });
    }
    attempts.push(edit(
        "sets two headers in one",
        json!({"set": set("x", "y\r\nx-api-key: open sesame")}),
        OutOfOrder,
    ));
    attempts
}

/// All other fields of a route.
pub(super) fn other_words() -> Vec<Attempt> {
    let say = |what, more: Value| saying(what, &more, Served("/team/x"));
    vec![
        say("nothing", json!({})),
        say(
            "CORS for all",
            json!({"cors": {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"]}}),
        ),
        say(
            "CORS with credentials",
            json!({"cors": {
                "allowOrigins": ["https://evil.example"], "allowCredentials": true,
                "exposeHeaders": ["x-switchyard-user"], "maxAgeSeconds": 86400,
            }}),
        ),
        say(
            "no challenge, no word of limits, and its own word on answers",
            json!({"headers": {"response": {
                "set": [{"name": "x-team", "value": "a"}],
                "add": [{"name": "set-cookie", "value": "branch=a"}],
                "remove": ["www-authenticate", "retry-after", "ratelimit-remaining", "x-switchyard"],
            }}}),
        ),
        say("a mirror", json!({"mirror": [{"service": "vault", "port": 80}]})),
        say(
            "a limit",
            json!({"rateLimits": [{"requests": 1_000_000, "unit": "second", "dryRun": true}]}),
        ),
        say("places", json!({"concurrency": {"max": 1_000_000}})),
        say(
            "patience",
            json!({"timeoutPolicy": {"request": "infinity"}, "retryPolicy": {"count": 9, "perTryTimeout": "30s"}}),
        ),
        say(
            "WebSockets",
            json!({"enableWebsockets": true, "permitInsecure": true}),
        ),
        // A directory source rejects the route for the unknown field; an API server drops the field.
        saying(
            "what nobody knows",
            &json!({"inherit": false, "policies": "none", "conditions": [{"prefix": "/"}]}),
            OutOfOrder,
        ),
        saying(
            "another prefix to the upstream",
            &json!({"prefixRewrite": "/"}),
            Served("/x"),
        ),
        saying(
            "the prefix of others to the upstream",
            &json!({"prefixRewrite": "/admin"}),
            Served("/admin/x"),
        ),
    ]
}

/// Paths and destinations outside the delegated ones.
pub(super) fn other_places() -> Vec<Attempt> {
    let own = to("vault", "/team");
    let out = |prefix: &str| json!([own, to("vault", prefix)]);
    let go_on = |target: &str, more: &Value| {
        let further = merged(json!({"name": target}), more);
        json!([{"match": "/team", "delegate": further}])
    };
    let below = |attempt: Attempt| Attempt {
        more: branch("below", &json!([own])) + &branch("beside", &json!([to("vault", "/team")])),
        ..attempt
    };
    let standby = json!({"namespace": "default", "standby": ["beside"], "preview": {"branch": "beside", "header": "x-preview", "value": "yes"}});
    let by_key = json!({"standby": ["beside"], "preview": {"header": "x-api-key", "value": "open sesame"}});
    let sticky = json!({"standby": ["beside"], "canary": {"branch": "beside", "percent": 50}, "sticky": {"cookie": "branch", "ttlSeconds": 60}});
    let mut attempts: Vec<_> = [
        "/",
        "/teams",
        "/admin",
        "/TEAM",
        "//team/x",
        "/team/../x",
        "/x/../team",
        "team",
        "*",
        "",
    ]
    .into_iter()
    .map(|prefix| routes("a place that it was not given", &out(prefix), Served("/team/x")))
    .collect();
    attempts.extend([
        routes("nothing", &json!([]), OutOfOrder),
        routes(
            "only a place that it was not given",
            &json!([to("vault", "/")]),
            OutOfOrder,
        ),
        routes(
            "its place twice",
            &json!([own, guarded(own.clone())]),
            Served("/team/x"),
        ),
        below(routes("another", &go_on("below", &json!({})), Served("/team/x"))),
        below(routes(
            "another, by a header",
            &go_on("below", &standby),
            Served("/team/x"),
        )),
        below(routes(
            "another, by the key",
            &go_on("below", &by_key),
            Served("/team/x"),
        )),
        below(routes(
            "another, by a cookie",
            &go_on("below", &sticky),
            Served("/team/x"),
        )),
        routes(
            "another, by another name",
            &{ json!([{"match": "/team", "prefixRewrite": "/", "delegate": {"name": "mounted"}}]) },
            Served("/x"),
        ),
        routes("itself", &go_on("team", &json!({})), OutOfOrder),
        routes("the parent", &go_on("parent", &json!({})), OutOfOrder),
        routes("nobody", &go_on("nobody", &json!({})), OutOfOrder),
        routes(
            "services and another",
            &json!([merged(own.clone(), &json!({"delegate": {"name": "below"}}))]),
            OutOfOrder,
        ),
        routes(
            "services elsewhere",
            &json!([to("default/vault", "/team")]),
            OutOfOrder,
        ),
    ]);
    attempts
}

/// Other objects in the delegate's namespace.
pub(super) fn other_objects() -> Vec<Attempt> {
    let rival = |fqdn: &str, more: &Value| {
        let spec = merged(
            json!({"virtualhost": {"fqdn": fqdn}, "routes": [to("vault", "/")]}),
            more,
        );
        ingress_route("rival", &spec)
    };
    let tcp = json!({"tcpproxy": {"services": [{"name": "vault", "port": 80}]}});
    let own = |spec: Value| merged(json!({"routes": [to("vault", "/team")]}), &spec);
    let certificates = json!({"spec": {"delegations": [{"secretName": "keys", "targetNamespaces": ["*"]}]}});
    vec![
        attempt(
            "a virtualhost without a name",
            own(json!({"virtualhost": {}})),
            OutOfOrder,
        ),
        attempt(
            "a host of its own",
            own(json!({"virtualhost": {"fqdn": "own.bar.com"}})),
            OutOfOrder,
        ),
        attempt(
            "the parent's host",
            own(json!({"virtualhost": {"fqdn": PARENT}})),
            OutOfOrder,
        ),
        attempt("connections", own(tcp.clone()), Served("/team/x")),
        beside("a second root", rival(PARENT, &json!({})), Served("/team/x")),
        beside(
            "a second root, in other letters",
            rival("PARENT.bar.com", &json!({})),
            Served("/team/x"),
        ),
        beside(
            "a second root for connections",
            rival(PARENT, &tcp),
            Served("/team/x"),
        ),
        beside(
            "a root with a dot",
            rival("parent.bar.com.", &json!({})),
            Served("/team/x"),
        ),
        beside(
            "a root with a port",
            rival("parent.bar.com:80", &json!({})),
            Served("/team/x"),
        ),
        beside("a root for all", rival("*", &json!({})), Served("/team/x")),
        beside(
            "a root for all of a domain",
            rival("*.bar.com", &json!({})),
            Served("/team/x"),
        ),
        beside(
            "a certificate for all",
            {
                object(
                    "contour.heptio.com/v1beta1",
                    "TLSCertificateDelegation",
                    "all",
                    certificates,
                )
            },
            Served("/team/x"),
        ),
    ]
}
