//! What is wrong with a tcpproxy.

use super::*;

/// A root with this tcpproxy, and perhaps a delegate `child` with that one.
fn case(
    rule: &'static str,
    (root, child): (Value, Option<Value>),
    (about, field, message): (&'static str, &'static str, &'static str),
) -> Case {
    let virtualhost = json!({"fqdn": "example.com", "tls": {"passthrough": true}});
    let root = ingress_route("root", json!({"virtualhost": virtualhost, "tcpproxy": root}));
    let child = child.map(|tcpproxy| ingress_route("child", json!({"tcpproxy": tcpproxy})));
    Case {
        rule,
        objects: [root, service("home")].into_iter().chain(child).collect(),
        about,
        state: State::Invalid,
        errors: vec![(field, message)],
    }
}

fn services(name: &str) -> Value {
    json!({"services": [{"name": name, "port": 8080}]})
}

fn to_child() -> Value {
    json!({"delegate": {"name": "child"}})
}

#[test]
fn tcpproxy_texts() {
    let both = json!({"services": [{"name": "home", "port": 8080}], "delegate": {"name": "child"}});
    let text = "tcpproxy: cannot specify services and delegate in the same tcpproxy";
    let services_and_delegate = case("both", (both, None), ("root", "spec.tcpproxy", text));
    let text = "tcpproxy: either services or delegate must be specified";
    let neither = case("neither", (json!({}), None), ("root", "spec.tcpproxy", text));
    let text = "tcpproxy: service default/away/8080: not found";
    let field = "spec.tcpproxy.services[0].name";
    let missing = case("missing service", (services("away"), None), ("root", field, text));
    let mut weighted = services("home");
    weighted["services"][0]["weight"] = json!(-5);
    let text = "tcpproxy: service \"home\": weight must be greater than or equal to zero";
    let field = "spec.tcpproxy.services[0].weight";
    let weight = case("weight", (weighted, None), ("root", field, text));
    check(
        &Settings::default(),
        vec![services_and_delegate, neither, missing, weight],
    );
}

#[test]
fn tcpproxy_delegation_texts() {
    let field = "spec.tcpproxy.delegate";
    let text = "tcpproxy: delegate default/child not found";
    let missing = case("missing delegate", (to_child(), None), ("root", field, text));
    let text = "tcpproxy: delegate name must be specified";
    let unnamed = json!({"delegate": {}});
    let unnamed = case(
        "unnamed",
        (unnamed, None),
        ("root", "spec.tcpproxy.delegate.name", text),
    );
    let text = "tcpproxy: standby, preview, canary and sticky are for routes only";
    let branches = json!({"delegate": {"name": "child", "standby": ["other"]}});
    let branches = case(
        "branches",
        (branches, Some(services("home"))),
        ("root", field, text),
    );
    let text = "tcpproxy creates a delegation cycle: default/root -> default/child -> default/child";
    let cycle = case("cycle", (to_child(), Some(to_child())), ("child", field, text));
    let text = "tcpproxy: delegate default/child has no tcpproxy";
    let mut without = case(
        "a delegate without tcpproxy",
        (to_child(), None),
        ("root", field, text),
    );
    without.objects.push(delegate("child", json!([leaf("/")])));
    check(
        &Settings::default(),
        vec![missing, unnamed, branches, cycle, without],
    );
}

#[test]
fn tcpproxy_without_tls_text() {
    let spec = json!({"virtualhost": {"fqdn": "example.com"}, "tcpproxy": services("home")});
    let text = "tcpproxy: missing tls.passthrough or tls.secretName";
    let case = bad_root("without TLS", spec, vec![("spec.tcpproxy", text)]);
    check(&Settings::default(), vec![case]);
}
