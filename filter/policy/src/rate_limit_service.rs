//! Services that count for all proxies together: Envoy's rate limit protocol
//! (`envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`).

use crate::{
    call::{Call, Message, Reply},
    config::policy::{GlobalLimit, Header, HeaderEdits, Headers},
    header,
    protobuf::{Malformed, Reader, Value, Writer},
};
use std::time::Duration;

/// What a request is, in the terms of the service's configuration: keys and values.
pub type Descriptor = Vec<(String, String)>;

/// What the service says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the request is one too many.
    pub is_over: bool,
    /// Of the limit with the least left, if the service tells.
    pub quota: Option<Quota>,
    /// What the service has to say to the upstream and to the client.
    pub headers: Headers,
    /// For the client, where the request is one too many. Empty: nothing.
    pub body: Vec<u8>,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests in a unit of time.
    pub limit: u32,
    pub remaining: u32,
    /// Until the next unit of time.
    pub reset: Duration,
}

/// `RateLimitResponse.Code`.
const OK: u64 = 1;
const OVER_LIMIT: u64 = 2;

/// What to ask; none where there is nothing to be limited by.
#[must_use]
pub fn ask(limit: &GlobalLimit, descriptors: &[Descriptor]) -> Option<Call> {
    let GlobalLimit {
        cluster,
        domain,
        descriptors: _,
        timeout_ms,
        on_failure: _,
    } = limit;
    let entry = |message: Writer, (key, value): &(String, String)| {
        message.message(1, Writer::default().bytes(1, key).bytes(2, value))
    };
    let request = descriptors
        .iter()
        .fold(Writer::default().bytes(1, domain), |request, entries| {
            request.message(2, entries.iter().fold(Writer::default(), entry))
        });
    (!descriptors.is_empty()).then(|| Call {
        cluster: cluster.clone(),
        timeout: Duration::from_millis(*timeout_ms),
        message: Message::Grpc {
            service: "envoy.service.ratelimit.v3.RateLimitService",
            method: "ShouldRateLimit",
            body: request.into_bytes(),
        },
    })
}

/// What the service says; none where it says neither that the request may pass nor that it may not.
#[must_use]
pub fn read(reply: &Reply) -> Option<Judgement> {
    match reply {
        Reply::Grpc { body } => read_response(body).ok()?,
        Reply::Http { .. } | Reply::Failed => None,
    }
}

/// `RateLimitResponse`.
fn read_response(body: &[u8]) -> Result<Option<Judgement>, Malformed> {
    let (mut judgement, mut code) = (Judgement::default(), 0);
    for field in Reader::new(body) {
        match field? {
            (1, Value::Varint(value)) => code = value,
            (2, Value::Bytes(status)) => {
                let quotas = [judgement.quota, read_status(status)?];
                judgement.quota = quotas.into_iter().flatten().min_by_key(|quota| quota.remaining);
            }
            (3, Value::Bytes(value)) => push(&mut judgement.headers.response, value)?,
            (4, Value::Bytes(value)) => push(&mut judgement.headers.request, value)?,
            (5, Value::Bytes(body)) => judgement.body = body.to_vec(),
            _ => {}
        }
    }
    judgement.is_over = code == OVER_LIMIT;
    Ok([OK, OVER_LIMIT].contains(&code).then_some(judgement))
}

/// `RateLimitResponse.DescriptorStatus`: none where no limit is for the descriptor.
fn read_status(message: &[u8]) -> Result<Option<Quota>, Malformed> {
    let (mut limit, mut remaining, mut reset) = (None, 0, Duration::ZERO);
    for field in Reader::new(message) {
        match field? {
            (2, Value::Bytes(current)) => limit = Some(first_number(current)?),
            (3, Value::Varint(value)) => remaining = value,
            (4, Value::Bytes(duration)) => {
                reset = Duration::from_secs(saturated(first_number(duration)?).into())
            }
            _ => {}
        }
    }
    Ok(limit.map(|limit| Quota {
        limit: saturated(limit),
        remaining: saturated(remaining),
        reset,
    }))
}

/// The first field of `RateLimit`, its requests in a unit of time, and of `google.protobuf.Duration`, its seconds.
fn first_number(message: &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for field in Reader::new(message) {
        if let (1, Value::Varint(value)) = field? {
            number = value;
        }
    }
    Ok(number)
}

fn saturated(number: u64) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

fn push(edits: &mut HeaderEdits, value: &[u8]) -> Result<(), Malformed> {
    let header = header::read_header_value(value)?;
    edits
        .add
        .extend(header.map(|(name, value)| Header { name, value }));
    Ok(())
}

#[cfg(test)]
mod tests;
