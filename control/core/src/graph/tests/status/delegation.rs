//! What is wrong with a delegation.

use super::*;

#[test]
fn delegation_texts() {
    let cases = [
        (
            "a child's leaf leaves the bound",
            delegate("child", json!([leaf("/foo"), leaf("/bar")])),
            ("child", "spec.routes[1].match"),
            "the path prefix \"/bar\" does not match the parent's path prefix \"/foo\"",
        ),
        (
            "the bound is of whole segments",
            delegate("child", json!([leaf("/foobar")])),
            ("child", "spec.routes[0].match"),
            "the path prefix \"/foobar\" does not match the parent's path prefix \"/foo\"",
        ),
        (
            "a child's delegating route leaves the bound",
            delegate("child", json!([to("/admin", "child2")])),
            ("child", "spec.routes[0].match"),
            "the path prefix \"/admin\" does not match the parent's path prefix \"/foo\"",
        ),
        (
            "cycle of one",
            delegate("child", json!([to("/foo", "child")])),
            ("child", "spec.routes[0].delegate"),
            "route creates a delegation cycle: default/root -> default/child -> default/child",
        ),
        (
            "a delegate that is a root",
            delegate("child", json!([to("/foo", "root")])),
            ("child", "spec.routes[0].delegate"),
            "root ingressroute cannot delegate to another root ingressroute",
        ),
        (
            "a missing delegate",
            delegate("unrelated", json!([leaf("/foo")])),
            ("root", "spec.routes[0].delegate"),
            "route \"/foo\": delegate default/child not found",
        ),
    ];
    let root = || root("root", "example.com", json!([to("/foo", "child")]));
    let case = |(rule, child, (about, field), message)| Case {
        rule,
        objects: vec![root(), child, service("home")],
        about,
        state: State::Invalid,
        errors: vec![(field, message)],
    };
    check(&Settings::default(), cases.map(case).into());
}

#[test]
fn delegate_name_text() {
    let errors = vec![(
        "spec.routes[0].delegate.name",
        "route \"/foo\": delegate name must be specified",
    )];
    check(
        &Settings::default(),
        vec![bad_delegate("unnamed", json!({}), errors)],
    );
}

/// What is wrong with `standby` and what goes with it, on a route that delegates to `blue`.
#[test]
fn standby_texts() {
    let cases = [
        (
            json!({"standby": [""]}),
            "spec.routes[0].delegate.standby[0]",
            "route \"/foo\": standby name must be specified",
        ),
        (
            json!({"standby": ["green"], "preview": {"header": "x-preview", "value": "1", "branch": "red"}}),
            "spec.routes[0].delegate.preview.branch",
            "route \"/foo\": preview.branch \"red\" is not a branch of this route: add it to standby",
        ),
        (
            json!({"standby": ["green"], "canary": {"percent": 0, "branch": "red"}}),
            "spec.routes[0].delegate.canary.branch",
            "route \"/foo\": canary.branch \"red\" is not a branch of this route: add it to standby",
        ),
        (
            json!({"standby": ["green", "red"]}),
            "spec.routes[0].delegate.standby[1]",
            "route \"/foo\": delegate default/red not found",
        ),
        (
            json!({"preview": {"header": "x-preview", "value": "1"}}),
            "spec.routes[0].delegate.preview",
            "route \"/foo\": preview needs a standby",
        ),
        (
            json!({"standby": ["green"], "preview": {"header": "x preview", "value": "1"}}),
            "spec.routes[0].delegate.preview.header",
            "route \"/foo\": preview header \"x preview\" is not a header name",
        ),
        (
            json!({"standby": ["green"], "preview": {"header": "Host", "value": "1"}}),
            "spec.routes[0].delegate.preview.header",
            "route \"/foo\": preview header \"Host\" is one that requests never have here: choose another header",
        ),
        (
            json!({"standby": ["green"], "preview": {"header": "x-switchyard-user", "value": "1"}}),
            "spec.routes[0].delegate.preview.header",
            "route \"/foo\": preview header \"x-switchyard-user\" is one that requests never have here: choose another header",
        ),
        (
            json!({"standby": ["green"], "preview": {"header": "x-preview", "value": ""}}),
            "spec.routes[0].delegate.preview.value",
            "route \"/foo\": preview value must be printable and not empty",
        ),
        (
            json!({"canary": {"percent": 5}}),
            "spec.routes[0].delegate.canary",
            "route \"/foo\": canary needs a standby",
        ),
        (
            json!({"standby": ["green"], "canary": {"percent": 101}}),
            "spec.routes[0].delegate.canary.percent",
            "route \"/foo\": canary percent must be in the range 0-100",
        ),
        (
            json!({"sticky": {"cookie": "a;b"}}),
            "spec.routes[0].delegate.sticky.cookie",
            "route \"/foo\": sticky cookie \"a;b\" is not a cookie name",
        ),
        (
            json!({"sticky": {"cookie": "branch", "ttlSeconds": -1}}),
            "spec.routes[0].delegate.sticky.ttlSeconds",
            "route \"/foo\": sticky ttlSeconds must be greater than or equal to zero",
        ),
    ];
    let case = |(mut fields, field, message): (Value, _, _)| {
        fields["name"] = json!("blue");
        bad_delegate(message, fields, vec![(field, message)])
    };
    check(&Settings::default(), cases.map(case).into());
}
