use super::*;
use crate::auth::{
    AuthCache, AuthOutcome, AuthRequirement, Completion,
    tests::{Client, Proxy, parse_error, requirement, summary},
};
use wasm_bindgen_test::wasm_bindgen_test;

mod over_grpc;
mod over_http;

/// The headers of a client's request.
const CLIENT: &[(&str, &str)] = &[
    (":method", "POST"),
    (":authority", "bar.com"),
    (":path", "/a?b=c"),
    (":scheme", "http"),
    ("x-forwarded-proto", "https"),
    ("authorization", "Bearer x"),
    ("cookie", "a=1"),
    ("cookie", "b=2"),
    ("content-length", "12"),
    ("x-request-id", "an id"),
    ("x-there", "client's"),
    ("x-there-too", "client's"),
    ("x-user", "admin"),
];

/// A requirement that asks a service by a protocol, with these additional fields.
fn external(protocol: &str, fields: &str) -> AuthRequirement {
    requirement(&format!(
        r#"{{"external": {{"cluster": "auth", "protocol": {protocol:?}, "timeoutMs": 200 {fields}}}}}"#
    ))
}

/// Checks a client's request, and returns the outcome for a reply.
fn resume_with(requirement: &AuthRequirement, client: &[(&str, &str)], reply: Reply) -> AuthOutcome {
    let cache = AuthCache::new(b"a test");
    let request = AuthRequest {
        headers: &Client::new(client),
        host: &Proxy::with_client_at("192.0.2.7"),
        cache: &cache,
        protected: &[],
    };
    match requirement.check(request) {
        AuthOutcome::Call(_, pending) => requirement.resume(pending, Completion::Reply(reply), request),
        outcome => panic!("{outcome:?}"),
    }
}

