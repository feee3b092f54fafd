//! The order of checks; no scope below undoes a check of a scope above.

use super::*;

const LIMIT: &str = r#"{"local": {"requests": 1, "perSeconds": 60, "burst": 100}}"#;
const BY_CLAIM: &str =
    r#"{"local": {"requests": 1, "perSeconds": 60, "burst": 100, "key": [{"claim": "sub"}]}}"#;
const ANYBODY: &str = r#"{"anyOf": [{"ip": {"allow": ["0.0.0.0/0"]}}]}"#;

#[wasm_bindgen_test(unsupported = test)]
fn stages_run_in_order_outer_scopes_first() {
    let all = format!(
        r#""auth": [{ANYBODY}, {ANYBODY}], "rateLimits": [{BY_CLAIM}, {LIMIT}], "concurrency": {{"max": 9}},
           "mirror": [{{"cluster": "m", "percent": 100}}]"#
    );
    let mut fixture = PolicyFixture::new(&[&all, &all]);
    assert!(fixture.send(&[]).action.is_done());
    let want = [
        "0 rateLimits[1]: Passed",
        "1 rateLimits[1]: Passed",
        "0 auth[0]: Passed",
        "0 auth[1]: Passed",
        "1 auth[0]: Passed",
        "1 auth[1]: Passed",
        "0 rateLimits[0]: Passed",
        "1 rateLimits[0]: Passed",
        "0 concurrency: Passed",
        "1 concurrency: Passed",
        "0 mirror[0]: Mirrored",
        "1 mirror[0]: Mirrored",
        "0: through",
        "1: through",
    ];
    assert_eq!(fixture.observer.0, want);
}

