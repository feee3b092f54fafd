//! External authorization by HTTP, as with nginx and Traefik.

use super::*;
use crate::auth::ServiceResponse;
use wasm_bindgen_test::wasm_bindgen_test;

fn reply(status: u16, pairs: &[(&str, &str)], body: &str) -> Reply {
    Reply::Http {
        status,
        headers: headers(pairs),
        body: body.into(),
    }
}

fn asked_headers(fields: &str, client: &[(&str, &str)], address: &str) -> Vec<(String, Vec<u8>)> {
    let Call {
        cluster,
        timeout,
        message,
    } = callout(&external("http", fields), client, address);
    assert_eq!((cluster.as_str(), timeout), ("auth", Duration::from_millis(200)));
    match message {
        Message::Http { headers } => headers,
        Message::Grpc { .. } => panic!("over gRPC"),
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn request_describes_the_original_request() {
    let want = headers(&[
        (":method", "GET"),
        (":path", "/verify?x=y"),
        (":authority", "bar.com"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "bar.com"),
        ("x-forwarded-uri", "/a?b=c"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-real-ip", "192.0.2.7"),
        ("x-original-method", "POST"),
        ("x-original-uri", "/a?b=c"),
        ("x-original-url", "https://bar.com/a?b=c"),
        ("x-auth-request-redirect", "/a?b=c"),
        ("authorization", "Bearer x"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ]);
    let got = asked_headers(r#", "path": "/verify?x=y""#, CLIENT, "::ffff:192.0.2.7");
    assert_eq!(got, want);
}

#[wasm_bindgen_test(unsupported = test)]
fn request_contains_only_configured_headers() {
    let got = asked_headers(r#", "requestHeaders": ["x-there", "x-absent"]"#, CLIENT, "");
    let told: Vec<_> = got
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !name.starts_with(':'))
        .collect();
    let want = [
        "x-forwarded-method",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-uri",
        "x-original-method",
        "x-original-uri",
        "x-original-url",
        "x-auth-request-redirect",
        "x-there",
    ];
    assert_eq!(told, want);
}

/// This holds even if the service is sent the client's headers of these names.
#[wasm_bindgen_test(unsupported = test)]
fn client_cannot_set_forwarded_headers() {
    let forged = [
        ("x-forwarded-uri", "/public"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-host", "evil.com"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-original-url", "http://evil.com/public"),
        ("x-real-ip", "10.0.0.1"),
    ];
    let names: Vec<_> = forged.iter().map(|(name, _)| format!("{name:?}")).collect();
    let client: Vec<_> = CLIENT.iter().chain(&forged).copied().collect();
    let fields = format!(r#", "requestHeaders": [{}]"#, names.join(","));
    let got = asked_headers(&fields, &client, "192.0.2.7");
    for (name, lie) in forged {
        let values: Vec<_> = got.iter().filter(|(other, _)| other == name).collect();
        assert!(
            values.len() == 1 && values.iter().all(|(_, value)| value != lie.as_bytes()),
            "{name}"
        );
    }
    let https = asked_headers("", &[("x-forwarded-proto", "https, http")], "");
    assert!(https.contains(&("x-forwarded-proto".to_owned(), b"http".to_vec())));
}

#[wasm_bindgen_test(unsupported = test)]
fn only_2xx_allows() {
    let requirement = external("http", "");
    let unanswered = "503 the external service does not answer, or cannot";
    for (status, want) in [
        (200, Ok(String::new())),
        (204, Ok(String::new())),
        (299, Ok(String::new())),
        (0, Err(unanswered.to_owned())),
        (100, Err(unanswered.to_owned())),
        (199, Err(unanswered.to_owned())),
        (300, Err("300 the external service answers 300".to_owned())),
        (302, Err("302 the external service answers 302".to_owned())),
        (401, Err("401 the external service answers 401".to_owned())),
        (403, Err("403 the external service answers 403".to_owned())),
        (404, Err("404 the external service answers 404".to_owned())),
        (499, Err("499 the external service answers 499".to_owned())),
        (500, Err(unanswered.to_owned())),
        (503, Err(unanswered.to_owned())),
        (600, Err(unanswered.to_owned())),
        (u16::MAX, Err(unanswered.to_owned())),
    ] {
        assert_eq!(
            summary(resume_with(&requirement, CLIENT, reply(status, &[], ""))),
            want,
            "{status}"
        );
    }
}

/// A denial counts even if a missing answer would allow the request.
#[wasm_bindgen_test(unsupported = test)]
fn on_failure_does_not_apply_to_denials() {
    let requirement = external("http", r#", "onFailure": "allow""#);
    for (status, is_let_in) in [(401, false), (302, false), (429, false), (500, true), (504, true)] {
        let outcome = resume_with(&requirement, CLIENT, reply(status, &[], ""));
        assert_eq!(summary(outcome).is_ok(), is_let_in, "{status}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn denied_response_is_passed_to_client() {
    let said = [
        ("location", "https://login.example/?rd=/a"),
        ("www-authenticate", "Bearer realm=\"x\""),
        ("www-authenticate", "Basic realm=\"x\""),
        ("set-cookie", "csrf=1; Secure"),
        ("set-cookie", "state=2"),
        ("content-type", "text/html"),
    ];
    let not_said = [
        (":status", "302"),
        ("content-length", "7"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("x-envoy-upstream-service-time", "1"),
        ("x-switchyard-branch", "evil"),
    ];
    let all: Vec<_> = said.iter().chain(&not_said).copied().collect();
    let outcome = resume_with(&external("http", ""), CLIENT, reply(302, &all, "go away"));
    let AuthOutcome::Fail(AuthFailure { reason, response }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(reason, FailureReason::Denied(302));
    let want = ServiceResponse {
        status: 302,
        headers: headers(&said),
        body: b"go away".to_vec(),
    };
    assert_eq!(response, FailureResponse::Response(want));
}

#[wasm_bindgen_test(unsupported = test)]
fn oversized_denied_body_is_dropped() {
    for (len, want) in [(64 * 1024, 64 * 1024), (64 * 1024 + 1, 0)] {
        let outcome = resume_with(&external("http", ""), CLIENT, reply(403, &[], &"x".repeat(len)));
        let AuthOutcome::Fail(AuthFailure {
            response: FailureResponse::Response(ServiceResponse { body, .. }),
            ..
        }) = outcome
        else {
            panic!("{outcome:?}");
        };
        assert_eq!(body.len(), want);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn allowed_response_sets_configured_headers() {
    let requirement = external(
        "http",
        r#", "responseHeaders": ["x-user", "x-groups", "x-absent"]"#,
    );
    let said = [
        ("x-groups", "a"),
        ("x-user", "alice"),
        ("x-groups", "b"),
        ("x-other", "c"),
        ("authorization", "Bearer y"),
        ("set-cookie", "session=2"),
    ];
    let outcome = resume_with(&requirement, CLIENT, reply(200, &said, "ignored"));
    let AuthOutcome::Pass(Pass { identity, headers }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(identity, None);
    let want = (
        vec![("x-groups", "a"), ("x-user", "alice")],
        vec![("x-groups", "b")],
        vec![],
    );
    assert_eq!(edits(&headers.request), want);
    assert_eq!(
        edits(&headers.response),
        (vec![], vec![("set-cookie", "session=2")], vec![])
    );
}

/// An upstream could take half of the headers for all of them.
#[wasm_bindgen_test(unsupported = test)]
fn allowed_response_with_invalid_header_is_refused() {
    let requirement = external("http", r#", "responseHeaders": ["x-user"], "onFailure": "allow""#);
    for value in [&b"\xff"[..], b"a\r\nx-admin: yes", b"\0"] {
        let reply = Reply::Http {
            status: 200,
            headers: vec![("x-user".to_owned(), value.to_vec())],
            body: Vec::new(),
        };
        let want = "503 the external service answers what is neither yes nor no";
        assert_eq!(
            summary(resume_with(&requirement, CLIENT, reply)),
            Err(want.to_owned()),
            "{value:?}"
        );
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_requests_and_replies_do_not_panic(
            target: String,
            value: Vec<u8>,
            status: u16,
            pairs: Vec<(String, Vec<u8>)>,
            body: Vec<u8>,
        ) {
            let requirement = external("http", r#", "responseHeaders": ["x-user"]"#);
            let client = [(":path", target.as_str()), ("authorization", &String::from_utf8_lossy(&value))];
            let reply = Reply::Http { status, headers: pairs, body };
            let has_passed = summary(resume_with(&requirement, &client, reply)).is_ok();
            prop_assert!(!has_passed || (200..300).contains(&status));
        }
    }
}
