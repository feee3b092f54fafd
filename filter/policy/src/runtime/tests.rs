//! The flow of requests, on a proxy that records its calls.

use super::*;
use crate::{
    call::Call,
    config::policy::Algorithm,
    edit::Edit,
    host::{Host, SharedValue},
    request::RequestHeaderMap,
};
use std::net::IpAddr;
use wasm_bindgen_test::wasm_bindgen_test;

const PLUGIN: u32 = 1;
const STREAM: u32 = 2;

const CONFIGURATION: &str = r#"{
  "switches": {"route": {"prefix": "/", "active": "a", "policies": ["p"], "branches": {
    "a": [{"prefix": "/", "leaf": {"route": "leaf"}}]
  }}},
  "policies": {"p": {"source": "p", "auth": [{"anyOf": [{"external": {
    "cluster": "auth", "protocol": "http", "timeoutMs": 200, "onFailure": "deny"
  }}]}], "concurrency": {"max": 10}, "headers": {"response": {"set": [{"name": "x-p", "value": "1"}]}}}}
}"#;

thread_local! {
    static CALLS: RefCell<Vec<String>> = RefCell::default();
}

/// A proxy whose calls are recorded. Its callout has token 7, and the context 9 is gone.
#[derive(Default)]
struct Recorder;

// === impl Recorder ===

impl Host for Recorder {
    fn now(&self) -> Duration {
        Duration::from_secs(1_800_000_000)
    }

    fn client_ip(&self) -> Option<IpAddr> {
        None
    }

    fn shared(&self, _key: &str) -> Option<SharedValue> {
        None
    }

    fn random(&self) -> u64 {
        1
    }

    fn set_shared(&self, _key: &str, _value: &[u8], _version: Option<u32>) -> bool {
        true
    }

    fn verifies(&self, _: Algorithm, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        false
    }
}

impl RequestHeaderMap for Recorder {
    fn target(&self) -> &[u8] {
        b"/"
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &[]
    }
}

impl Proxy for Recorder {
    fn select(&self, context: u32) -> bool {
        record(&format!("select {context}"));
        context != 9
    }

    fn route_name(&self) -> String {
        "route".to_owned()
    }

    fn response_headers(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    fn edit_request(&self, edits: &[Edit<'_>]) {
        edits
            .iter()
            .for_each(|edit| record(&format!("request {}", edit.name())));
    }

    fn edit_response(&self, edits: &[Edit<'_>]) {
        edits
            .iter()
            .for_each(|edit| record(&format!("response {}", edit.name())));
    }

    fn set_filter_state(&self, _name: &str, _value: &str) {}

    fn respond(&self, reply: &LocalReply) {
        record(&format!("respond {}", reply.status));
    }

    fn resume_request(&self) {
        record("resume");
    }

    fn set_tick_period(&self, period: Duration) {
        record(&format!("tick {}", period.as_millis()));
    }

    fn call(&self, call: &Call) -> Option<Token> {
        record(&format!("call {}", call.cluster));
        Some(Token::Http(7))
    }

    fn define_counter(&self, _name: &str) -> Option<u32> {
        None
    }

    fn increment_counter(&self, _id: u32) {}

    fn log_error(&self, message: &str) {
        record(message);
    }
}

fn record(call: &str) {
    CALLS.with_borrow_mut(|calls| calls.push(call.to_owned()));
}

/// The calls since the last time.
fn calls() -> Vec<String> {
    CALLS.with_borrow_mut(std::mem::take)
}

fn configured() -> Runtime<Recorder> {
    calls();
    let mut runtime = Runtime::default();
    let configuration = CONFIGURATION.as_bytes().to_vec();
    runtime.configure(PLUGIN, b"id".to_vec(), configuration).unwrap();
    runtime
}

fn reply(status: u16) -> Reply {
    Reply::Http {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn request_without_a_configuration_is_answered_503() {
    let mut runtime = configured();
    assert_eq!(runtime.on_request_headers(STREAM, PLUGIN + 1), Flow::Pause);
    assert_eq!(calls(), ["respond 503"]);
}

#[wasm_bindgen_test(unsupported = test)]
fn bad_configuration_keeps_the_one_before() {
    let mut runtime = configured();
    runtime
        .configure(PLUGIN, b"id".to_vec(), b"{".to_vec())
        .unwrap_err();
    assert_eq!(runtime.on_request_headers(STREAM, PLUGIN), Flow::Pause);
    assert_eq!(calls(), ["call auth"]);
}

#[wasm_bindgen_test(unsupported = test)]
fn allowed_request_resumes_and_holds_its_place_until_its_end() {
    let mut runtime = configured();
    runtime.on_request_headers(STREAM, PLUGIN);
    calls();
    runtime.on_reply(Token::Http(7), reply(200));
    assert_eq!(
        calls(),
        [
            "select 2",
            "tick 1000",
            "request x-switchyard-cluster",
            "request x-switchyard-route",
            "resume"
        ]
    );
    runtime.on_response_headers(STREAM);
    assert_eq!(calls(), ["response x-p"]);
    runtime.on_response_headers(STREAM);
    assert_eq!(calls(), [""; 0]);
    runtime.on_tick();
    assert_eq!(calls(), ["tick 1000"]);
    runtime.end_stream(STREAM);
    runtime.on_tick();
    assert_eq!(calls(), ["tick 0"]);
}

#[wasm_bindgen_test(unsupported = test)]
fn denied_request_is_answered_and_not_resumed() {
    let mut runtime = configured();
    runtime.on_request_headers(STREAM, PLUGIN);
    calls();
    runtime.on_reply(Token::Http(7), reply(403));
    assert_eq!(calls(), ["select 2", "respond 403"]);
}

#[wasm_bindgen_test(unsupported = test)]
fn reply_to_a_stream_that_has_ended_is_ignored() {
    let mut runtime = configured();
    runtime.on_request_headers(STREAM, PLUGIN);
    runtime.end_stream(STREAM);
    // The proxy may use the token for another stream, and may delete a stream before it says so.
    runtime.on_request_headers(9, PLUGIN);
    calls();
    runtime.on_reply(Token::Http(7), reply(200));
    assert_eq!(calls(), ["select 9"]);
    runtime.on_reply(Token::Http(7), reply(200));
    assert_eq!(calls(), [""; 0]);
}

#[wasm_bindgen_test(unsupported = test)]
fn another_plugin_gets_the_ticks_of_a_deleted_one() {
    let mut runtime = configured();
    let configuration = CONFIGURATION.as_bytes().to_vec();
    runtime
        .configure(PLUGIN + 1, b"id".to_vec(), configuration)
        .unwrap();
    runtime.end_plugin(PLUGIN);
    assert_eq!(calls(), [""; 0]);
    runtime
        .configure(PLUGIN, b"id".to_vec(), CONFIGURATION.as_bytes().to_vec())
        .unwrap();
    runtime.on_request_headers(STREAM, PLUGIN);
    runtime.on_reply(Token::Http(7), reply(200));
    calls();
    runtime.end_plugin(PLUGIN);
    assert_eq!(calls(), ["select 2", "tick 1000"]);
}
