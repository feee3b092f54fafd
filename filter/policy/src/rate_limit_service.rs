//! Rate limit services, which count for all proxies together, by Envoy's protocol
//! (`envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`).

use crate::{
    call::{self, Call, Reply, encode},
    config::policy::{GlobalLimit, HeaderEdits, Headers},
    header::HeaderValue,
};
use prost::Message;
use std::time::Duration;

/// A descriptor of a request: keys and values of the service's configuration.
pub type Descriptor = Vec<(String, String)>;

/// The decision of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimitDecision {
    /// True if the request is over the limit.
    pub is_over: bool,
    /// The quota of the limit with the least remaining, if the service reports it.
    pub quota: Option<ServiceQuota>,
    /// Headers that the service adds for the upstream and for the client.
    pub headers: Headers,
    /// The body for a client that is over the limit; empty if there is none.
    pub body: Vec<u8>,
}

/// The state of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceQuota {
    /// Requests in a unit of time.
    pub limit: u32,
    pub remaining: u32,
    /// Time until the next unit of time.
    pub reset: Duration,
}

/// `envoy.service.ratelimit.v3.RateLimitRequest`.
#[derive(Clone, PartialEq, Message)]
struct RateLimitRequest {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(message, repeated, tag = "2")]
    descriptors: Vec<RateLimitDescriptor>,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor`.
#[derive(Clone, PartialEq, Message)]
struct RateLimitDescriptor {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<RateLimitEntry>,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry`.
#[derive(Clone, PartialEq, Message)]
struct RateLimitEntry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

// Numbers are read as 64 bits, so that none is truncated.

/// `envoy.service.ratelimit.v3.RateLimitResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RateLimitResponse {
    #[prost(uint64, tag = "1")]
    pub(crate) overall_code: u64,
    #[prost(message, repeated, tag = "2")]
    pub(crate) statuses: Vec<DescriptorStatus>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) response_headers_to_add: Vec<HeaderValue>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) request_headers_to_add: Vec<HeaderValue>,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) raw_body: Vec<u8>,
}

/// `envoy.service.ratelimit.v3.RateLimitResponse.DescriptorStatus`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DescriptorStatus {
    #[prost(message, optional, tag = "2")]
    pub(crate) current_limit: Option<CurrentLimit>,
    #[prost(uint64, tag = "3")]
    pub(crate) limit_remaining: u64,
    #[prost(message, optional, tag = "4")]
    pub(crate) duration_until_reset: Option<Seconds>,
}

/// `envoy.service.ratelimit.v3.RateLimitResponse.RateLimit`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CurrentLimit {
    #[prost(uint64, tag = "1")]
    pub(crate) requests_per_unit: u64,
}

/// `google.protobuf.Duration`, without its nanoseconds.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Seconds {
    #[prost(uint64, tag = "1")]
    pub(crate) seconds: u64,
}

/// `envoy.service.ratelimit.v3.RateLimitResponse.Code`.
const OK: u64 = 1;
const OVER_LIMIT: u64 = 2;

/// The callout for these descriptors; `None` if there are none.
#[must_use]
pub fn call(limit: &GlobalLimit, descriptors: &[Descriptor]) -> Option<Call> {
    let GlobalLimit {
        cluster,
        domain,
        descriptors: _,
        timeout_ms,
        on_failure: _,
    } = limit;
    let entry = |(key, value): &(String, String)| RateLimitEntry {
        key: key.clone(),
        value: value.clone(),
    };
    let descriptor = |entries: &Descriptor| RateLimitDescriptor {
        entries: entries.iter().map(entry).collect(),
    };
    let request = || RateLimitRequest {
        domain: domain.clone(),
        descriptors: descriptors.iter().map(descriptor).collect(),
    };
    (!descriptors.is_empty()).then(|| Call {
        cluster: cluster.clone(),
        timeout: Duration::from_millis(*timeout_ms),
        message: call::Message::Grpc {
            service: "envoy.service.ratelimit.v3.RateLimitService",
            method: "ShouldRateLimit",
            body: encode(&request()),
        },
    })
}

/// Parses a reply; `None` if it neither allows nor limits the request.
#[must_use]
pub fn parse_reply(reply: &Reply) -> Option<RateLimitDecision> {
    match reply {
        Reply::Grpc { body } => RateLimitResponse::decode(body.as_slice()).ok()?.into_decision(),
        Reply::Http { .. } | Reply::Failed => None,
    }
}

// === impl RateLimitResponse ===

impl RateLimitResponse {
    fn into_decision(self) -> Option<RateLimitDecision> {
        let Self {
            overall_code,
            statuses,
            response_headers_to_add,
            request_headers_to_add,
            raw_body,
        } = self;
        let quotas = statuses.into_iter().filter_map(DescriptorStatus::quota);
        [OK, OVER_LIMIT]
            .contains(&overall_code)
            .then(|| RateLimitDecision {
                is_over: overall_code == OVER_LIMIT,
                quota: quotas.min_by_key(|quota| quota.remaining),
                headers: Headers {
                    request: added(request_headers_to_add),
                    response: added(response_headers_to_add),
                },
                body: raw_body,
            })
    }
}

// === impl DescriptorStatus ===

impl DescriptorStatus {
    /// The quota; `None` if no limit applies to the descriptor.
    fn quota(self) -> Option<ServiceQuota> {
        let Self {
            current_limit,
            limit_remaining,
            duration_until_reset,
        } = self;
        let reset = duration_until_reset.map_or(0, |duration| duration.seconds);
        Some(ServiceQuota {
            limit: saturated(current_limit?.requests_per_unit),
            remaining: saturated(limit_remaining),
            reset: Duration::from_secs(saturated(reset).into()),
        })
    }
}

fn added(headers: Vec<HeaderValue>) -> HeaderEdits {
    HeaderEdits {
        add: headers.into_iter().filter_map(HeaderValue::into_header).collect(),
        ..HeaderEdits::default()
    }
}

fn saturated(number: u64) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
