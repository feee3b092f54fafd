//! The parts of requests that services are told, and the keys that they are not.

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

fn api_key(place: &str, name: &str) -> String {
    format!(r#"{{"anyOf": [{{"apiKey": {{"{place}": "{name}", "keys": {KEYS}}}}}]}}"#)
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
fn told(levels: &[&str]) -> String {
    match Scene::new(levels).ask(CLIENT).step {
        Step::Call(call) => match call.message {
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
fn a_service_is_told_no_key_of_its_level_or_above() {
    let (query, header) = (api_key("query", "key"), api_key("header", "x-key"));
    for protocol in ["http", "grpc"] {
        let asks = external(protocol);
        for levels in [
            // Before and after it; beside it in the list, and above it.
            vec![auth(&[&asks, &query, &header])],
            vec![auth(&[&query, &header, &asks])],
            vec![auth(&[&query, &header]), auth(&[&asks])],
            vec![auth(&[&query]), String::new(), auth(&[&header, &asks])],
        ] {
            let levels: Vec<_> = levels.iter().map(String::as_str).collect();
            let told = told(&levels);
            assert!(!told.contains("sesame"), "{levels:?}: {told}");
            assert!(told.contains("/a?b=c"), "{levels:?}: {told}");
            // The client's headers of names that only the service may set are not sent to it.
            assert!(!told.contains("forged"), "{levels:?}: {told}");
        }
    }
}

/// It could hide from the service what it has to judge.
#[wasm_bindgen_test(unsupported = test)]
fn a_level_below_keeps_nothing_from_a_service_above() {
    for protocol in ["http", "grpc"] {
        let below = auth(&[&api_key("query", "b"), &api_key("header", "x-key")]);
        let told = told(&[&auth(&[&external(protocol)]), &below]);
        assert!(
            told.contains("/a?b=c&key=open%20sesame") && told.contains("open sesame"),
            "{told}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_service_that_counts_is_told_no_header_that_a_level_above_keeps() {
    let limit = r#""rateLimits": [{"global": {"cluster": "c", "domain": "d", "timeoutMs": 50, "onFailure": "deny",
        "descriptors": [[{"key": "k", "value": {"of": {"header": "x-key"}}}], [{"key": "p", "value": {"of": "path"}}]]}}]"#;
    let key = auth(&[&api_key("header", "x-key")]);
    let below = told(&[&key, limit]);
    assert!(!below.contains("sesame") && below.contains("/a"), "{below}");
    // A level may count by its own keys.
    let beside = told(&[&format!("{key}, {limit}")]);
    assert!(beside.contains("sesame"), "{beside}");
}
