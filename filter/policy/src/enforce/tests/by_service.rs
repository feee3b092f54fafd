//! Limits that a service counts.

use super::*;
use crate::{call::Reply, protobuf::Writer};

fn global(on_failure: &str) -> String {
    format!(
        r#""rateLimits": [{{"global": {{"cluster": "c", "domain": "d", "timeoutMs": 50, "onFailure": "{on_failure}",
            "descriptors": [[{{"key": "k", "value": {{"literal": "v"}}}}]]}}}}]"#
    )
}

/// `RateLimitResponse` of a service that says the same in headers. OK is 1, and `OVER_LIMIT` 2.
fn says(code: u64, remaining: u64, headers: &[(&str, &str)]) -> Answer {
    let limit = Writer::default().varint(1, 9);
    let reset = Writer::default().varint(1, 30);
    let status = Writer::default()
        .message(2, limit)
        .varint(3, remaining)
        .message(4, reset);
    let response = Writer::default().varint(1, code).message(2, status);
    let response = headers.iter().fold(response, |response, (name, value)| {
        response.message(3, Writer::default().bytes(1, name).bytes(2, value))
    });
    Answer::Reply(Reply::Grpc {
        body: response.into_bytes(),
    })
}

#[wasm_bindgen_test(unsupported = test)]
fn what_a_service_says_twice_is_told_once() {
    let headers = [
        ("RateLimit-Limit", "9"),
        ("ratelimit-remaining", "9, 9;w=60"),
        ("RateLimit-Reset", "30"),
        ("Retry-After", "31"),
        ("x-limited-by", "d"),
    ];
    let mut scene = Scene::new(&[&global("deny")]);
    let arrived = scene.ask(&[]);
    let arrived = scene.answer(arrived, says(1, 7, &headers));
    assert!(arrived.step.is_done());
    let quota = |remaining| {
        [
            Edit::Set("ratelimit-limit", b"9"),
            Edit::Set("ratelimit-remaining", remaining),
            Edit::Set("ratelimit-reset", b"30"),
        ]
    };
    // To one that may pass only the service says when to come again.
    let others = [Edit::Add("retry-after", b"31"), Edit::Add("x-limited-by", b"d")];
    assert_eq!(
        arrived.enforcement.answer_edits(),
        [&quota(b"7")[..], &others].concat()
    );

    let arrived = scene.ask(&[]);
    let arrived = scene.answer(arrived, says(2, 0, &headers));
    assert_eq!(
        arrived.enforcement.answer_edits(),
        [&quota(b"0")[..], &others[1..]].concat()
    );
    assert_eq!(
        arrived.refusal().headers,
        [("retry-after".to_owned(), b"30".to_vec())]
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn without_an_answer_it_is_as_the_limit_says() {
    for (on_failure, status, note) in [
        ("deny", 503, "0 rateLimits[0]: Refused(\"no_answer\")"),
        ("allow", 0, "0 rateLimits[0]: Unasked"),
    ] {
        let mut scene = Scene::new(&[&global(on_failure)]);
        let arrived = scene.ask(&[]);
        let arrived = scene.answer(arrived, Answer::Reply(Reply::Failed));
        assert_eq!(arrived.enforcement.answer_edits(), []);
        let refused = matches!(&arrived.step, Step::Refuse(refusal) if refusal.status == 503 && refusal.headers.is_empty());
        assert_eq!(refused, status == 503, "{on_failure}");
        assert_eq!(scene.notes.0.first().unwrap(), note);
    }
}
