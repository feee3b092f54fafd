//! Headers, and the uses that policies and their services may make of them.

use crate::config::policy::Header;
use prost::Message;

/// The headers that Envoy, the connection or the filter need, with the uses that remain for policies and their
/// services. A name that ends with `-` is a prefix. Every other header permits every use.
///
/// Each row is tested against a real Envoy by
/// `header_uses::reserved_headers_are_rejected_and_others_work`.
const NEEDED: [(&str, &[Use]); 14] = [
    // The host is in `:authority`, by which requests are routed.
    ("host", &[]),
    // Headers of the connection, removed before anything here sees the request (RFC 9110, 7.6.1; RFC 9112, 6.1).
    ("connection", &[]),
    ("keep-alive", &[]),
    ("proxy-connection", &[]),
    ("transfer-encoding", &[]),
    // Framing of the message, and upgrades of the connection: they may be read only.
    ("content-length", &[Use::Read]),
    ("te", &[Use::Read]),
    ("trailer", &[Use::Read]),
    ("upgrade", &[Use::Read]),
    // Envoy finds no route for a request without it, and looks for one whenever the filter has changed a header.
    ("x-forwarded-proto", &[Use::Set, Use::Read]),
    // Envoy puts its own value in place of the client's, or adds to it.
    ("x-forwarded-for", &[Use::Set, Use::Remove, Use::Read]),
    ("x-forwarded-client-cert", &[Use::Set, Use::Remove]),
    // Headers that control Envoy, and headers that it adds.
    ("x-envoy-", &[Use::Read]),
    // The listener removes these from all requests.
    ("x-switchyard-", &[]),
];

/// A use of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Set the header, or add to it.
    Set,
    /// Remove the header, or withhold it from the upstream.
    Remove,
    /// Match the header of a request, or read its value.
    Read,
    /// Trust its value as the client's own, such as an API key.
    Trust,
}

/// `envoy.config.core.v3.HeaderValue` with its strings as bytes: invalid UTF-8 loses the header, not the message.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderValue {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
    /// Used if `value` is empty.
    #[prost(bytes = "vec", tag = "3")]
    pub raw_value: Vec<u8>,
}

/// Returns true if the header `name`, in lower case, permits a use.
#[must_use]
pub fn permits(name: &str, wanted: Use) -> bool {
    let is_named = |needed: &str| name == needed || (needed.ends_with('-') && name.starts_with(needed));
    let needed = NEEDED.iter().find(|(needed, _)| is_named(needed));
    is_token(name)
        && !name.bytes().any(|byte| byte.is_ascii_uppercase())
        && needed.is_none_or(|(_, uses)| uses.contains(&wanted))
}

/// Returns true if an external service may set the header `name`, in lower case.
#[must_use]
pub fn is_settable(name: &str) -> bool {
    permits(name, Use::Set)
}

/// Returns true if `text` is a token, as the names of headers and cookies are (RFC 9110, 5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Returns true if `text` is a valid header value.
#[must_use]
pub fn is_value(text: &str) -> bool {
    !text.contains(char::is_control)
}

// === impl HeaderValue ===

impl HeaderValue {
    /// Returns the header, its name in lower case; `None` if a service may not set it or the value is not valid.
    #[must_use]
    pub fn into_header(self) -> Option<Header> {
        let Self {
            key,
            value,
            raw_value,
        } = self;
        let name = String::from_utf8(key).ok()?.to_ascii_lowercase();
        let value = String::from_utf8(if value.is_empty() { raw_value } else { value }).ok()?;
        (is_value(&value) && is_settable(&name)).then_some(Header { name, value })
    }
}
