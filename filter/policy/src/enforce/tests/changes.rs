//! Edits of requests and responses.

use super::*;
use crate::{enforce::results::QUOTA_HEADERS, local_reply::LocalReply};

/// The request's headers as an upstream gets them, but for those that start with `:`.
fn sent(fixture: &mut PolicyFixture, headers: &[(&str, &str)]) -> Vec<String> {
    let AdvancedRequest {
        action,
        enforcement,
        client,
    } = fixture.send(headers);
    assert!(action.is_done());
    let Client(mut headers) = client;
    for edit in enforcement.request_edits() {
        edit.apply(&mut headers);
    }
    let others = headers.iter().filter(|(name, _)| !name.starts_with(':'));
    others
        .map(|(name, value)| format!("{name}: {}", text(value)))
        .collect()
}

fn edits(fields: &str) -> String {
    format!(r#""headers": {{"request": {{{fields}}}}}"#)
}

#[wasm_bindgen_test(unsupported = test)]
fn headers_are_removed_then_set_then_added() {
    let fields = edits(
        r#""add": [{"name": "x-a", "value": "3"}], "set": [{"name": "x-a", "value": "2"}, {"name": "x-b", "value": "2"}],
           "remove": ["x-a", "x-c"]"#,
    );
    let mut fixture = PolicyFixture::new(&[&fields]);
    let got = sent(
        &mut fixture,
        &[("x-a", "1"), ("x-b", "1"), ("x-c", "1"), ("x-d", "1")],
    );
    assert_eq!(got, ["x-d: 1", "x-a: 2", "x-b: 2", "x-a: 3"]);
}

#[wasm_bindgen_test(unsupported = test)]
fn outermost_scope_edits_last() {
    let [outer, inner] = ["outer", "inner"].map(|who| {
        edits(&format!(
            r#""set": [{{"name": "x-a", "value": {who:?}}}], "add": [{{"name": "x-b", "value": {who:?}}}]"#
        ))
    });
    let mut fixture = PolicyFixture::new(&[&outer, &inner]);
    assert_eq!(
        sent(&mut fixture, &[]),
        ["x-b: inner", "x-a: outer", "x-b: outer"]
    );
    let response =
        |who: &str| format!(r#""headers": {{"response": {{"set": [{{"name": "x-a", "value": {who:?}}}]}}}}"#);
    let advanced = PolicyFixture::new(&[&response("outer"), &response("inner")]).send(&[]);
    let want = [Edit::Set("x-a", b"inner"), Edit::Set("x-a", b"outer")];
    assert_eq!(advanced.enforcement.response_edits(), want);
}

/// The names of the headers of the filter's response, or of that of an upstream without headers.
fn answered(fixture: &mut PolicyFixture, headers: &[(&str, &str)]) -> Vec<String> {
    let AdvancedRequest {
        action,
        enforcement,
        client,
    } = fixture.send(headers);
    let mut response = match action {
        NextAction::Done => LocalReply::empty(200),
        NextAction::Refuse(refusal) => refusal.response(client.request()),
        NextAction::LocalReply(response) => response,
        other => panic!("{other:?}"),
    };
    response.edit(&enforcement.response_edits());
    response.headers.into_iter().map(|(name, _)| name).collect()
}

/// `RateLimit-*`, `Retry-After` and `WWW-Authenticate` belong to the scope that limits or authenticates.
#[wasm_bindgen_test(unsupported = test)]
fn scope_cannot_remove_response_headers_of_scopes_above() {
    let limit = r#""rateLimits": [{"local": {"requests": 1, "perSeconds": 60, "burst": 1}}]"#;
    let removes = |more: &str| {
        let names = QUOTA_HEADERS.map(|name| format!("{name:?}")).join(", ");
        format!(
            r#""headers": {{"response": {{"remove": ["retry-after", "www-authenticate", {names}]}}}}{more}"#
        )
    };
    let retry_after = [&["retry-after", "content-type"][..], &QUOTA_HEADERS].concat();
    let people = r#""auth": [{"anyOf": [{"basic": {"realm": "shop", "users": {}}}]}]"#;
    let challenge = vec!["www-authenticate", "content-type"];
    let own_limit =
        r#", "rateLimits": [{"local": {"requests": 1, "perSeconds": 60, "burst": 1, "key": ["path"]}}]"#;
    let (says_nothing, type_alone) = (vec![], vec!["content-type"]);
    for (scopes, first, second) in [
        (&[limit, &removes("")][..], QUOTA_HEADERS.to_vec(), &retry_after),
        // This holds even if the scope below has a limit that leaves less, or as much.
        (
            &[limit, &removes(own_limit)],
            QUOTA_HEADERS.to_vec(),
            &retry_after,
        ),
        (&[people, &removes("")], challenge.clone(), &challenge),
        // The scope itself may, and one above.
        (
            &[&format!("{limit}, {}", removes(""))],
            says_nothing.clone(),
            &type_alone,
        ),
        (&[&removes(""), limit], says_nothing, &type_alone),
        (&[&removes(""), people], type_alone.clone(), &type_alone),
    ] {
        let mut fixture = PolicyFixture::new(scopes);
        assert_eq!(answered(&mut fixture, &[]), first, "{scopes:?}");
        assert_eq!(answered(&mut fixture, &[]), *second, "{scopes:?}");
    }
}

/// The request has not reached the scopes below.
#[wasm_bindgen_test(unsupported = test)]
fn local_reply_is_edited_by_its_scope_and_those_above() {
    let says = |who: &str, more: &str| {
        format!(r#""headers": {{"response": {{"set": [{{"name": "x-{who}", "value": "1"}}]}}}}{more}"#)
    };
    let cors = r#", "cors": {"allowOrigins": ["*"]}"#;
    let nobody = r#", "auth": [{"anyOf": [{"ip": {"allow": ["198.51.100.0/24"]}}]}]"#;
    let page = [
        (":method", "OPTIONS"),
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
    ];
    for (more, headers) in [(cors, &page[..]), (nobody, &[])] {
        let mut fixture = PolicyFixture::new(&[&says("outer", ""), &says("own", more), &says("inner", "")]);
        let names = answered(&mut fixture, headers);
        let told: Vec<_> = names.iter().filter(|name| name.starts_with("x-")).collect();
        assert_eq!(told, ["x-own", "x-outer"], "{more}");
    }
}

/// The key is `open sesame`.
const KEYS: &str = r#""keys": {"41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb": "alice"}"#;

fn api_key(sources: &str) -> String {
    format!(r#""auth": [{{"anyOf": [{{"apiKey": {{{sources}, {KEYS}}}}}]}}]"#)
}

#[wasm_bindgen_test(unsupported = test)]
fn upstream_gets_identity_but_no_key() {
    let fields = api_key(r#""header": "x-api-key", "query": "key""#);
    let mut fixture = PolicyFixture::new(&[&fields]);
    let got = sent(&mut fixture, &[("x-api-key", "open sesame"), ("x-a", "1")]);
    assert_eq!(
        got,
        ["x-a: 1", "x-switchyard-user: alice", "x-switchyard-auth: apiKey"]
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn keys_are_removed_from_query() {
    let fields = api_key(r#""query": "key""#);
    let mut fixture = PolicyFixture::new(&[&fields, &api_key(r#""query": "k""#)]);
    for (path, want) in [
        ("/a?key=open%20sesame&b=c&k=open%20sesame", Some("/a?b=c")),
        ("/a?key=wrong", Some("/a")),
        ("/a?b=c", None),
        ("/a", None),
    ] {
        let AdvancedRequest {
            enforcement, client, ..
        } = fixture.send(&[(":path", path)]);
        let target = enforcement.target(client.request());
        assert_eq!(target.as_deref().map(text), want, "{path}");
    }
}

/// Otherwise a scope below could identify a client to its own upstream as it likes.
#[wasm_bindgen_test(unsupported = test)]
fn scope_cannot_set_protected_headers_of_scopes_above() {
    let outer = api_key(r#""header": "x-api-key""#);
    let forged =
        edits(r#""set": [{"name": "x-api-key", "value": "forged"}], "add": [{"name": "x-a", "value": "1"}]"#);
    let mut fixture = PolicyFixture::new(&[&outer, &forged]);
    let got = sent(&mut fixture, &[("x-api-key", "open sesame")]);
    assert_eq!(
        got,
        ["x-a: 1", "x-switchyard-user: alice", "x-switchyard-auth: apiKey"]
    );
    // The scope that requires the key may set the header.
    let mut fixture = PolicyFixture::new(&[&format!("{outer}, {forged}")]);
    let got = sent(&mut fixture, &[("x-api-key", "open sesame")]);
    assert_eq!(got.first().unwrap(), "x-api-key: forged");
}

fn steering(scopes: &[&str], overrides: RouteOverrides) -> Vec<String> {
    let advanced = PolicyFixture::new(scopes).send_with(&[], overrides);
    let edits = advanced.enforcement.request_edits();
    edits
        .into_iter()
        .map(|edit| match edit {
            Edit::Set(name, value) => format!("{name}: {}", text(value)),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn innermost_timeout_and_retries_apply() {
    let outer = r#""timeoutMs": 1000, "retry": {"count": 1, "perTryTimeoutMs": 100}"#;
    let inner = r#""timeoutMs": 0"#;
    let retries = [
        "x-envoy-retry-on: 5xx",
        "x-envoy-max-retries: 1",
        "x-envoy-upstream-rq-per-try-timeout-ms: 100",
    ];
    let timeout = |milliseconds: u32| format!("x-envoy-upstream-rq-timeout-ms: {milliseconds}");
    for (scopes, overrides, want) in [
        (
            &[outer][..],
            RouteOverrides::default(),
            [&[timeout(1000)][..], &retries.map(str::to_owned)].concat(),
        ),
        (
            &[outer, inner],
            RouteOverrides::default(),
            [&[timeout(0)][..], &retries.map(str::to_owned)].concat(),
        ),
        (
            &[outer, inner],
            RouteOverrides {
                timeout: true,
                retry: false,
            },
            retries.map(str::to_owned).to_vec(),
        ),
        (
            &[outer, inner],
            RouteOverrides {
                timeout: false,
                retry: true,
            },
            vec![timeout(0)],
        ),
        (
            &[outer, inner],
            RouteOverrides {
                timeout: true,
                retry: true,
            },
            vec![],
        ),
        (&[inner, ""], RouteOverrides::default(), vec![timeout(0)]),
        (&["", ""], RouteOverrides::default(), vec![]),
    ] {
        assert_eq!(steering(scopes, overrides), want, "{scopes:?} {overrides:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn each_mirror_has_its_own_header() {
    let outer = r#""mirror": [{"cluster": "a", "percent": 100}, {"cluster": "b", "percent": 50}]"#;
    let inner = r#""mirror": [{"cluster": "c", "percent": 100, "match": {"methods": ["GET"]}},
                              {"cluster": "d", "percent": 100, "match": {"methods": ["PUT"]}}]"#;
    let mut fixture = PolicyFixture::new(&[outer, inner]);
    let [first, second] = [(); 2].map(|()| sent(&mut fixture, &[]));
    assert_eq!(first, ["x-switchyard-mirror-0: a", "x-switchyard-mirror-1: c"]);
    assert_eq!(
        second,
        [
            "x-switchyard-mirror-0: a",
            "x-switchyard-mirror-1: b",
            "x-switchyard-mirror-2: c"
        ]
    );
}

/// The filter need not see the requests that it does not copy.
#[wasm_bindgen_test(unsupported = test)]
fn mirror_only_policy_records_only_mirrored_requests() {
    let mirror = r#""mirror": [{"cluster": "a", "percent": 100}]"#;
    let more = format!(
        r#"{mirror}, {}"#,
        edits(r#""set": [{"name": "x-a", "value": "1"}]"#)
    );
    let mut fixture = PolicyFixture::new(&[mirror, &more]);
    fixture.send(&[]);
    let want = ["0 mirror[0]: Mirrored", "1 mirror[0]: Mirrored", "1: through"];
    assert_eq!(fixture.observer.0, want);
}

/// Otherwise a scope could control the proxy.
#[wasm_bindgen_test(unsupported = test)]
fn policies_cannot_set_headers_that_control_envoy() {
    for name in [
        "x-switchyard-cluster",
        "x-envoy-upstream-rq-timeout-ms",
        ":path",
        "host",
    ] {
        for field in ["set", "add"] {
            let fields = format!(
                r#"{{"source": "s", {}}}"#,
                edits(&format!(r#""{field}": [{{"name": "{name}", "value": "1"}}]"#))
            );
            let policy = config::Policy::from_json(fields.as_bytes()).unwrap();
            assert!(policy.check().is_err(), "{field} {name}");
        }
    }
}
