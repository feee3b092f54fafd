//! External authorization by Envoy's gRPC protocol.

use super::super::grpc::{CheckResponse, HeaderValueOption, OkHttpResponse};
use super::*;
use crate::auth::ServiceResponse;
use crate::{
    call::{encode, vectors::message},
    header::HeaderValue,
};
use wasm_bindgen_test::wasm_bindgen_test;

fn reply(name: &str) -> Reply {
    Reply::Grpc { body: message(name) }
}

fn asked_body(client: &[(&str, &str)], address: &str) -> Vec<u8> {
    match callout(&external("grpc", ""), client, address).message {
        Message::Grpc {
            service,
            method,
            body,
        } => {
            let path = format!("/{service}/{method}");
            assert_eq!(path, "/envoy.service.auth.v3.Authorization/Check");
            body
        }
        Message::Http { .. } => panic!("over HTTP"),
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn check_request_matches_envoy() {
    let client = [
        (":method", "POST"),
        (":authority", "bar.com"),
        (":path", "/a?b=c"),
        ("x-forwarded-proto", "https"),
        ("authorization", "Bearer x"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("content-length", "12"),
        ("x-request-id", "an id"),
        ("x-secret", "not told"),
    ];
    assert_eq!(asked_body(&client, "192.0.2.7"), message("check request"));
}

#[wasm_bindgen_test(unsupported = test)]
fn unknown_attributes_are_omitted() {
    let got = asked_body(&[(":method", "GET")], "");
    assert_eq!(got, message("check request of nobody"));
}

#[wasm_bindgen_test(unsupported = test)]
fn only_ok_allows() {
    let requirement = external("grpc", "");
    let nonsense = "503 the external service answers what is neither yes nor no";
    for (name, want) in [
        ("ok", Ok(String::new())),
        ("ok with edits", Ok(String::new())),
        ("edits alone", Ok(String::new())),
        ("nothing at all", Err(nonsense)),
        ("ok and denied", Err("401 the external service answers 401")),
        ("denied", Err("403 the external service answers 403")),
        ("denied and edits", Err("403 the external service answers 403")),
        (
            "denied without a status",
            Err("403 the external service answers 403"),
        ),
        ("denied in words", Err("401 the external service answers 401")),
        ("redirected", Err("302 the external service answers 302")),
        (
            "denied with an odd status",
            Err("403 the external service answers 403"),
        ),
        (
            "an error",
            Err("503 the external service does not answer, or cannot"),
        ),
        ("within", Err(nonsense)),
    ] {
        let want = want.map_err(str::to_owned);
        assert_eq!(
            summary(resume_with(&requirement, CLIENT, reply(name))),
            want,
            "{name}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn only_error_response_is_a_failure() {
    let requirement = external("grpc", r#", "onFailure": "allow""#);
    for (name, is_let_in) in [("an error", true), ("nothing at all", false), ("denied", false)] {
        assert_eq!(
            summary(resume_with(&requirement, CLIENT, reply(name))).is_ok(),
            is_let_in,
            "{name}"
        );
    }
    let code_in_words = b"\x0a\x04\x0a\x02OK";
    // 2^32, of which the lower half is OK.
    let large_code = b"\x0a\x06\x08\x80\x80\x80\x80\x10";
    for body in [&b"<html>"[..], code_in_words, large_code] {
        let garbled = Reply::Grpc { body: body.to_vec() };
        assert!(summary(resume_with(&requirement, CLIENT, garbled)).is_err());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn ok_response_edits_only_settable_headers() {
    let outcome = resume_with(&external("grpc", ""), CLIENT, reply("ok with edits"));
    let AuthOutcome::Pass(Pass { headers, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    let set = vec![
        ("x-user", "alice"),
        ("x-replaced", "new"),
        ("x-absent", "a"),
        ("x-there-too", "d"),
        ("x-any", "e"),
        ("x-raw", "raw"),
    ];
    let want = (set, vec![("x-added", "more")], vec!["authorization"]);
    assert_eq!(edits(&headers.request), want);
    let want = (vec![("x-answer", "y")], vec![("set-cookie", "s=1")], vec![]);
    assert_eq!(edits(&headers.response), want);
}

#[wasm_bindgen_test(unsupported = test)]
fn ok_response_sets_only_named_headers() {
    let requirement = external(
        "grpc",
        r#", "responseHeaders": ["x-user", "x-there", "x-there-too"]"#,
    );
    let outcome = resume_with(&requirement, CLIENT, reply("ok with edits"));
    let AuthOutcome::Pass(Pass { headers, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    // The client's headers of these names are protected, so they do not count as present.
    assert_eq!(
        edits(&headers.request).0,
        vec![("x-user", "alice"), ("x-there", "b")]
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn denied_response_is_passed_to_client() {
    for (name, want) in [
        (
            "denied in words",
            ServiceResponse {
                status: 401,
                headers: headers(&[("www-authenticate", "Bearer"), ("set-cookie", "a=1")]),
                body: b"go away".to_vec(),
            },
        ),
        (
            "redirected",
            ServiceResponse {
                status: 302,
                headers: headers(&[("location", "https://login.example/")]),
                body: Vec::new(),
            },
        ),
        ("denied", ServiceResponse::plain(403)),
    ] {
        let outcome = resume_with(&external("grpc", ""), CLIENT, reply(name));
        let AuthOutcome::Fail(AuthFailure { response, .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(response, FailureResponse::Response(want), "{name}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_replies_do_not_panic(mut body in prop::sample::select(["ok with edits", "denied in words"].map(message).to_vec()), at in 0_usize..400, byte: u8) {
            if let Some(place) = body.get_mut(at) {
                *place = byte;
            }
            let _verdict = resume_with(&external("grpc", ""), CLIENT, Reply::Grpc { body });
        }

        #[test]
        fn arbitrary_bytes_allow_only_with_ok(body in prop::collection::vec(any::<u8>(), 0..40)) {
            let has_said_ok = body.contains(&0x0a) || body.contains(&0x1a);
            let outcome = resume_with(&external("grpc", ""), CLIENT, Reply::Grpc { body });
            prop_assert!(summary(outcome).is_err() || has_said_ok);
        }
    }
}

/// This holds if the service says nothing of replacing others, and if it says to replace them.
#[wasm_bindgen_test(unsupported = test)]
fn cookies_are_added_not_replaced() {
    let cookie = |value: &str, append_action| HeaderValueOption {
        header: Some(HeaderValue {
            key: b"set-cookie".to_vec(),
            value: value.into(),
            raw_value: Vec::new(),
        }),
        append: None,
        append_action,
    };
    let body = encode(&CheckResponse {
        ok_response: Some(OkHttpResponse {
            response_headers_to_add: vec![cookie("a=1", 0), cookie("b=2", 2)],
            ..OkHttpResponse::default()
        }),
        ..CheckResponse::default()
    });
    let outcome = resume_with(&external("grpc", ""), CLIENT, Reply::Grpc { body });
    let AuthOutcome::Pass(Pass { headers, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    let want = (vec![], vec![("set-cookie", "a=1"), ("set-cookie", "b=2")], vec![]);
    assert_eq!(edits(&headers.response), want);
}
