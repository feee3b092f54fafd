//! Errors of requirements.

use super::{hash::error::HashError, jwt::error::KeyError};

/// The reason that a requirement cannot be used, with the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    #[error("anyOf: there is no check in it")]
    NoCheck,
    #[error("{field}: {name:?} is no header name in lower case that a check may have")]
    Header { field: &'static str, name: String },
    #[error("{field}: {text:?} holds a control character, or is empty")]
    Text { field: &'static str, text: String },
    #[error("basic.users: the hash of the password of {name:?} {error}")]
    Hash { name: String, error: HashError },
    #[error("apiKey: neither header nor query")]
    NoKeySource,
    #[error("apiKey.keys: the digest of the key of {0:?} is not 64 digits of lower-case hexadecimal")]
    Digest(String),
    #[error("jwt.keys[{at}]: {error}")]
    Key { at: usize, error: KeyError },
    #[error("ip: neither allow nor deny")]
    NoRange,
    #[error("ip.{list}[{at}]: {text:?} is no CIDR, such as 10.0.0.0/8 or 2001:db8::/32, and no address")]
    Cidr {
        list: &'static str,
        at: usize,
        text: String,
    },
}
