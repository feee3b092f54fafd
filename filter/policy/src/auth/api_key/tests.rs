use crate::auth::tests::{check, parse_error, requirement, summary};
use wasm_bindgen_test::wasm_bindgen_test;

/// The hashes of the keys `open sesame` and `a+b/c=`: `printf %s 'open sesame' | sha256sum`.
const KEYS: &str = r#""keys": {
    "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb": "alice",
    "1ba61f0004d46ba7d54e7954dc74e64c8610511a1d4f25ecb7a221c60c1a4576": "bob"}"#;

fn api_key(places: &str) -> crate::auth::AuthRequirement {
    requirement(&format!(r#"{{"apiKey": {{{places}, {KEYS}}}}}"#))
}

fn told_of(places: &str, headers: &[(&str, &str)]) -> Result<String, String> {
    summary(check(&api_key(places), headers))
}

#[wasm_bindgen_test(unsupported = test)]
fn key_is_accepted_only_from_its_configured_source() {
    let either = r#""header": "x-api-key", "query": "key""#;
    let alice = Ok("apiKey alice");
    let missing = Err("401 no credentials");
    let unknown = Err("401 unknown key");
    for (places, headers, want) in [
        (either, &[("x-api-key", "open sesame")][..], alice),
        (either, &[(":path", "/?key=open%20sesame")], alice),
        (either, &[(":path", "/a?b=c&key=open%20sesame&d")], alice),
        (either, &[(":path", "/?%6bey=open%20sesame")], alice),
        (either, &[(":path", "/?key=a+b/c=")], Ok("apiKey bob")),
        (either, &[(":path", "/?key=a%2Bb%2fc%3D")], Ok("apiKey bob")),
        (either, &[], missing),
        (either, &[("x-api-key", "")], missing),
        (either, &[(":path", "/?key=")], missing),
        (either, &[(":path", "/?key")], missing),
        (either, &[(":path", "/?Key=open%20sesame")], missing),
        (either, &[(":path", "/key=open%20sesame")], missing),
        (either, &[("authorization", "open sesame")], missing),
        (either, &[("x-api-key", "Open sesame")], unknown),
        (either, &[("x-api-key", "open sesame ")], unknown),
        (either, &[("x-api-key", "open sesam")], unknown),
        (either, &[("x-api-key", "open sesame,open sesame")], unknown),
        (either, &[(":path", "/?key=open+sesame")], unknown),
        (either, &[(":path", "/?key=open%2520sesame")], unknown),
        // The hash of a key is not a key.
        (
            either,
            &[(
                "x-api-key",
                "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb",
            )],
            unknown,
        ),
        (
            r#""header": "x-api-key""#,
            &[(":path", "/?key=open%20sesame")],
            missing,
        ),
        (r#""query": "key""#, &[("x-api-key", "open sesame")], missing),
    ] {
        let want = want.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(told_of(places, headers), want, "{places} {headers:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn repeated_keys_are_refused() {
    for headers in [
        &[("x-api-key", "open sesame"), ("x-api-key", "open sesame")][..],
        &[("x-api-key", "open sesame"), (":path", "/?key=open%20sesame")],
        &[("x-api-key", "wrong"), (":path", "/?key=open%20sesame")],
        &[(":path", "/?key=open%20sesame&key=open%20sesame")],
        &[(":path", "/?key=wrong&%6Bey=open%20sesame")],
    ] {
        let response = told_of(r#""header": "x-api-key", "query": "key""#, headers).unwrap_err();
        assert!(
            response.starts_with("400 ") && response.ends_with("more than once"),
            "{headers:?}: {response}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn invalid_configuration_is_refused() {
    for (fields, want) in [
        (r#""keys": {}"#, "apiKey: neither header nor query"),
        (
            r#""header": "X-Key", "keys": {}"#,
            r#"apiKey.header: "X-Key" is no header name"#,
        ),
        (
            r#""header": "", "keys": {}"#,
            r#"apiKey.header: "" is no header name"#,
        ),
        (
            r#""header": "host", "keys": {}"#,
            r#"apiKey.header: "host" is no header name"#,
        ),
        (
            r#""header": ":path", "keys": {}"#,
            r#"apiKey.header: ":path" is no header name"#,
        ),
        (
            r#""query": "k", "keys": {"00": "alice"}"#,
            r#"apiKey.keys: the digest of the key of "alice""#,
        ),
        (
            r#""query": "k", "keys": {"": "alice"}"#,
            r#"apiKey.keys: the digest of the key of "alice""#,
        ),
        (
            r#""query": "k", "keys": {"00": "a\nb"}"#,
            r#"apiKey.keys: "a\nb" holds a control character"#,
        ),
        (
            r#""query": "k", "keys": {"00": ""}"#,
            r#"apiKey.keys: "" holds a control character, or is empty"#,
        ),
    ] {
        let got = parse_error(&format!(r#"{{"apiKey": {{{fields}}}}}"#));
        assert!(got.starts_with(want), "{fields}: {got}");
    }
    for digest in [
        "g".repeat(64),
        "A".repeat(64),
        "a".repeat(65),
        "a".repeat(63),
        "é".repeat(32),
    ] {
        let got = parse_error(&format!(
            r#"{{"apiKey": {{"query": "k", "keys": {{{digest:?}: "alice"}}}}}}"#
        ));
        assert!(got.contains("is not 64 digits"), "{digest}: {got}");
    }
}
