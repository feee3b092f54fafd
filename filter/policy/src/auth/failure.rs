//! Failed checks, and the responses to their clients.

use super::TokenFault;

/// The failure of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason, for logs and metrics but not for clients.
    pub reason: Reason,
    pub refusal: Refusal,
}

/// The reason that a check failed. It contains no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
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
    Token(TokenFault),
    #[error("the keys that tokens are signed with are too old to be trusted")]
    KeysExpired,
    #[error("unknown key")]
    UnknownKey,
    #[error("the external service answers {0}")]
    Denied(u16),
    #[error("the external service does not answer, or cannot")]
    NoAnswer,
    #[error("the external service answers what is neither yes nor no")]
    Nonsense,
    #[error("the address is not allowed")]
    Address,
}

/// The response to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
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
    Response(Response),
}

/// A complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

// === impl Failure ===

impl Failure {
    pub(super) fn repeated(what: &str) -> Self {
        Self {
            reason: Reason::Repeated(what.to_owned()),
            refusal: Refusal::Ambiguous,
        }
    }

    /// A 401 without a challenge, for schemes that have none.
    pub(super) fn unauthorized(reason: Reason) -> Self {
        Self {
            reason,
            refusal: Refusal::Unauthorized(Vec::new()),
        }
    }

    pub(super) fn challenge(reason: Reason, challenge: String) -> Self {
        Self {
            reason,
            refusal: Refusal::Unauthorized(vec![challenge]),
        }
    }

    pub(super) fn forbidden(reason: Reason) -> Self {
        Self {
            reason,
            refusal: Refusal::Forbidden,
        }
    }

    pub(super) fn too_many(reason: Reason, retry_after: u32) -> Self {
        Self {
            reason,
            refusal: Refusal::TooMany { retry_after },
        }
    }

    pub(super) fn unavailable(reason: Reason, retry_after: Option<u32>) -> Self {
        Self {
            reason,
            refusal: Refusal::Unavailable { retry_after },
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
        if let (Refusal::Unauthorized(challenges), Refusal::Unauthorized(more)) =
            (&mut better.refusal, lesser.refusal)
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
        (self.refusal.rank(), self.reason != Reason::Missing)
    }
}

// === impl Response ===

impl Response {
    pub(super) fn plain(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

// === impl Reason ===

impl Reason {
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
            Self::Nonsense => "nonsense",
            Self::Address => "address",
        }
    }
}

// === impl Refusal ===

impl Refusal {
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
