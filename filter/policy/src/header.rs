//! Headers, and what policies and the services that they ask may do with them.

use crate::{
    config::is_token,
    protobuf::{Malformed, Reader, Value},
};

/// Of a connection (RFC 9110, 7.6.1) or of how a message is framed, not of what it says; and what it is routed by.
const NOT_OF_THE_MESSAGE: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What steers the proxy: nobody but itself says that.
const OF_THE_PROXY: [&str; 2] = ["x-envoy-", "x-switchyard-"];

/// Whether a check, or a service that is asked, may set or remove the header of that name, in lower case.
#[must_use]
pub fn is_settable(name: &str) -> bool {
    is_token(name)
        && !name.bytes().any(|byte| byte.is_ascii_uppercase())
        && !NOT_OF_THE_MESSAGE.contains(&name)
        && !OF_THE_PROXY.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a header can say `text`.
#[must_use]
pub fn is_value(text: &str) -> bool {
    !text.contains(char::is_control)
}

/// `envoy.config.core.v3.HeaderValue`: a name in lower case, and its value. None where a service may not say that header,
/// or a header cannot say that.
///
/// # Errors
/// It is no such message.
pub fn read_header_value(message: &[u8]) -> Result<Option<(String, String)>, Malformed> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Reader::new(message) {
        match field? {
            (1, Value::Bytes(key)) => name = key,
            // `value`, or `raw_value` in its stead.
            (2 | 3, Value::Bytes(text)) if !text.is_empty() => value = text,
            _ => {}
        }
    }
    let name = str::from_utf8(name).unwrap_or_default().to_ascii_lowercase();
    let value = str::from_utf8(value).ok().filter(|value| is_value(value));
    Ok(value
        .filter(|_| is_settable(&name))
        .map(|value| (name.clone(), value.to_owned())))
}
