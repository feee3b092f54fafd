//! Responses to clients whose request a policy refuses.

use crate::{
    auth::{FailureResponse, ServiceResponse},
    local_reply::LocalReply,
    observer::PolicyPart,
    policy::PreparedPolicy,
    request::Request,
};
use std::fmt::Display;

/// The refusal of a request by a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRefusal {
    /// The HTTP status.
    pub status: u16,
    pub code: RefusalCode,
    /// The policy, and the part of it. For the log only, like the details.
    pub policy: String,
    pub details: String,
    /// Headers beside those of every refusal.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; if `None`, the message of the code.
    pub body: Option<Vec<u8>>,
}

/// The code that clients get. The names are gRPC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// The client is not authenticated.
    Unauthenticated,
    /// The client is not allowed.
    PermissionDenied,
    /// The client has sent too many requests.
    ResourceExhausted,
    /// Too many requests are in flight, or a required service does not answer.
    Unavailable,
    /// The request is ambiguous.
    InvalidArgument,
}

// === impl RefusalCode ===

impl RefusalCode {
    /// The name for logs, metrics and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Unavailable => "unavailable",
            Self::InvalidArgument => "invalid_argument",
        }
    }

    /// The default HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidArgument => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::ResourceExhausted => 429,
            Self::Unavailable => 503,
        }
    }

    /// The reason that stands for the status of an external service's response.
    fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            429 => Self::ResourceExhausted,
            500.. => Self::Unavailable,
            _ => Self::PermissionDenied,
        }
    }

    /// The gRPC status (<https://grpc.io/docs/guides/status-codes/>).
    #[must_use]
    pub fn grpc_status(self) -> u32 {
        match self {
            Self::InvalidArgument => 3,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// The message for people.
    fn message(self) -> &'static str {
        match self {
            Self::Unauthenticated => "credentials are missing, or not valid",
            Self::PermissionDenied => "access is not allowed",
            Self::ResourceExhausted => "too many requests",
            Self::Unavailable => "not available at the moment",
            Self::InvalidArgument => "the request says more than one thing",
        }
    }
}

// === impl PolicyRefusal ===

impl PolicyRefusal {
    pub(super) fn new(code: RefusalCode, part: (&PreparedPolicy, PolicyPart), details: impl Display) -> Self {
        let (policy, part) = part;
        Self {
            status: code.status(),
            code,
            policy: format!("{} {part}", policy.source),
            details: details.to_string(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Converts the response of a failed check.
    pub(super) fn of_auth(
        response: FailureResponse,
        part: (&PreparedPolicy, PolicyPart),
        details: impl Display,
    ) -> Self {
        match response {
            FailureResponse::Ambiguous => Self::new(RefusalCode::InvalidArgument, part, details),
            FailureResponse::Forbidden => Self::new(RefusalCode::PermissionDenied, part, details),
            FailureResponse::Unauthorized(challenges) => {
                let challenges = challenges.into_iter();
                let header = |value: String| ("www-authenticate".to_owned(), value.into_bytes());
                Self {
                    headers: challenges.map(header).collect(),
                    ..Self::new(RefusalCode::Unauthenticated, part, details)
                }
            }
            FailureResponse::TooMany { retry_after } => {
                Self::new(RefusalCode::ResourceExhausted, part, details).retry_after(Some(retry_after.into()))
            }
            FailureResponse::Unavailable { retry_after } => {
                let refusal = Self::new(RefusalCode::Unavailable, part, details);
                refusal.retry_after(retry_after.map(u64::from))
            }
            FailureResponse::Response(ServiceResponse {
                status,
                headers,
                body,
            }) => Self {
                status,
                headers,
                body: Some(body),
                ..Self::new(RefusalCode::of_status(status), part, details)
            },
        }
    }

    /// Sets `Retry-After` (RFC 9110, 10.2.3), in seconds, if it is known.
    pub(super) fn retry_after(mut self, seconds: Option<u64>) -> Self {
        let value = seconds.map(|seconds| seconds.to_string().into_bytes());
        self.headers
            .extend(value.map(|value| ("retry-after".to_owned(), value)));
        self
    }

    /// Sets the body, unless it is empty.
    pub(super) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body).filter(|body| !body.is_empty());
        self
    }

    /// The response to the request.
    #[must_use]
    pub fn response(self, request: Request<'_>) -> LocalReply {
        let Self {
            status,
            code,
            policy: _,
            details: _,
            mut headers,
            body,
        } = self;
        let body = body.unwrap_or_else(|| {
            let (media_type, body) = body_of(status, code, request);
            headers.push(("content-type".to_owned(), media_type.into()));
            body.into_bytes()
        });
        LocalReply {
            status,
            headers,
            body,
            grpc_status: request.is_grpc().then(|| code.grpc_status()),
        }
    }
}

/// The media type and the body. For a gRPC client Envoy makes the body the message of the status.
fn body_of(status: u16, code: RefusalCode, request: Request<'_>) -> (&'static str, String) {
    let message = code.message();
    if request.is_grpc() {
        ("text/plain", message.to_owned())
    } else if prefers_json(request) {
        // None of these texts needs an escape.
        let error = code.name();
        let body = format!(r#"{{"error":"{error}","message":"{message}","status":{status}}}"#);
        ("application/json", format!("{body}\n"))
    } else {
        ("text/plain", format!("{message}\n"))
    }
}

/// Returns true if the client prefers JSON to text (RFC 9110, 12.5.1). A client that does not mention JSON gets text.
fn prefers_json(request: Request<'_>) -> bool {
    let mut json = 0;
    let mut text = 0;
    for value in request.values("accept") {
        for range in value.split(|byte| *byte == b',') {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = quality(parts);
            if media_type == b"application/json" || media_type.ends_with(b"+json") {
                json = json.max(quality);
            } else if media_type.starts_with(b"text/") {
                text = text.max(quality);
            }
        }
    }
    json > 0 && json >= text
}

/// The quality value in thousandths.
fn quality<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> u16 {
    let weight = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_first_chunk::<2>()?;
        name.eq_ignore_ascii_case(b"q=").then_some(value)
    });
    match weight {
        None | Some([b'1', ..]) => 1000,
        Some([b'0', b'.', digits @ ..]) => {
            let digits = digits.iter().copied().take_while(u8::is_ascii_digit);
            let padded = digits.chain(std::iter::repeat(b'0')).take(3);
            padded.fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
        }
        Some(_) => 0,
    }
}

#[cfg(test)]
mod tests;
