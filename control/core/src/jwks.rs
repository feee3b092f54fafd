//! Sets of keys that tokens are signed with (JWKS, RFC 7517): those that are of use, as the filter has them.
//!
//! ```text
//! text -> [ Set ] -> each member -> [ Jwk ] -> Key      what may be verified with it
//!                                           -> Unusable left out and told, as RFC 7517, 5 has it
//! ```
//!
//! A key is left out whose type, use or algorithm is not for verifying signatures here, or that the filter's own check
//! refuses: issuers publish such keys beside others. Those with a shared secret (`oct`) are among them: who can verify by one can sign by it. A private key
//! is another thing: whoever has seen the set can sign, so the whole set is refused until that key is gone from it.

mod jwk;
mod spki;

use self::jwk::Jwk;
use serde::Deserialize;
use serde_json::{Value, error::Category};
use switchyard_policy::config::policy::Key;

/// How large a set may be, in bytes: each proxy keeps it once for each policy that names it.
pub const MAX_SIZE: usize = 256 * 1024;
/// How many keys it may have.
const MAX_KEYS: usize = 100;
/// How many keys a text tells of.
const LISTED: usize = 4;

/// What is wrong with a set. It tells nothing of what is in it but `kid`s: it may have been read from a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum JwksError {
    #[error("a set of keys must be {MAX_SIZE} bytes at most")]
    TooLarge,
    #[error("line {line}, column {column}: this is not JSON")]
    Json { line: usize, column: usize },
    #[error("this is not a set of keys: it must be a JSON object with a list \"keys\"")]
    Shape,
    #[error("a set must have {MAX_KEYS} keys at most")]
    TooMany,
    #[error(
        "{key} has the private member {member:?}, by which whoever reads it can sign: make a new key, and put its public \
         members here"
    )]
    Private { key: String, member: &'static str },
    #[error("no key can be used: {0}")]
    NoneUsable(String),
}

/// The keys of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    /// At least one, if it was read.
    pub keys: Vec<Key>,
    /// Keys that are left out, each with the reason; the first few, where they are many.
    pub left_out: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// Reads a set of keys, and leaves those out that no signature can be verified with here.
///
/// # Errors
/// It is no set, it has a private key in it, or no key of use.
pub fn parse(text: &[u8]) -> Result<KeySet, JwksError> {
    if text.len() > MAX_SIZE {
        return Err(JwksError::TooLarge);
    }
    let Set { keys } = serde_json::from_slice(text).map_err(|error| match error.classify() {
        Category::Data => JwksError::Shape,
        Category::Io | Category::Syntax | Category::Eof => JwksError::Json {
            line: error.line(),
            column: error.column(),
        },
    })?;
    if keys.len() > MAX_KEYS {
        return Err(JwksError::TooMany);
    }
    let mut usable = Vec::new();
    let mut unusable = Vec::new();
    for (index, value) in keys.iter().enumerate() {
        if let Some(member) = jwk::private_member(value) {
            let key = label(index, value);
            return Err(JwksError::Private { key, member });
        }
        let key = Jwk::deserialize(value).map_err(|_| jwk::Unusable::Malformed);
        match key.and_then(|jwk| jwk.key()) {
            Ok(key) => usable.push(key),
            Err(reason) => unusable.push(format!("{} {reason}", label(index, value))),
        }
    }
    if usable.is_empty() {
        return Err(JwksError::NoneUsable(list(unusable)));
    }
    let left_out = (!unusable.is_empty()).then(|| list(unusable));
    Ok(KeySet {
        keys: usable,
        left_out,
    })
}

/// `keys[2]`, with its `kid` if it has one.
fn label(index: usize, key: &Value) -> String {
    match key.get("kid").and_then(Value::as_str) {
        Some(kid) => format!("keys[{index}] (kid {kid:?})"),
        None => format!("keys[{index}]"),
    }
}

fn list(mut reasons: Vec<String>) -> String {
    if reasons.is_empty() {
        return "there is none".to_owned();
    }
    let more = reasons.len().saturating_sub(LISTED);
    reasons.truncate(LISTED);
    if more > 0 {
        reasons.push(format!("{more} more"));
    }
    reasons.join(", ")
}

#[cfg(test)]
mod tests;
