//! Errors of keys and tokens.

use crate::config::policy::Algorithm;

/// The longest token in bytes: more than Envoy's default limit on headers lets through beside others.
pub(super) const MAX_LEN: usize = 16 * 1024;

/// The reason that a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("there are no algorithms for it")]
    NoAlgorithm,
    #[error(
        "it is no key in base64 of RSA, of EC on P-256, P-384 or P-521, or of Ed25519 (SubjectPublicKeyInfo)"
    )]
    Spki,
    #[error("it is of RSA with {0} bits: it must have 2048 to 4096")]
    Bits(usize),
    #[error("{0:?} does not go with such a key")]
    Algorithm(Algorithm),
}

/// The reason that a token is refused. It contains no secrets of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is longer than {MAX_LEN} bytes")]
    TooLong,
    #[error("it is not three parts of base64url")]
    Parts,
    #[error("its header is not JSON with an algorithm that keys here can have, or says something twice")]
    Header,
    #[error("its header's {0} is not {1}")]
    HeaderType(&'static str, &'static str),
    #[error("its header has crit, and no extension is understood")]
    Critical,
    #[error("its claims are not a JSON object with each name once")]
    Claims,
    #[error("its claim {0} is not {1}")]
    ClaimType(&'static str, &'static str),
    #[error("it names no key that is here")]
    UnknownKey,
    #[error("its key is not for its algorithm")]
    Algorithm,
    #[error("its signature is wrong")]
    Signature,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("it was issued in the future")]
    Issued,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("its claim {0:?} is missing, or is none of those that will do")]
    Required(String),
    #[error("its sub is nothing that a header can say")]
    Subject,
}
