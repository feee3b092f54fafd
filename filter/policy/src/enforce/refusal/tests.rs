use super::*;
use crate::enforce::tests::{Client, text};
use wasm_bindgen_test::wasm_bindgen_test;

fn refusal(code: RefusalCode) -> PolicyRefusal {
    PolicyRefusal {
        status: code.status(),
        code,
        policy: "default/root virtualhost auth[0]".to_owned(),
        details: "the password of ann is wrong".to_owned(),
        headers: vec![("www-authenticate".to_owned(), b"Basic".to_vec())],
        body: None,
    }
}

fn response(code: RefusalCode, headers: &[(&str, &str)]) -> LocalReply {
    refusal(code).response(Client::new(headers).request())
}

fn header<'a>(response: &'a LocalReply, name: &str) -> &'a str {
    let header = response.headers.iter().find(|(found, _)| found == name);
    header.map_or("", |(_, value)| text(value))
}

#[wasm_bindgen_test(unsupported = test)]
fn json_body_is_sent_if_preferred() {
    for (accept, want) in [
        ("", false),
        ("*/*", false),
        ("application/json", true),
        ("Application/JSON", true),
        ("application/problem+json", true),
        ("application/json;q=0", false),
        ("application/json; q=0.5, text/plain", false),
        ("application/json;q=0.5, text/plain;q=0.4", true),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            false,
        ),
        ("text/html, application/json", true),
        ("application/json;q=x", false),
        ("application/json;q=1.0", true),
        (";;,,", false),
    ] {
        let response = response(RefusalCode::PermissionDenied, &[("accept", accept)]);
        let is_json = header(&response, "content-type") == "application/json";
        assert_eq!(is_json, want, "{accept}");
        let body = text(&response.body);
        if want {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let want = serde_json::json!({"status": 403, "error": "permission_denied", "message": "access is not allowed"});
            assert_eq!(body, want);
        } else {
            assert_eq!(body, "access is not allowed\n");
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn grpc_client_gets_grpc_status() {
    for (reason, status, grpc) in [
        (RefusalCode::InvalidArgument, 400, 3),
        (RefusalCode::PermissionDenied, 403, 7),
        (RefusalCode::ResourceExhausted, 429, 8),
        (RefusalCode::Unavailable, 503, 14),
        (RefusalCode::Unauthenticated, 401, 16),
    ] {
        let response = response(
            reason,
            &[
                ("content-type", "application/grpc+proto"),
                ("accept", "application/json"),
            ],
        );
        assert_eq!((response.status, response.grpc_status), (status, Some(grpc)));
        assert!(!text(&response.body).contains(['{', '\n']), "{response:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn response_does_not_reveal_policy_or_details() {
    for accept in ["application/json", "text/plain"] {
        let response = response(RefusalCode::Unauthenticated, &[("accept", accept)]);
        assert_eq!(header(&response, "www-authenticate"), "Basic");
        let told = format!("{} {:?}", text(&response.body), response.headers);
        assert!(!told.contains("ann") && !told.contains("default/root"), "{told}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn service_response_is_passed_unchanged() {
    let said = FailureResponse::Response(ServiceResponse {
        status: 302,
        headers: vec![("location".to_owned(), b"/login".to_vec())],
        body: b"this way".to_vec(),
    });
    let policy = crate::config::Policy {
        source: "s".to_owned(),
        ..Default::default()
    };
    let policy = policy.try_into().unwrap();
    let refusal = PolicyRefusal::of_auth(said, (&policy, PolicyPart::Auth(1)), "no");
    assert_eq!(refusal.policy, "s auth[1]");
    let response = refusal.response(Client::new(&[("accept", "application/json")]).request());
    let want = LocalReply {
        status: 302,
        headers: vec![("location".to_owned(), b"/login".to_vec())],
        body: b"this way".to_vec(),
        grpc_status: None,
    };
    assert_eq!(response, want);
}

/// Each row of the page's table has the HTTP status, the gRPC status, and the name for programs.
#[wasm_bindgen_test(unsupported = test)]
fn answers_page_documents_every_refusal() {
    let page = include_str!("../../../../../docs/answers.md");
    for reason in [
        RefusalCode::Unauthenticated,
        RefusalCode::PermissionDenied,
        RefusalCode::ResourceExhausted,
        RefusalCode::Unavailable,
        RefusalCode::InvalidArgument,
    ] {
        let (status, grpc_status, name) = (reason.status(), reason.grpc_status(), reason.name());
        let cells = [
            format!("| {status}"),
            format!("| {grpc_status}, {} |", name.to_ascii_uppercase()),
            format!("| `{name}` |"),
        ];
        let is_row = |line: &str| cells.iter().all(|cell| line.contains(cell));
        assert!(page.lines().any(is_row), "{cells:?}");
    }
    let body = response(RefusalCode::Unauthenticated, &[("accept", "application/json")]).body;
    assert!(page.contains(text(&body)), "{}", text(&body));
}
