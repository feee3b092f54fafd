//! External authorization by HTTP, as with nginx and Traefik.

use super::*;
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
    } = asked(&external("http", fields), client, address);
    assert_eq!((cluster.as_str(), timeout), ("auth", Duration::from_millis(200)));
    match message {
        Message::Http { headers } => headers,
        Message::Grpc { .. } => panic!("over gRPC"),
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_service_is_told_what_the_client_asked_for() {
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
fn the_service_is_told_the_headers_that_it_is_to_be_told() {
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
fn a_client_does_not_say_what_it_asks_for() {
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
fn nothing_but_2xx_is_a_yes() {
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
            told(judge(&requirement, CLIENT, reply(status, &[], ""))),
            want,
            "{status}"
        );
    }
}

/// A denial counts even if a missing answer would allow the request.
#[wasm_bindgen_test(unsupported = test)]
fn a_no_is_no_failure() {
    let requirement = external("http", r#", "onFailure": "allow""#);
    for (status, is_let_in) in [(401, false), (302, false), (429, false), (500, true), (504, true)] {
        let verdict = judge(&requirement, CLIENT, reply(status, &[], ""));
        assert_eq!(told(verdict).is_ok(), is_let_in, "{status}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_no_reaches_the_client_in_the_words_of_the_service() {
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
    let verdict = judge(&external("http", ""), CLIENT, reply(302, &all, "go away"));
    let Verdict::Fail(Failure { reason, refusal }) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(reason, Reason::Denied(302));
    let want = Response {
        status: 302,
        headers: headers(&said),
        body: b"go away".to_vec(),
    };
    assert_eq!(refusal, Refusal::Response(want));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_long_no_is_short() {
    for (len, want) in [(64 * 1024, 64 * 1024), (64 * 1024 + 1, 0)] {
        let verdict = judge(&external("http", ""), CLIENT, reply(403, &[], &"x".repeat(len)));
        let Verdict::Fail(Failure {
            refusal: Refusal::Response(Response { body, .. }),
            ..
        }) = verdict
        else {
            panic!("{verdict:?}");
        };
        assert_eq!(body.len(), want);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_yes_tells_the_upstream_what_it_is_to_tell() {
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
    let verdict = judge(&requirement, CLIENT, reply(200, &said, "ignored"));
    let Verdict::Pass(Pass { identity, headers }) = verdict else {
        panic!("{verdict:?}");
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
fn a_yes_with_a_header_that_cannot_be_told_is_none() {
    let requirement = external("http", r#", "responseHeaders": ["x-user"], "onFailure": "allow""#);
    for value in [&b"\xff"[..], b"a\r\nx-admin: yes", b"\0"] {
        let reply = Reply::Http {
            status: 200,
            headers: vec![("x-user".to_owned(), value.to_vec())],
            body: Vec::new(),
        };
        let want = "503 the external service answers what is neither yes nor no";
        assert_eq!(
            told(judge(&requirement, CLIENT, reply)),
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
        fn no_client_and_no_reply_do_harm(
            target: String,
            value: Vec<u8>,
            status: u16,
            pairs: Vec<(String, Vec<u8>)>,
            body: Vec<u8>,
        ) {
            let requirement = external("http", r#", "responseHeaders": ["x-user"]"#);
            let client = [(":path", target.as_str()), ("authorization", &String::from_utf8_lossy(&value))];
            let reply = Reply::Http { status, headers: pairs, body };
            let has_passed = told(judge(&requirement, &client, reply)).is_ok();
            prop_assert!(!has_passed || (200..300).contains(&status));
        }
    }
}
