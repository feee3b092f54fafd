//! What headers say that checks look at.

use super::Fault;
use crate::{
    decide::Headers,
    header::{is_settable, is_value},
};

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

/// What the client speaks, to Envoy or to what is in front of it.
pub(super) fn scheme(headers: &dyn Headers) -> &'static str {
    let forwarded = values(headers, "x-forwarded-proto").next();
    let scheme = forwarded.or_else(|| values(headers, ":scheme").next());
    if scheme == Some(b"https") { "https" } else { "http" }
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
