//! Limits that a service counts.

use super::*;
use crate::{
    call::{Reply, encode},
    header::HeaderValue,
    rate_limit_service::{CurrentLimit, DescriptorStatus, RateLimitResponse, Seconds},
};

fn global(on_failure: &str) -> String {
    format!(
        r#""rateLimits": [{{"global": {{"cluster": "c", "domain": "d", "timeoutMs": 50, "onFailure": "{on_failure}",
            "descriptors": [[{{"key": "k", "value": {{"literal": "v"}}}}]]}}}}]"#
    )
}

/// A `RateLimitResponse` of a service that repeats the quota in headers. OK is 1, and `OVER_LIMIT` 2.
fn says(code: u64, remaining: u64, headers: &[(&str, &str)]) -> Completion {
    let status = DescriptorStatus {
        current_limit: Some(CurrentLimit { requests_per_unit: 9 }),
        limit_remaining: remaining,
        duration_until_reset: Some(Seconds { seconds: 30 }),
    };
    let header = |(name, value): &(&str, &str)| HeaderValue {
        key: (*name).into(),
        value: (*value).into(),
        raw_value: Vec::new(),
    };
    let response = RateLimitResponse {
        overall_code: code,
        statuses: vec![status],
        response_headers_to_add: headers.iter().map(header).collect(),
        ..RateLimitResponse::default()
    };
    Completion::Reply(Reply::Grpc {
        body: encode(&response),
    })
}

#[wasm_bindgen_test(unsupported = test)]
fn duplicate_quota_headers_of_service_are_dropped() {
    let headers = [
        ("RateLimit-Limit", "9"),
        ("ratelimit-remaining", "9, 9;w=60"),
        ("RateLimit-Reset", "30"),
        ("Retry-After", "31"),
        ("x-limited-by", "d"),
    ];
    let mut fixture = PolicyFixture::new(&[&global("deny")]);
    let advanced = fixture.send(&[]);
    let advanced = fixture.complete(advanced, says(1, 7, &headers));
    assert!(advanced.action.is_done());
    let quota = |remaining| {
        [
            Edit::Set("ratelimit-limit", b"9"),
            Edit::Set("ratelimit-remaining", remaining),
            Edit::Set("ratelimit-reset", b"30"),
        ]
    };
    // For a request that passes, only the service's `retry-after` is sent.
    let others = [Edit::Add("retry-after", b"31"), Edit::Add("x-limited-by", b"d")];
    assert_eq!(
        advanced.enforcement.response_edits(),
        [&quota(b"7")[..], &others].concat()
    );

    let advanced = fixture.send(&[]);
    let advanced = fixture.complete(advanced, says(2, 0, &headers));
    assert_eq!(
        advanced.enforcement.response_edits(),
        [&quota(b"0")[..], &others[1..]].concat()
    );
    assert_eq!(
        advanced.refusal().headers,
        [("retry-after".to_owned(), b"30".to_vec())]
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn missing_reply_follows_on_failure() {
    for (on_failure, status, note) in [
        ("deny", 503, "0 rateLimits[0]: Refused(\"no_answer\")"),
        ("allow", 0, "0 rateLimits[0]: FailureModeAllowed"),
    ] {
        let mut fixture = PolicyFixture::new(&[&global(on_failure)]);
        let advanced = fixture.send(&[]);
        let advanced = fixture.complete(advanced, Completion::Reply(Reply::Failed));
        assert_eq!(advanced.enforcement.response_edits(), []);
        let refused = matches!(&advanced.action, NextAction::Refuse(refusal) if refusal.status == 503 && refusal.headers.is_empty());
        assert_eq!(refused, status == 503, "{on_failure}");
        assert_eq!(fixture.observer.0.first().unwrap(), note);
    }
}
