//! Header fields that checks read.

use super::error::RequirementError;
use crate::{
    header::{Use, is_value, permits},
    request::RequestHeaderMap,
};

/// All values of a header.
pub(super) fn values<'a>(headers: &'a dyn RequestHeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = headers.all().iter().filter(move |(header, _)| header == name);
    named.map(|(_, value)| value.as_slice())
}

/// The client's credentials of a scheme of HTTP authentication (RFC 9110, 11.4), if it uses that one.
pub(super) fn credentials<'a>(headers: &'a dyn RequestHeaderMap, scheme: &str) -> Option<&'a str> {
    let value = str::from_utf8(values(headers, "authorization").next()?).ok()?;
    let (shown, rest) = value.split_once(' ')?;
    shown.eq_ignore_ascii_case(scheme).then(|| rest.trim_matches(' '))
}

/// The scheme that the client uses, to Envoy or to a proxy in front of it.
pub(super) fn scheme(headers: &dyn RequestHeaderMap) -> &'static str {
    let forwarded = values(headers, "x-forwarded-proto").next();
    let scheme = forwarded.or_else(|| values(headers, ":scheme").next());
    if scheme == Some(b"https") { "https" } else { "http" }
}

/// Checks that a header's name permits these uses.
pub(super) fn check_name(field: &'static str, name: &str, uses: &[Use]) -> Result<(), RequirementError> {
    if uses.iter().all(|wanted| permits(name, *wanted)) {
        return Ok(());
    }
    let name = name.to_owned();
    Err(RequirementError::Header { field, name })
}

/// Checks that a text is a valid header value and not empty.
pub(super) fn check_text(field: &'static str, text: &str) -> Result<(), RequirementError> {
    if is_value(text) && !text.is_empty() {
        return Ok(());
    }
    let text = text.to_owned();
    Err(RequirementError::Text { field, text })
}
