use super::*;
use crate::enforce::tests::{Client, text};
use wasm_bindgen_test::wasm_bindgen_test;

fn refusal(reason: Reason) -> Refusal {
    Refusal {
        status: reason.status(),
        reason,
        by: "default/root virtualhost auth[0]".to_owned(),
        why: "the password of ann is wrong".to_owned(),
        headers: vec![("www-authenticate".to_owned(), b"Basic".to_vec())],
        body: None,
    }
}

fn response(reason: Reason, headers: &[(&str, &str)]) -> Response {
    refusal(reason).response(Client::new(headers).request())
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let header = response.headers.iter().find(|(found, _)| found == name);
    header.map_or("", |(_, value)| text(value))
}

#[wasm_bindgen_test(unsupported = test)]
fn a_client_gets_json_where_it_would_rather_have_that() {
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
        let response = response(Reason::PermissionDenied, &[("accept", accept)]);
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
fn a_client_that_speaks_grpc_gets_a_status_of_grpc() {
    for (reason, status, grpc) in [
        (Reason::InvalidArgument, 400, 3),
        (Reason::PermissionDenied, 403, 7),
        (Reason::ResourceExhausted, 429, 8),
        (Reason::Unavailable, 503, 14),
        (Reason::Unauthenticated, 401, 16),
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
fn no_client_is_told_which_policy_it_was_or_why() {
    for accept in ["application/json", "text/plain"] {
        let response = response(Reason::Unauthenticated, &[("accept", accept)]);
        assert_eq!(header(&response, "www-authenticate"), "Basic");
        let told = format!("{} {:?}", text(&response.body), response.headers);
        assert!(!told.contains("ann") && !told.contains("default/root"), "{told}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn what_a_service_says_goes_to_the_client_as_it_is() {
    let said = auth::Refusal::Response(auth::Response {
        status: 302,
        headers: vec![("location".to_owned(), b"/login".to_vec())],
        body: b"this way".to_vec(),
    });
    let policy = crate::config::Policy {
        source: "s".to_owned(),
        ..Default::default()
    };
    let policy = policy.try_into().unwrap();
    let refusal = Refusal::of_auth(said, (&policy, Part::Auth(1)), "no");
    assert_eq!(refusal.by, "s auth[1]");
    let response = refusal.response(Client::new(&[("accept", "application/json")]).request());
    let want = Response {
        status: 302,
        headers: vec![("location".to_owned(), b"/login".to_vec())],
        body: b"this way".to_vec(),
        grpc_status: None,
    };
    assert_eq!(response, want);
}

/// Each row of the page's table has the HTTP status, the gRPC status, and the name for programs.
#[wasm_bindgen_test(unsupported = test)]
fn the_page_on_answers_says_what_is_answered() {
    let page = include_str!("../../../../../docs/answers.md");
    for reason in [
        Reason::Unauthenticated,
        Reason::PermissionDenied,
        Reason::ResourceExhausted,
        Reason::Unavailable,
        Reason::InvalidArgument,
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
    let body = response(Reason::Unauthenticated, &[("accept", "application/json")]).body;
    assert!(page.contains(text(&body)), "{}", text(&body));
}
