use super::*;
use crate::auth::tests::{check, fault, requirement, told};
use wasm_bindgen_test::wasm_bindgen_test;

/// The hashes of the keys `open sesame` and `a+b/c=`: `printf %s 'open sesame' | sha256sum`.
const KEYS: &str = r#""keys": {
    "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb": "alice",
    "1ba61f0004d46ba7d54e7954dc74e64c8610511a1d4f25ecb7a221c60c1a4576": "bob"}"#;

fn api_key(places: &str) -> crate::auth::Requirement {
    requirement(&format!(r#"{{"apiKey": {{{places}, {KEYS}}}}}"#))
}

fn told_of(places: &str, headers: &[(&str, &str)]) -> Result<String, String> {
    told(check(&api_key(places), headers))
}

#[wasm_bindgen_test(unsupported = test)]
fn a_key_is_a_client_where_it_is_looked_for() {
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
fn more_keys_than_one_are_refused() {
    for headers in [
        &[("x-api-key", "open sesame"), ("x-api-key", "open sesame")][..],
        &[("x-api-key", "open sesame"), (":path", "/?key=open%20sesame")],
        &[("x-api-key", "wrong"), (":path", "/?key=open%20sesame")],
        &[(":path", "/?key=open%20sesame&key=open%20sesame")],
        &[(":path", "/?key=wrong&%6Bey=open%20sesame")],
    ] {
        let refusal = told_of(r#""header": "x-api-key", "query": "key""#, headers).unwrap_err();
        assert!(
            refusal.starts_with("400 ") && refusal.ends_with("more than once"),
            "{headers:?}: {refusal}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_parameter_goes_in_every_spelling_and_the_rest_stays() {
    let names = ["key".to_owned(), "a b".to_owned()].into();
    for (target, want) in [
        ("/p?key=x", Some("/p")),
        ("/p?key", Some("/p")),
        ("/p?key=x&a=%20&b", Some("/p?a=%20&b")),
        ("/p?a=1&key=x&b=2&%6Bey=y&c", Some("/p?a=1&b=2&c")),
        ("/p?a%20b=1&&c=?key=x", Some("/p?&c=?key=x")),
        ("/p?keys=x&Key=y&=key", None),
        ("/p?%zzkey=x&%6=y&ke%79%", None),
        ("/p;key=x", None),
        ("/key", None),
        ("", None),
    ] {
        let got = without_parameters(target.as_bytes(), &names);
        assert_eq!(
            got.map(|target| String::from_utf8(target).unwrap()).as_deref(),
            want,
            "{target}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn what_cannot_be_used_is_refused() {
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
        let got = fault(&format!(r#"{{"apiKey": {{{fields}}}}}"#));
        assert!(got.starts_with(want), "{fields}: {got}");
    }
    for digest in [
        "g".repeat(64),
        "A".repeat(64),
        "a".repeat(65),
        "a".repeat(63),
        "é".repeat(32),
    ] {
        let got = fault(&format!(
            r#"{{"apiKey": {{"query": "k", "keys": {{{digest:?}: "alice"}}}}}}"#
        ));
        assert!(got.contains("is not 64 digits"), "{digest}: {got}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_target_does_harm_and_what_goes_does_not_come_back(target: Vec<u8>, name in "[a-z%]{1,3}") {
            let names = [name.clone()].into();
            let left = without_parameters(&target, &names).unwrap_or(target);
            prop_assert_eq!(parameter(&left, &name).count(), 0);
            prop_assert_eq!(without_parameters(&left, &names), None);
        }

        #[test]
        fn queries_of_parameters_lose_the_named_ones_alone(pairs in prop::collection::vec("(key|k%65y|other|%)=[a-z%]{0,3}", 1..6)) {
            let kept: Vec<_> = pairs.iter().filter(|pair| !pair.starts_with('k')).cloned().collect();
            let target = format!("/?{}", pairs.join("&"));
            let want = if kept.is_empty() { "/".to_owned() } else { format!("/?{}", kept.join("&")) };
            let got = without_parameters(target.as_bytes(), &["key".to_owned()].into()).unwrap_or(target.into());
            prop_assert_eq!(got, want.into_bytes());
        }
    }
}
