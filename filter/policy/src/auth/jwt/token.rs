//! Parsing of tokens, which are not verified yet.

use super::{
    claims::{JsonObject, JsonValue},
    error::{MAX_LEN, TokenError},
};
use crate::config::policy::Algorithm;
use base64ct::{Base64UrlUnpadded, Encoding};

/// A parsed token.
pub(super) struct SignedToken<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// The payload, not yet checked to be JSON.
    pub(super) payload: String,
    /// The bytes that are signed.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

/// The parameters of the header that matter (RFC 7515, 4.1). Keys in a token are ignored.
struct TokenHeader {
    algorithm: Algorithm,
    kid: Option<String>,
}

// === impl SignedToken ===

impl<'a> SignedToken<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_LEN {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Parts)?;
        let TokenHeader { algorithm, kid } = TokenHeader::parse(&decode(header)?)?;
        Ok(Self {
            algorithm,
            kid,
            payload: String::from_utf8(decode(payload)?).map_err(|_| TokenError::Claims)?,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
        })
    }

    pub(super) fn claims(&self) -> Result<JsonObject<'_>, TokenError> {
        JsonObject::parse(&self.payload).ok_or(TokenError::Claims)
    }

    /// Checks the claims that no rule needs: [`JsonObject`] reads no further than it has to.
    pub(super) fn check_all_claims(&self) -> Result<(), TokenError> {
        is_json(&self.payload).then_some(()).ok_or(TokenError::Claims)
    }
}

// === impl TokenHeader ===

impl TokenHeader {
    /// Parses a header. Each name occurs once (RFC 7515, 4), and `crit` is always rejected. `b64` makes a difference
    /// only if it is false (RFC 7797, 3), which is not supported.
    fn parse(json: &[u8]) -> Result<Self, TokenError> {
        let json = str::from_utf8(json).map_err(|_| TokenError::Header)?;
        let header = JsonObject::parse(json).filter(|_| is_json(json));
        let header = header.ok_or(TokenError::Header)?;
        if header.get("crit").is_some() {
            return Err(TokenError::Critical);
        }
        if !matches!(header.get("b64"), None | Some(JsonValue::Bool(true))) {
            return Err(TokenError::HeaderType("b64", "true"));
        }
        text(&header, "typ")?;
        text(&header, "cty")?;
        let algorithm = text(&header, "alg")?.and_then(Algorithm::named);
        Ok(Self {
            algorithm: algorithm.ok_or(TokenError::Header)?,
            kid: text(&header, "kid")?.map(str::to_owned),
        })
    }
}

/// Returns true if all of it is valid JSON, no deeper than serde_json goes and with numbers that are finite doubles.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

/// The value of a member that must be a string if present.
fn text<'h>(header: &'h JsonObject<'_>, name: &'static str) -> Result<Option<&'h str>, TokenError> {
    match header.get(name) {
        None => Ok(None),
        Some(JsonValue::Text(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::HeaderType(name, "a text")),
    }
}

/// Decodes a part. One with a dot in it is rejected: that is not a digit of base64url.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    Base64UrlUnpadded::decode_vec(part).map_err(|_| TokenError::Parts)
}
