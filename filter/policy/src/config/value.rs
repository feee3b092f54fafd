//! Checks of single values. Control makes them at the fields that users write, with the same errors.

use crate::header::{Use, is_token, permits};

/// The least and the most that a number may be.
pub type Range = (i64, i64);

/// The statuses of refusals.
pub const STATUS: Range = (400, 599);
pub const PERCENT: Range = (0, 100);
/// Counts of requests, of seconds and of attempts.
pub const COUNT: Range = (1, u32::MAX as i64);
pub const IPV4_PREFIX_LENGTH: Range = (1, 32);
pub const IPV6_PREFIX_LENGTH: Range = (1, 128);

/// The reason that a value is not valid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ValueError {
    #[error("must not be empty")]
    Empty,
    #[error("must be in the range {0}-{1}")]
    Range(i64, i64),
    #[error("{0:?} holds a control character")]
    Control(String),
    #[error("{0:?} is not a method")]
    Method(String),
    #[error("{0:?} is not a cookie name")]
    Cookie(String),
    #[error("{0:?} is not a header name")]
    HeaderName(String),
    #[error("header {0:?} belongs to the proxy or to the connection: no policy may change it")]
    HeaderReserved(String),
    #[error(
        "header {0:?} is one that the proxy needs to route requests: it may be set, and neither removed nor kept from the \
         upstream: choose another header"
    )]
    HeaderRequired(String),
    #[error(
        "header {0:?} is one that the proxy sets itself: clients cannot show anything in it, choose another header"
    )]
    HeaderReplaced(String),
    #[error("header {0:?} is one that requests never have here: match and key cannot go by it")]
    HeaderInternal(String),
}

/// Checks the length of a list.
///
/// # Errors
/// The list is empty.
pub fn check_some<T>(list: &[T]) -> Result<(), ValueError> {
    ensure(!list.is_empty(), || ValueError::Empty)
}

/// Checks a number.
///
/// # Errors
/// The number is out of range.
pub fn check_range(number: i64, (least, most): Range) -> Result<(), ValueError> {
    ensure((least..=most).contains(&number), || {
        ValueError::Range(least, most)
    })
}

/// Checks a text that becomes a header's value or part of a log.
///
/// # Errors
/// A control character.
pub fn check_text(text: &str) -> Result<(), ValueError> {
    ensure(!text.contains(char::is_control), || {
        ValueError::Control(text.to_owned())
    })
}

/// Checks a text that something depends on, such as the value of a header that requests are routed by.
///
/// # Errors
/// A control character, or no text at all.
pub fn check_name(name: &str) -> Result<(), ValueError> {
    ensure(!name.is_empty(), || ValueError::Empty)?;
    check_text(name)
}

/// Checks the name of a method, a cookie or a header, which is a token (RFC 9110, 5.6.2).
///
/// # Errors
/// The given error, if the name is not a token.
pub fn check_token(name: &str, error: fn(String) -> ValueError) -> Result<(), ValueError> {
    ensure(is_token(name), || error(name.to_owned()))
}

/// Checks the name of a header, in upper or lower case, that is put to these uses.
///
/// # Errors
/// The name is not a token, or the header does not permit one of the uses.
pub fn check_header(name: &str, uses: &[Use]) -> Result<(), ValueError> {
    check_token(name, ValueError::HeaderName)?;
    let lower = name.to_ascii_lowercase();
    let Some(refused) = uses.iter().find(|wanted| !permits(&lower, **wanted)) else {
        return Ok(());
    };
    let error = match refused {
        Use::Remove if permits(&lower, Use::Set) => ValueError::HeaderRequired,
        Use::Set | Use::Remove => ValueError::HeaderReserved,
        Use::Read => ValueError::HeaderInternal,
        Use::Trust => ValueError::HeaderReplaced,
    };
    Err(error(name.to_owned()))
}

fn ensure(holds: bool, error: impl FnOnce() -> ValueError) -> Result<(), ValueError> {
    if holds { Ok(()) } else { Err(error()) }
}
