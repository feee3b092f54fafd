//! Signed tokens (RFC 7519), in their compact form (RFC 7515), as `Authorization: Bearer` (RFC 6750).

pub(super) mod claims;
mod ecdsa;
pub(super) mod error;
pub(super) mod key;
mod number;
mod token;

use super::{
    check::{AuthRequest, CheckOutcome},
    digest::{Digest, digest},
    error::RequirementError,
    failure::{AuthFailure, FailureReason},
    fields,
    identity::{Identity, Pass, Scheme},
};
use crate::{
    config::policy::{self, ClaimToHeader, HeaderEdits, RequiredClaim},
    header::{self, Use},
    host::Host,
};
use claims::{Claims, JsonObject};
use error::TokenError;
use key::VerificationKey;
use std::{rc::Rc, time::Duration};
use token::SignedToken;

/// The challenges for a missing token, and for an invalid one (RFC 6750, 3).
const CHALLENGE: &str = r#"Bearer realm="Restricted""#;
const CHALLENGE_INVALID: &str = r#"Bearer realm="Restricted", error="invalid_token""#;
/// The longest time that a token is remembered. Other keys invalidate it anyway, so this only frees memory.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// The approximate bytes that a token takes in memory beside its claims.
const OVERHEAD: usize = 256;

/// Passes clients with a token that is signed with one of these keys and has the required claims.
pub(super) struct JwtAuth {
    issuer: Option<String>,
    audiences: Vec<String>,
    keys: Vec<VerificationKey>,
    /// Time since 1970.
    keys_expire: Option<Duration>,
    /// The clock skew in seconds.
    clock_skew: f64,
    required_claims: Vec<RequiredClaim>,
    claims_to_headers: Vec<ClaimToHeader>,
    /// A digest of all fields but `keys_expire`: cached results are valid for these rules only.
    fingerprint: Digest,
}

// === impl JwtAuth ===

impl JwtAuth {
    pub(super) fn check(&self, request: AuthRequest<'_>) -> CheckOutcome {
        let Some(token) = fields::credentials(request.headers, "bearer") else {
            return CheckOutcome::Fail(AuthFailure::challenge(
                FailureReason::Missing,
                CHALLENGE.to_owned(),
            ));
        };
        let now = request.host.now();
        if self.keys_expire.is_some_and(|expire| expire <= now) {
            return CheckOutcome::Fail(AuthFailure::unavailable(FailureReason::KeysExpired, None));
        }
        match self.verify(token, request, now) {
            Ok(pass) => CheckOutcome::Pass(Pass::clone(&pass)),
            Err(error) => {
                let challenge = CHALLENGE_INVALID.to_owned();
                CheckOutcome::Fail(AuthFailure::challenge(FailureReason::Token(error), challenge))
            }
        }
    }