#[wasm_bindgen_test(unsupported = test)]
fn nothing_is_checked_after_a_refusal() {
    let nobody = r#""auth": [{"anyOf": [{"ip": {"deny": ["0.0.0.0/0"]}}]}]"#;
    let inner = format!(r#""auth": [{ANYBODY}], "concurrency": {{"max": 1}}, "rateLimits": [{LIMIT}]"#);
    let mut fixture = PolicyFixture::new(&[nobody, &inner]);
    assert_eq!(fixture.send(&[]).refusal().policy, "0 auth[0]");
    let want = ["1 rateLimits[0]: Passed", "0 auth[0]: Refused(\"address\")"];
    assert_eq!(fixture.observer.0, want);
}

/// Property tests; not in Node, where proptest is not available.
#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    fn when() -> impl Strategy<Value = String> {
        let methods = prop_oneof![
            Just(""),
            Just(r#""methods": ["GET"],"#),
            Just(r#""methods": ["OPTIONS", "PUT"],"#)
        ];
        let prefix = prop_oneof![Just("/"), Just("/a"), Just("/a/b")];
        let headers = prop_oneof![
            Just(""),
            Just(r#"{"name": "x-a"}"#),
            Just(r#"{"name": "x-a", "value": "1"}"#)
        ];
        (methods, prefix, headers).prop_map(|(methods, prefix, headers)| {
            format!(r#"{{{methods} "prefix": {prefix:?}, "headers": [{headers}]}}"#)
        })
    }

    fn key() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just(r#""clientIP""#),
            Just(r#""path""#),
            Just(r#""method""#),
            Just(r#"{"header": "x-a"}"#),
            Just(r#"{"cookie": "c"}"#),
            Just(r#"{"claim": "sub"}"#),
        ];
        prop::collection::vec(part, 0..3).prop_map(|parts| parts.join(","))
    }

    fn limit() -> impl Strategy<Value = String> {
        (1..4_u32, key(), when(), any::<bool>()).prop_map(|(burst, key, when, dry_run)| {
            format!(
                r#"{{"match": {when}, "dryRun": {dry_run},
                    "local": {{"requests": 1, "perSeconds": 60, "burst": {burst}, "key": [{key}]}}}}"#
            )
        })
    }

    fn check() -> impl Strategy<Value = &'static str> {
        // The key is `open sesame`.
        prop_oneof![
            Just(r#"{"ip": {"allow": ["192.0.2.0/24"]}}"#),
            Just(r#"{"ip": {"deny": ["192.0.2.0/24"]}}"#),
            Just(r#"{"ip": {"allow": ["198.51.100.0/24"]}}"#),
            Just(
                r#"{"apiKey": {"header": "x-api-key", "query": "key", "keys": {
                    "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb": "alice"}}}"#
            ),
        ]
    }

    fn requirement() -> impl Strategy<Value = String> {
        prop::collection::vec(check(), 1..3)
            .prop_map(|checks| format!(r#"{{"anyOf": [{}]}}"#, checks.join(",")))
    }

    fn cors() -> impl Strategy<Value = &'static str> {
        prop_oneof![
            Just(""),
            Just(r#""cors": {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"]},"#),
            Just(r#""cors": {"allowOrigins": ["https://a.com"], "allowCredentials": true},"#),
        ]
    }

    fn edits() -> impl Strategy<Value = &'static str> {
        prop_oneof![
            Just(""),
            Just(r#""headers": {"request": {"set": [{"name": "x-api-key", "value": "open sesame"}]}},"#),
            Just(r#""headers": {"request": {"remove": ["x-api-key", "authorization", "origin"]}},"#),
            Just(r#""timeoutMs": 0, "retry": {"count": 9},"#),
            Just(r#""mirror": [{"cluster": "m", "percent": 50}],"#),
        ]
    }

    fn scope() -> impl Strategy<Value = String> {
        let lists = (
            prop::collection::vec(limit(), 0..3),
            prop::collection::vec(requirement(), 0..3),
        );
        let max = prop::option::of(1..3_u32);
        (cors(), edits(), lists, max).prop_map(|(cors, edits, (limits, auth), max)| {
            let max = max.map_or(String::new(), |max| {
                format!(r#", "concurrency": {{"max": {max}}}"#)
            });
            let (limits, auth) = (limits.join(","), auth.join(","));
            format!(r#"{cors} {edits} "rateLimits": [{limits}], "auth": [{auth}] {max}"#)
        })
    }

    fn client() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
        let header = prop_oneof![
            Just((":method", "OPTIONS")),
            Just((":method", "PUT")),
            Just((":path", "/a?key=open%20sesame")),
            Just((":path", "/a/b")),
            Just(("origin", "https://a.com")),
            Just(("access-control-request-method", "GET")),
            Just(("x-api-key", "open sesame")),
            Just(("x-a", "1")),
            Just(("cookie", "c=1")),
            Just(("x-switchyard-user", "root")),
        ];
        prop::collection::vec(header, 0..5)
    }

    /// Sends requests one after another. Returns true for each that reaches an upstream. They keep their permits.
    fn is_sent(scopes: &[String], clients: &[Vec<(&str, &str)>]) -> Vec<bool> {
        let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
        let mut fixture = PolicyFixture::new(&scopes);
        clients
            .iter()
            .map(|headers| fixture.send(headers).action.is_done())
            .collect()
    }

    proptest! {
        /// Only the first request is checked, since later counts depend on earlier refusals.
        #[test]
        fn inner_scope_cannot_override_refusal(
            above in prop::collection::vec(scope(), 1..3),
            below in prop::collection::vec(scope(), 1..3),
            client in client(),
        ) {
            let alone = is_sent(&above, std::slice::from_ref(&client));
            let whole = [above, below].concat();
            let together = is_sent(&whole, &[client]);
            prop_assert!(alone == [true] || together == [false], "{alone:?} {together:?}");
        }

        /// If nothing below refuses, limits above count as if they were alone.
        #[test]
        fn inner_scopes_do_not_extend_outer_limits(
            above in prop::collection::vec(scope(), 1..3),
            edits in prop::collection::vec(edits(), 1..3),
            client in client(),
        ) {
            let clients = vec![client; 6];
            let alone = is_sent(&above, &clients);
            let below = edits.into_iter().map(|edits| format!(r#"{edits} "auth": []"#)).collect();
            prop_assert_eq!(is_sent(&[above, below].concat(), &clients), alone);
        }
    }
}
