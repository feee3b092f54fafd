//! Failed checks, and the responses to their clients.

use super::jwt::error::TokenError;

/// The failure of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthFailure {
    /// The reason, for logs and metrics but not for clients.
    pub reason: FailureReason,
    pub response: FailureResponse,
}

/// The reason that a check failed. It contains no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureReason {
    #[error("no credentials")]
    Missing,
    #[error("{0:?} is there more than once")]
    Repeated(String),
    #[error("credentials that cannot be read")]
    Malformed,
    #[error("unknown name, or wrong password")]
    Password,
    #[error("too many passwords wait to be verified")]
    Busy,
    #[error("the token is refused: {0}")]
    Token(TokenError),
    #[error("the keys that tokens are signed with are too old to be trusted")]
    KeysExpired,
    #[error("unknown key")]
    UnknownKey,
    #[error("the external service answers {0}")]
    Denied(u16),
    #[error("the external service does not answer, or cannot")]
    NoAnswer,
    #[error("the external service answers what is neither yes nor no")]
    InvalidResponse,
    #[error("the address is not allowed")]
    Address,
}

/// The response to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureResponse {
    /// 400: the request is ambiguous.
    Ambiguous,
    /// 401, with these values of `WWW-Authenticate`.
    Unauthorized(Vec<String>),
    /// 403.
    Forbidden,
    /// 429: there are too many of the kind; the client may retry after so many seconds.
    TooMany { retry_after: u32 },
    /// 503: the check cannot be decided at the moment; the client may retry after so many seconds.
    Unavailable { retry_after: Option<u32> },
    /// The response of an external service.
    Response(ServiceResponse),
}

/// The response of an external service, for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceResponse {
    /// 200 to 599.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

// === impl AuthFailure ===

impl AuthFailure {
    pub(super) fn repeated(what: &str) -> Self {
        Self {
            reason: FailureReason::Repeated(what.to_owned()),
            response: FailureResponse::Ambiguous,
        }
    }

    /// A 401 without a challenge, for schemes that have none.
    pub(super) fn unauthorized(reason: FailureReason) -> Self {
        Self {
            reason,
            response: FailureResponse::Unauthorized(Vec::new()),
        }
    }

    pub(super) fn challenge(reason: FailureReason, challenge: String) -> Self {
        Self {
            reason,
            response: FailureResponse::Unauthorized(vec![challenge]),
        }
    }

    pub(super) fn forbidden(reason: FailureReason) -> Self {
        Self {
            reason,
            response: FailureResponse::Forbidden,
        }
    }

    pub(super) fn too_many(reason: FailureReason, retry_after: u32) -> Self {
        Self {
            reason,
            response: FailureResponse::TooMany { retry_after },
        }
    }

    pub(super) fn unavailable(reason: FailureReason, retry_after: Option<u32>) -> Self {
        Self {
            reason,
            response: FailureResponse::Unavailable { retry_after },
        }
    }

    /// Combines the failures of two alternative checks: returns the response that helps the client most. Of two that
    /// are alike, the one of a check that had credentials to verify.
    pub(super) fn or(self, other: Self) -> Self {
        let (mut better, lesser) = if other.rank() > self.rank() {
            (other, self)
        } else {
            (self, other)
        };
        if let (FailureResponse::Unauthorized(challenges), FailureResponse::Unauthorized(more)) =
            (&mut better.response, lesser.response)
        {
            let more: Vec<_> = more
                .into_iter()
                .filter(|challenge| !challenges.contains(challenge))
                .collect();
            challenges.extend(more);
        }
        better
    }

    fn rank(&self) -> (u8, bool) {
        (self.response.rank(), self.reason != FailureReason::Missing)
    }
}

// === impl ServiceResponse ===

impl ServiceResponse {
    pub(super) fn plain(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

// === impl FailureReason ===

impl FailureReason {
    /// The label in metrics, one of a few.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Repeated(_) => "repeated",
            Self::Malformed => "malformed",
            Self::Password => "password",
            Self::Busy => "busy",
            Self::Token(_) => "token",
            Self::KeysExpired => "keys",
            Self::UnknownKey => "key",
            Self::Denied(_) => "denied",
            Self::NoAnswer => "unanswered",
            Self::InvalidResponse => "nonsense",
            Self::Address => "address",
        }
    }
}

// === impl FailureResponse ===

impl FailureResponse {
    /// The HTTP status of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Ambiguous => 400,
            Self::Unauthorized(_) => 401,
            Self::Forbidden => 403,
            Self::TooMany { .. } => 429,
            Self::Unavailable { .. } => 503,
            Self::Response(response) => response.status,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Forbidden => 0,
            Self::Unauthorized(_) => 1,
            Self::TooMany { .. } => 2,
            Self::Unavailable { .. } => 3,
            Self::Response(_) => 4,
            Self::Ambiguous => 5,
        }
    }
}
