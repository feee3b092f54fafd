//! What can be wrong with a policy. The place is said before it: `route "/shop": auth[1].jwt.jwks: ...`.

use crate::{
    duration::DurationError, graph::endpoints::EndpointError, jwks::JwksError, object::Name, path::PathError,
};
use std::sync::Arc;
use switchyard_policy::config::value::ValueError;

/// The error, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum PolicyFault {
    #[error("must have {0} entries at most")]
    TooMany(u32),
    #[error("must have exactly one of {0}")]
    ExactlyOne(&'static str),
    #[error("burst and key are for limits with requests and unit: leave them out")]
    BesideGlobal,
    #[error("{given:?} must be one of {of}")]
    Choice { given: String, of: &'static str },
    #[error("{0:?} must be a duration from 1ms to 1m, such as 200ms")]
    Duration(String),
    #[error("{given:?} {error}")]
    DurationRange { given: String, error: DurationError },

    #[error("{given:?} {error}")]
    Prefix { given: String, error: PathError },
    #[error("{0:?} must be a plain path: it starts with \"/\", and has no .., ?, #, encoded slash or space")]
    Path(String),
    #[error("no request has the prefix {prefix:?}: the paths of this route begin with {bound:?}")]
    PrefixOutside { prefix: String, bound: Arc<str> },
    #[error("must be printable, without spaces at its ends")]
    HeaderValue,
    #[error("{0:?} must be printable, without quotes and backslashes")]
    Realm(String),

    #[error("Service {0} not found")]
    ServiceMissing(Name),
    #[error("Service {service} has no port {port}")]
    PortMissing { service: Name, port: i64 },
    #[error(transparent)]
    Endpoints(EndpointError),

    #[error("Secret {0} not found")]
    SecretMissing(Name),
    #[error("Secret {secret}: empty {key:?} key")]
    SecretKeyEmpty { secret: Name, key: &'static str },
    #[error("Secret {secret}: key {key:?} is not UTF-8")]
    SecretKeyText { secret: Name, key: &'static str },
    #[error("Secret {secret}: key \"auth\", line {line}: {reason}")]
    Htpasswd {
        secret: Name,
        line: usize,
        reason: String,
    },
    #[error("Secret {0}: key \"auth\" has no users")]
    NoUsers(Name),
    #[error("Secret {0} has no keys")]
    NoApiKeys(Name),
    #[error("Secret {secret}: client {client:?}: {reason}")]
    ApiKey {
        secret: Name,
        client: String,
        reason: &'static str,
    },
    #[error("Secret {secret}: clients {one:?} and {other:?} have the same key")]
    ApiKeyShared {
        secret: Name,
        one: String,
        other: String,
    },
    #[error("Secret {secret}: key \"jwks\": {error}")]
    JwksSecret { secret: Name, error: JwksError },
    #[error("{0}")]
    JwksInline(JwksError),
    #[error("keys are left out, and tokens that they signed are refused: {0}")]
    KeysLeftOut(String),
    #[error("{0:?} is not a URI of http or https")]
    JwksUri(String),
    #[error("no keys from {uri}: {reason}")]
    JwksUnavailable { uri: String, reason: String },

    #[error("{0:?} is neither an IP address nor a CIDR such as 10.0.0.0/8")]
    Cidr(String),
    #[error("{given:?} has bits beyond its prefix: write {meant}, or the address alone")]
    CidrBits { given: String, meant: String },
    #[error("{0:?} is an IPv4 address in IPv6 clothes: write it as IPv4")]
    CidrMapped(String),
    #[error("{0:?} must be *, or an origin such as https://www.example.com or https://*.example.com")]
    Origin(String),

    /// A value that the filter refuses.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Any other error that the filter has with the whole policy.
    #[error("{0}")]
    Filter(String),
}
