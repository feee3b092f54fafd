//! Headers, and what a policy may do with them.

use super::Fault;
use crate::{config::is_token, decide::Headers};

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

/// The values of a header, each as often as it is there.
pub(super) fn values<'a>(headers: &'a dyn Headers, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = headers.all().iter().filter(move |(header, _)| header == name);
    named.map(|(_, value)| value.as_slice())
}

/// What a client shows by a scheme of HTTP authentication (RFC 9110, 11.4), if it shows something by that one.
pub(super) fn credentials<'a>(headers: &'a dyn Headers, scheme: &str) -> Option<&'a str> {
    let value = str::from_utf8(values(headers, "authorization").next()?).ok()?;
    let (shown, rest) = value.split_once(' ')?;
    shown.eq_ignore_ascii_case(scheme).then(|| rest.trim_matches(' '))
}

/// Whether a check, or a service that is asked, may set or remove the header of that name, in lower case.
pub(super) fn is_settable(name: &str) -> bool {
    is_token(name)
        && !name.bytes().any(|byte| byte.is_ascii_uppercase())
        && !NOT_OF_THE_MESSAGE.contains(&name)
        && !OF_THE_PROXY.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a header can say `text`.
pub(super) fn is_value(text: &str) -> bool {
    !text.contains(char::is_control)
}

/// A name of a header that a check has.
pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), Fault> {
    if is_settable(name) {
        return Ok(());
    }
    let name = name.to_owned();
    Err(Fault::Header { field, name })
}

/// A text that a header is to say.
pub(super) fn check_text(field: &'static str, text: &str) -> Result<(), Fault> {
    if is_value(text) && !text.is_empty() {
        return Ok(());
    }
    let text = text.to_owned();
    Err(Fault::Text { field, text })
}
