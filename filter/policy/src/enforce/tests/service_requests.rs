//! The parts of requests that services get, and the keys that they do not get.

use super::*;
use crate::call::Message;

/// The key is `open sesame`.
const KEYS: &str = r#"{"41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb": "alice"}"#;
const CLIENT: &[(&str, &str)] = &[
    (":path", "/a?b=c&key=open%20sesame"),
    ("x-api-key", ""),
    ("x-key", "open sesame"),
    ("x-role", "forged"),
];

fn api_key(source: &str, name: &str) -> String {
    format!(r#"{{"anyOf": [{{"apiKey": {{"{source}": "{name}", "keys": {KEYS}}}}}]}}"#)
}

fn external(protocol: &str) -> String {
    format!(
        r#"{{"anyOf": [{{"external": {{"cluster": "c", "protocol": "{protocol}", "timeoutMs": 50,
            "requestHeaders": ["x-key", "x-role", "x-other"], "responseHeaders": ["x-role"]}}}}]}}"#
    )
}

fn auth(requirements: &[&str]) -> String {
    format!(r#""auth": [{}]"#, requirements.join(", "))
}

/// The whole content of a callout, as one text.
fn callout(scopes: &[&str]) -> String {
    match PolicyFixture::new(scopes).send(CLIENT).action {
        NextAction::Call(call) => match call.message {
            Message::Http { headers } => {
                let lines = headers.iter();
                lines
                    .map(|(name, value)| format!("{name}: {}\n", text(value)))
                    .collect()
            }
            Message::Grpc { body, .. } => String::from_utf8_lossy(&body).into_owned(),
        },
        other => panic!("{other:?}"),
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn service_gets_no_keys_of_its_scope_or_above() {
    let (query, header) = (api_key("query", "key"), api_key("header", "x-key"));
    for protocol in ["http", "grpc"] {
        let asks = external(protocol);
        for scopes in [
            // Before and after it; beside it in the list, and above it.
            vec![auth(&[&asks, &query, &header])],
            vec![auth(&[&query, &header, &asks])],
            vec![auth(&[&query, &header]), auth(&[&asks])],
            vec![auth(&[&query]), String::new(), auth(&[&header, &asks])],
        ] {
            let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
            let sent = callout(&scopes);
            assert!(!sent.contains("sesame"), "{scopes:?}: {sent}");
            assert!(sent.contains("/a?b=c"), "{scopes:?}: {sent}");
            // The client's headers of names that only the service may set are not sent to it.
            assert!(!sent.contains("forged"), "{scopes:?}: {sent}");
        }
    }
}

/// It could hide from the service what it has to judge.
#[wasm_bindgen_test(unsupported = test)]
fn inner_scope_hides_nothing_from_outer_service() {
    for protocol in ["http", "grpc"] {
        let below = auth(&[&api_key("query", "b"), &api_key("header", "x-key")]);
        let sent = callout(&[&auth(&[&external(protocol)]), &below]);
        assert!(
            sent.contains("/a?b=c&key=open%20sesame") && sent.contains("open sesame"),
            "{sent}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn rate_limit_service_gets_no_protected_headers_of_scopes_above() {
    let limit = r#""rateLimits": [{"global": {"cluster": "c", "domain": "d", "timeoutMs": 50, "onFailure": "deny",
        "descriptors": [[{"key": "k", "value": {"of": {"header": "x-key"}}}], [{"key": "p", "value": {"of": "path"}}]]}}]"#;
    let key = auth(&[&api_key("header", "x-key")]);
    let below = callout(&[&key, limit]);
    assert!(!below.contains("sesame") && below.contains("/a"), "{below}");
    // A scope may count by its own keys.
    let beside = callout(&[&format!("{key}, {limit}")]);
    assert!(beside.contains("sesame"), "{beside}");
}
