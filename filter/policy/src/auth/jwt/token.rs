//! Parsing of tokens, which are not verified yet.

use super::claims::{Object, Value};
use crate::config::policy::Algorithm;
use base64ct::{Base64UrlUnpadded, Encoding};

/// The longest token in bytes: more than Envoy's default limit on headers lets through beside others.
const MAX_LEN: usize = 16 * 1024;

/// A parsed token.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// The payload, not yet checked to be JSON.
    pub(super) payload: String,
    /// The bytes that are signed.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

/// The reason that a token is refused. It contains no secrets of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
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

/// The parameters of the header that matter (RFC 7515, 4.1). Keys in a token are ignored.
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
}

// === impl Token ===

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, TokenFault> {
        if text.len() > MAX_LEN {
            return Err(TokenFault::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenFault::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::Parts)?;
        let Header { algorithm, kid } = Header::parse(&decode(header)?)?;
        Ok(Self {
            algorithm,
            kid,
            payload: String::from_utf8(decode(payload)?).map_err(|_| TokenFault::Claims)?,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
        })
    }

    pub(super) fn claims(&self) -> Result<Object<'_>, TokenFault> {
        Object::parse(&self.payload).ok_or(TokenFault::Claims)
    }

    /// Checks the claims that no rule needs: [`Object`] reads no further than it has to.
    pub(super) fn check_all_claims(&self) -> Result<(), TokenFault> {
        is_json(&self.payload).then_some(()).ok_or(TokenFault::Claims)
    }
}

// === impl Header ===

impl Header {
    /// Parses a header. Each name occurs once (RFC 7515, 4), and `crit` is always rejected. `b64` makes a difference
    /// only if it is false (RFC 7797, 3), which is not supported.
    fn parse(json: &[u8]) -> Result<Self, TokenFault> {
        let json = str::from_utf8(json).map_err(|_| TokenFault::Header)?;
        let header = Object::parse(json).filter(|_| is_json(json));
        let header = header.ok_or(TokenFault::Header)?;
        if header.get("crit").is_some() {
            return Err(TokenFault::Critical);
        }
        if !matches!(header.get("b64"), None | Some(Value::Bool(true))) {
            return Err(TokenFault::HeaderType("b64", "true"));
        }
        text(&header, "typ")?;
        text(&header, "cty")?;
        let algorithm = text(&header, "alg")?.and_then(Algorithm::named);
        Ok(Self {
            algorithm: algorithm.ok_or(TokenFault::Header)?,
            kid: text(&header, "kid")?.map(str::to_owned),
        })
    }
}

/// Returns true if all of it is valid JSON, no deeper than serde_json goes and with numbers that are finite doubles.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

/// The value of a member that must be a string if present.
fn text<'h>(header: &'h Object<'_>, name: &'static str) -> Result<Option<&'h str>, TokenFault> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(TokenFault::HeaderType(name, "a text")),
    }
}

/// Decodes a part. One with a dot in it is rejected: that is not a digit of base64url.
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    Base64UrlUnpadded::decode_vec(part).map_err(|_| TokenFault::Parts)
}
