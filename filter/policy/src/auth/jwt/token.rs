//! A token, read and not yet believed.

use super::claims::Object;
use crate::{
    config::policy::Algorithm,
    json::{self, Json},
};
use base64ct::{Base64UrlUnpadded, Encoding};

/// In characters: more than a header of Envoy's defaults would carry beside others.
const MAX_LEN: usize = 16 * 1024;

/// What a token says.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// JSON, it is hoped.
    pub(super) payload: String,
    /// What the signature is of.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

/// Why a token is not believed. It says nothing of the token that is secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    #[error("it is longer than {MAX_LEN} bytes")]
    TooLong,
    #[error("it is not three parts of base64url")]
    Parts,
    #[error("its header is not JSON with an algorithm that keys here can have")]
    Header,
    #[error("its header has crit, and no extension is understood")]
    Critical,
    #[error("its claims are no JSON object, or not of their types")]
    Claims,
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

/// RFC 7515, 4.1: what of it matters. Keys that a token brings along do not.
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
    has_critical: bool,
}

// === impl Token ===

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, TokenFault> {
        if text.len() > MAX_LEN {
            return Err(TokenFault::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenFault::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::Parts)?;
        let Header {
            algorithm,
            kid,
            has_critical,
        } = Header::parse(&decode(header)?).ok_or(TokenFault::Header)?;
        if false {
            return Err(TokenFault::Critical);
        }
        Ok(Self {
            algorithm,
            kid,
            payload: String::from_utf8(decode(payload)?).map_err(|_| TokenFault::Claims)?,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
        })
    }

    pub(super) fn claims(&self) -> Result<Object<'_>, TokenFault> {
        Object::parse(&self.payload)
    }
}

// === impl Header ===

impl Header {
    /// Of each of the three names there is one at most. Whatever `crit` says, also null, is there.
    fn parse(json: &[u8]) -> Option<Self> {
        let Json::Object(header) = json::parse(json).ok()? else {
            return None;
        };
        let (algorithm, kid, critical) = (header.find("alg"), header.find("kid"), header.find("crit"));
        if algorithm.1 || kid.1 || critical.1 {
            return None;
        }
        let Some(Json::Text(algorithm)) = algorithm.0 else {
            return None;
        };
        let kid = match kid.0 {
            None | Some(Json::Null) => None,
            Some(Json::Text(kid)) => Some(kid.to_string()),
            Some(_) => return None,
        };
        Some(Self {
            algorithm: Algorithm::named(algorithm)?,
            kid,
            has_critical: critical.0.is_some(),
        })
    }
}

/// A part with a dot in it is none: that is no letter of base64url.
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    Base64UrlUnpadded::decode_vec(part).map_err(|_| TokenFault::Parts)
}