/// The callout to the service.
fn callout(requirement: &AuthRequirement, client: &[(&str, &str)], address: &str) -> Call {
    match crate::auth::tests::check_at(requirement, client, address) {
        AuthOutcome::Call(call, _) => call,
        outcome => panic!("{outcome:?}"),
    }
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// The headers that are set and added, as pairs, and the names of those removed.
fn edits(edits: &policy::HeaderEdits) -> (Pairs<'_>, Pairs<'_>, Vec<&str>) {
    let policy::HeaderEdits { set, add, remove } = edits;
    (
        pairs(set),
        pairs(add),
        remove.iter().map(String::as_str).collect(),
    )
}

fn pairs(headers: &[policy::Header]) -> Pairs<'_> {
    let pairs = headers.iter();
    pairs.map(|header| (&*header.name, &*header.value)).collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn missing_reply_follows_on_failure() {
    let unanswered = "503 the external service does not answer, or cannot";
    for protocol in ["http", "grpc"] {
        for (fields, want) in [
            ("", Err(unanswered.to_owned())),
            (r#", "onFailure": "deny""#, Err(unanswered.to_owned())),
            (r#", "onFailure": "allow""#, Ok(String::new())),
        ] {
            let outcome = resume_with(&external(protocol, fields), CLIENT, Reply::Failed);
            assert_eq!(summary(outcome), want, "{protocol} {fields}");
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn reply_of_other_protocol_is_refused() {
    let of_http = Reply::Http {
        status: 401,
        headers: Vec::new(),
        body: Vec::new(),
    };
    assert!(summary(resume_with(&external("grpc", ""), CLIENT, of_http)).is_err());
    let nothing = Reply::Grpc { body: Vec::new() };
    assert!(summary(resume_with(&external("http", ""), CLIENT, nothing)).is_err());
}

/// The service is asked in its turn, and only if the checks before it fail.
#[wasm_bindgen_test(unsupported = test)]
fn service_is_one_of_several_checks() {
    let any = requirement(
        r#"{"ip": {"allow": ["10.0.0.0/8"]}},
        {"external": {"cluster": "auth", "protocol": "http", "timeoutMs": 200}},
        {"apiKey": {"header": "x-api-key", "keys": {}}}"#,
    );
    let cache = AuthCache::new(b"a test");
    for (address, status, want) in [
        ("10.1.2.3", None, Ok(String::new())),
        ("11.1.2.3", Some(200), Ok(String::new())),
        (
            "11.1.2.3",
            Some(403),
            Err("403 the external service answers 403".to_owned()),
        ),
        (
            "11.1.2.3",
            Some(500),
            Err("503 the external service does not answer, or cannot".to_owned()),
        ),
    ] {
        let request = AuthRequest {
            headers: &Client::new(CLIENT),
            host: &Proxy::with_client_at(address),
            cache: &cache,
            protected: &[],
        };
        let outcome = match (any.check(request), status) {
            (AuthOutcome::Call(_, pending), Some(status)) => {
                let reply = Reply::Http {
                    status,
                    headers: Vec::new(),
                    body: Vec::new(),
                };
                any.resume(pending, Completion::Reply(reply), request)
            }
            (outcome, _) => outcome,
        };
        assert_eq!(summary(outcome), want, "{address} {status:?}");
    }
}

/// The service could judge one, and the upstream take the other.
#[wasm_bindgen_test(unsupported = test)]
fn repeated_credentials_are_refused_without_call() {
    let twice = [("authorization", "Bearer x"), ("authorization", "Bearer y")];
    let outcome = crate::auth::tests::check(&external("http", ""), &twice);
    assert_eq!(
        summary(outcome),
        Err(r#"400 "authorization" is there more than once"#.to_owned())
    );
    callout(
        &external("http", r#", "requestHeaders": ["x-there"]"#),
        &twice,
        "",
    );
}

/// A request resumes only with the answer that it waited for.
#[wasm_bindgen_test(unsupported = test)]
fn unexpected_completion_is_refused() {
    let requirement = external("http", "");
    let cache = AuthCache::new(b"a test");
    let request = AuthRequest {
        headers: &Client::new(CLIENT),
        host: &Proxy::default(),
        cache: &cache,
        protected: &[],
    };
    let AuthOutcome::Call(_, pending) = requirement.check(request) else {
        panic!("is not asked");
    };
    let outcome = requirement.resume(
        pending,
        Completion::Work(crate::auth::Verification::Right),
        request,
    );
    assert_eq!(summary(outcome), Err("403 no credentials".to_owned()));
}

#[wasm_bindgen_test(unsupported = test)]
fn response_headers_are_protected() {
    let requirement = external("grpc", r#", "responseHeaders": ["x-user", "x-groups"]"#);
    let want = ["x-user", "x-groups"].map(str::to_owned).into();
    assert_eq!(requirement.protected().headers, want);
}

#[wasm_bindgen_test(unsupported = test)]
fn invalid_configuration_is_refused() {
    for (fields, want) in [
        (
            r#""requestHeaders": ["X-A"]"#,
            r#"external.requestHeaders: "X-A" is no header name"#,
        ),
        (
            r#""requestHeaders": [":path"]"#,
            r#"external.requestHeaders: ":path" is no header name"#,
        ),
        (
            r#""requestHeaders": ["content-length"]"#,
            r#"external.requestHeaders: "content-length" is no header"#,
        ),
        (
            r#""responseHeaders": ["host"]"#,
            r#"external.responseHeaders: "host" is no header name"#,
        ),
        (
            r#""responseHeaders": ["x-switchyard-route"]"#,
            r#"external.responseHeaders: "x-switchyard-route" is"#,
        ),
        (
            r#""path": "/a\r\nx-b: c""#,
            r#"external.path: "/a\r\nx-b: c" holds a control character"#,
        ),
        (
            r#""path": """#,
            r#"external.path: "" holds a control character, or is empty"#,
        ),
    ] {
        let got = parse_error(&format!(
            r#"{{"external": {{"cluster": "auth", "protocol": "http", "timeoutMs": 1, {fields}}}}}"#
        ));
        assert!(got.starts_with(want), "{fields}: {got}");
    }
}