    /// Names of headers that only claims may set.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.claims_to_headers
            .iter()
            .map(|ClaimToHeader { header, .. }| header.as_str())
    }

    fn verify(&self, text: &str, request: AuthRequest<'_>, now: Duration) -> Result<Rc<Pass>, TokenError> {
        let tag = request.cache.tag_key.tag(&self.fingerprint, text);
        let mut tokens = request.cache.tokens.borrow_mut();
        if let Some(pass) = tokens.get(&tag, now) {
            return Ok(pass);
        }
        let token = SignedToken::parse(text)?;
        let claims = token.claims()?;
        let until = self.check_claims(&claims, now)?;
        token.check_all_claims()?;
        self.check_signature(&token, request.host)?;
        let pass = Rc::new(self.pass(&token, &claims)?);
        tokens.insert(tag, Rc::clone(&pass), token.payload.len() + OVERHEAD, until);
        Ok(pass)
    }

    /// Checks each registered claim by its type and each configured rule. Returns the time until which they hold.
    fn check_claims(&self, claims: &JsonObject<'_>, now: Duration) -> Result<Duration, TokenError> {
        let until = self.check_time(claims, now)?;
        let (issuer, audiences) = (claims.only_text("iss")?, claims.only_texts("aud")?);
        for name in ["sub", "jti"] {
            claims.only_text(name)?;
        }
        if self.issuer.as_deref().is_some_and(|own| issuer != Some(own)) {
            return Err(TokenError::Issuer);
        }
        let is_ours = |audience: &String| audiences.contains(audience);
        if !self.audiences.is_empty() && !self.audiences.iter().any(is_ours) {
            return Err(TokenError::Audience);
        }
        for RequiredClaim { claim, values } in &self.required_claims {
            let found = claims.values(claim);
            if found.is_empty() || !(values.is_empty() || found.iter().any(|text| values.contains(text))) {
                return Err(TokenError::Required(claim.clone()));
            }
        }
        Ok(until)
    }

    /// Checks dates as numbers, with their fractions, in any notation.
    fn check_time(&self, claims: &JsonObject<'_>, now: Duration) -> Result<Duration, TokenError> {
        let latest = now.as_secs_f64() + self.clock_skew;
        let (from, issued, expires) = (claims.date("nbf")?, claims.date("iat")?, claims.date("exp")?);
        if from.is_some_and(|from| from > latest) {
            return Err(TokenError::Early);
        }
        if issued.is_some_and(|issued| issued > latest) {
            return Err(TokenError::Issued);
        }
        let longest = now.saturating_add(REMEMBERED_FOR);
        let Some(expires) = expires else {
            return Ok(longest);
        };
        let end = expires + self.clock_skew;
        if end <= now.as_secs_f64() {
            return Err(TokenError::Expired);
        }
        let end = Duration::try_from_secs_f64(end).unwrap_or(longest);
        Ok(end.min(longest))
    }

    /// Verifies the signature. The keys determine their algorithms, among which the token only chooses: every key that
    /// it can mean is tried, those with its key ID first.
    fn check_signature(&self, token: &SignedToken<'_>, host: &dyn Host) -> Result<(), TokenError> {
        let (named, others): (Vec<_>, Vec<_>) = self
            .keys
            .iter()
            .filter(|key| is_meant(key, token))
            .partition(|key| key.kid == token.kid);
        let mut meant = named.into_iter().chain(others).peekable();
        meant.peek().ok_or(TokenError::UnknownKey)?;
        let mut fitting = meant.filter(|key| key.is_for(token.algorithm)).peekable();
        fitting.peek().ok_or(TokenError::Algorithm)?;
        if fitting.any(|key| key.verifies(token, host)) {
            Ok(())
        } else {
            Err(TokenError::Signature)
        }
    }

    fn pass(&self, token: &SignedToken<'_>, claims: &JsonObject<'_>) -> Result<Pass, TokenError> {
        let name = claims.text("sub").filter(|name| !name.is_empty());
        if !name.as_deref().is_none_or(header::is_value) {
            return Err(TokenError::Subject);
        }
        let mut request = HeaderEdits::default();
        for ClaimToHeader { claim, header } in &self.claims_to_headers {
            let value = claims.header_value(claim);
            // A value that is not valid in a header is left out.
            let value = value.filter(|value| header::is_value(value) && !value.is_empty());
            request.set.extend(value.map(|value| policy::Header {
                name: header.clone(),
                value,
            }));
        }
        Ok(Pass {
            identity: Some(Identity {
                scheme: Scheme::Jwt,
                name,
                claims: Some(Rc::new(Claims::new(&token.payload))),
            }),
            headers: policy::Headers {
                request,
                response: HeaderEdits::default(),
            },
        })
    }
}

/// Returns true if the key may be the token's. As in Envoy's `jwt_authn`, a token or a key without a key ID matches
/// any.
fn is_meant(key: &VerificationKey, token: &SignedToken<'_>) -> bool {
    token.kid.is_none() || key.kid.is_none() || key.kid == token.kid
}

impl TryFrom<policy::Jwt> for JwtAuth {
    type Error = RequirementError;

    fn try_from(jwt: policy::Jwt) -> Result<Self, RequirementError> {
        let mut rules = jwt.clone();
        rules.keys_expire = None;
        let policy::Jwt {
            issuer,
            audiences,
            keys,
            keys_expire,
            clock_skew_seconds,
            required_claims,
            claims_to_headers,
        } = jwt;
        for ClaimToHeader { claim: _, header } in &claims_to_headers {
            fields::check_name("jwt.claimsToHeaders", header, &[Use::Set, Use::Remove])?;
        }
        let key =
            |(at, key)| VerificationKey::try_from(key).map_err(|error| RequirementError::Key { at, error });
        Ok(Self {
            issuer,
            audiences,
            keys: keys.into_iter().enumerate().map(key).collect::<Result<_, _>>()?,
            keys_expire: keys_expire.map(Duration::from_secs),
            clock_skew: Duration::from_secs(clock_skew_seconds).as_secs_f64(),
            required_claims,
            claims_to_headers,
            fingerprint: digest(&Digest::default(), &rules),
        })
    }
}

#[cfg(test)]
mod tests;
