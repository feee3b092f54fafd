use super::*;
use crate::auth::{
    Answer, Memory, Requirement, Verdict,
    tests::{Client, Proxy, fault, requirement, told},
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
fn external(protocol: &str, fields: &str) -> Requirement {
    requirement(&format!(
        r#"{{"external": {{"cluster": "auth", "protocol": {protocol:?}, "timeoutMs": 200 {fields}}}}}"#
    ))
}

/// Checks a client's request, and returns the verdict for a reply.
fn judge(requirement: &Requirement, client: &[(&str, &str)], reply: Reply) -> Verdict {
    let memory = Memory::new(b"a test");
    let request = Request {
        headers: &Client::new(client),
        host: &Proxy::with_client_at("192.0.2.7"),
        memory: &memory,
        levels: &[],
    };
    match requirement.check(request) {
        Verdict::Ask(_, waiting) => requirement.resume(waiting, Answer::Reply(reply), request),
        verdict => panic!("{verdict:?}"),
    }
}

/// The callout to the service.
fn asked(requirement: &Requirement, client: &[(&str, &str)], address: &str) -> Call {
    match crate::auth::tests::check_at(requirement, client, address) {
        Verdict::Ask(call, _) => call,
        verdict => panic!("{verdict:?}"),
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
fn where_nobody_answers_the_policy_says_what_becomes_of_it() {
    let unanswered = "503 the external service does not answer, or cannot";
    for protocol in ["http", "grpc"] {
        for (fields, want) in [
            ("", Err(unanswered.to_owned())),
            (r#", "onFailure": "deny""#, Err(unanswered.to_owned())),
            (r#", "onFailure": "allow""#, Ok(String::new())),
        ] {
            let verdict = judge(&external(protocol, fields), CLIENT, Reply::Failed);
            assert_eq!(told(verdict), want, "{protocol} {fields}");
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_reply_of_the_other_protocol_is_no_yes() {
    let of_http = Reply::Http {
        status: 401,
        headers: Vec::new(),
        body: Vec::new(),
    };
    assert!(told(judge(&external("grpc", ""), CLIENT, of_http)).is_err());
    let nothing = Reply::Grpc { body: Vec::new() };
    assert!(told(judge(&external("http", ""), CLIENT, nothing)).is_err());
}

/// The service is asked in its turn, and only if the checks before it fail.
#[wasm_bindgen_test(unsupported = test)]
fn a_service_is_one_of_several_checks() {
    let any = requirement(
        r#"{"ip": {"allow": ["10.0.0.0/8"]}},
        {"external": {"cluster": "auth", "protocol": "http", "timeoutMs": 200}},
        {"apiKey": {"header": "x-api-key", "keys": {}}}"#,
    );
    let memory = Memory::new(b"a test");
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
        let request = Request {
            headers: &Client::new(CLIENT),
            host: &Proxy::with_client_at(address),
            memory: &memory,
            levels: &[],
        };
        let verdict = match (any.check(request), status) {
            (Verdict::Ask(_, waiting), Some(status)) => {
                let reply = Reply::Http {
                    status,
                    headers: Vec::new(),
                    body: Vec::new(),
                };
                any.resume(waiting, Answer::Reply(reply), request)
            }
            (verdict, _) => verdict,
        };
        assert_eq!(told(verdict), want, "{address} {status:?}");
    }
}

/// The service could judge one, and the upstream take the other.
#[wasm_bindgen_test(unsupported = test)]
fn a_service_is_not_asked_about_two_credentials() {
    let twice = [("authorization", "Bearer x"), ("authorization", "Bearer y")];
    let verdict = crate::auth::tests::check(&external("http", ""), &twice);
    assert_eq!(
        told(verdict),
        Err(r#"400 "authorization" is there more than once"#.to_owned())
    );
    asked(
        &external("http", r#", "requestHeaders": ["x-there"]"#),
        &twice,
        "",
    );
}

/// A request resumes only with the answer that it waited for.
#[wasm_bindgen_test(unsupported = test)]
fn an_answer_to_another_question_lets_nobody_in() {
    let requirement = external("http", "");
    let memory = Memory::new(b"a test");
    let request = Request {
        headers: &Client::new(CLIENT),
        host: &Proxy::default(),
        memory: &memory,
        levels: &[],
    };
    let Verdict::Ask(_, waiting) = requirement.check(request) else {
        panic!("is not asked");
    };
    let verdict = requirement.resume(waiting, Answer::Work(crate::auth::Verification::Right), request);
    assert_eq!(told(verdict), Err("403 no credentials".to_owned()));
}

#[wasm_bindgen_test(unsupported = test)]
fn names_that_only_the_service_may_say_are_withheld() {
    let requirement = external("grpc", r#", "responseHeaders": ["x-user", "x-groups"]"#);
    let want = ["x-user", "x-groups"].map(str::to_owned).into();
    assert_eq!(requirement.withheld().headers, want);
}

#[wasm_bindgen_test(unsupported = test)]
fn what_cannot_be_used_is_refused() {
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
        let got = fault(&format!(
            r#"{{"external": {{"cluster": "auth", "protocol": "http", "timeoutMs": 1, {fields}}}}}"#
        ));
        assert!(got.starts_with(want), "{fields}: {got}");
    }
}
