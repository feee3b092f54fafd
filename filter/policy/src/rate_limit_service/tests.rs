use super::*;
use crate::{
    call::{Message, vectors::message},
    config::policy::Header,
};
use wasm_bindgen_test::wasm_bindgen_test;

fn limit() -> GlobalLimit {
    let json = br#"{"cluster": "limits", "domain": "shop", "descriptors": [], "timeoutMs": 50}"#;
    crate::config::parse::parse(json).unwrap()
}

fn descriptor(entries: &[(&str, &str)]) -> Descriptor {
    let entries = entries.iter();
    entries
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn judged(name: &str) -> Option<RateLimitDecision> {
    parse_reply(&Reply::Grpc { body: message(name) })
}

#[wasm_bindgen_test(unsupported = test)]
fn request_matches_envoy() {
    let descriptors = [
        descriptor(&[("remote_address", "192.0.2.7"), ("path", "/a")]),
        descriptor(&[("all", "")]),
    ];
    let Some(Call {
        cluster,
        timeout,
        message: Message::Grpc {
            service,
            method,
            body,
        },
    }) = call(&limit(), &descriptors)
    else {
        panic!("nothing is asked");
    };
    assert_eq!((cluster.as_str(), timeout), ("limits", Duration::from_millis(50)));
    let path = format!("/{service}/{method}");
    assert_eq!(
        path,
        "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
    );
    assert_eq!(body, message("rate limit request"));
}

#[wasm_bindgen_test(unsupported = test)]
fn no_descriptors_make_no_call() {
    assert_eq!(call(&limit(), &[]), None);
}

#[wasm_bindgen_test(unsupported = test)]
fn response_code_decides() {
    let header = |name: &str, value: &str| Header {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let mut headers = Headers::default();
    headers.response.add.push(header("x-limited-by", "shop"));
    headers.request.add.push(header("x-quota", "7"));
    let within = RateLimitDecision {
        is_over: false,
        quota: Some(ServiceQuota {
            limit: 10,
            remaining: 7,
            reset: Duration::from_secs(3),
        }),
        headers,
        body: Vec::new(),
    };
    assert_eq!(judged("within"), Some(within));
    let over = RateLimitDecision {
        is_over: true,
        quota: Some(ServiceQuota {
            limit: 10,
            remaining: 0,
            reset: Duration::from_secs(3),
        }),
        body: b"slowly".to_vec(),
        ..RateLimitDecision::default()
    };
    assert_eq!(judged("over"), Some(over));
}

#[wasm_bindgen_test(unsupported = test)]
fn unknown_response_is_no_decision() {
    for name in ["unknown", "nothing at all", "denied in words"] {
        assert_eq!(judged(name), None, "{name}");
    }
    let of_http = Reply::Http {
        status: 200,
        headers: Vec::new(),
        body: message("within"),
    };
    let garbled = Reply::Grpc {
        body: b"<html>".to_vec(),
    };
    for reply in [of_http, garbled, Reply::Failed] {
        assert_eq!(parse_reply(&reply), None, "{reply:?}");
    }
}

/// A number that is too large becomes the largest valid one.
#[wasm_bindgen_test(unsupported = test)]
fn large_numbers_saturate() {
    let status = DescriptorStatus {
        current_limit: Some(CurrentLimit {
            requests_per_unit: u64::MAX,
        }),
        limit_remaining: u64::MAX,
        duration_until_reset: Some(Seconds { seconds: u64::MAX }),
    };
    let body = encode(&RateLimitResponse {
        overall_code: OK,
        statuses: vec![status],
        ..RateLimitResponse::default()
    });
    let want = ServiceQuota {
        limit: u32::MAX,
        remaining: u32::MAX,
        reset: Duration::from_secs(u32::MAX.into()),
    };
    assert_eq!(parse_reply(&Reply::Grpc { body }).unwrap().quota, Some(want));
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_replies_do_not_panic(mut body in prop::sample::select(["within", "over"].map(message).to_vec()), at in 0_usize..200, byte: u8, other: Vec<u8>) {
            if let Some(place) = body.get_mut(at) {
                *place = byte;
            }
            for body in [body, other] {
                let _decision = parse_reply(&Reply::Grpc { body });
            }
        }
    }
}
