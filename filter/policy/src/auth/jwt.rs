//! Signed tokens (RFC 7519), in their compact form (RFC 7515), as `Authorization: Bearer` (RFC 6750).

mod claims;
mod der;
mod ecdsa;
mod key;
mod pss;
mod rsa;
mod token;

pub use claims::Claims;
pub use key::KeyFault;
pub use token::TokenFault;

use super::{
    Failure, Fault, Identity, Pass, Reason, Request, Scheme, Step,
    digest::{Digest, digest},
    fields,
};
use crate::{
    config::policy::{self, ClaimToHeader, HeaderEdits, RequiredClaim},
    header,
    host::Host,
};
use claims::Object;
use key::Key;
use std::{rc::Rc, time::Duration};
use token::Token;

/// RFC 6750, 3: of a request that shows no token, and of one that shows a bad one.
const CHALLENGE: &str = r#"Bearer realm="Restricted""#;
const CHALLENGE_INVALID: &str = r#"Bearer realm="Restricted", error="invalid_token""#;
/// How long a token is remembered at most. Other keys are another matter, so this ends what nobody would miss.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// What a token takes in memory beside its claims, or so.
const OVERHEAD: usize = 256;
/// Keys that one token is held against. Only a set of nameless keys has more that could be meant.
const MAX_TRIED: usize = 4;

/// Who shows a token that is signed with one of these keys, and says what it has to, is let in.
pub(super) struct Jwt {
    issuer: Option<String>,
    audiences: Vec<String>,
    keys: Vec<Key>,
    /// Since 1970.
    keys_expire: Option<Duration>,
    clock_skew: i64,
    required_claims: Vec<RequiredClaim>,
    claims_to_headers: Vec<ClaimToHeader>,
    /// Of all of this but for `keys_expire`: what is remembered of a token is true of these rules alone.
    fingerprint: Digest,
}

// === impl Jwt ===

impl Jwt {
    pub(super) fn check(&self, request: Request<'_>) -> Step {
        let Some(token) = fields::credentials(request.headers, "bearer") else {
            return Step::Fail(Failure::challenge(Reason::Missing, CHALLENGE.to_owned()));
        };
        let now = request.host.now();
        if self.keys_expire.is_some_and(|expire| expire <= now) {
            return Step::Fail(Failure::unavailable(Reason::KeysExpired, None));
        }
        match self.verify(token, request, now) {
            Ok(pass) => Step::Pass(Pass::clone(&pass)),
            Err(fault) => {
                let challenge = CHALLENGE_INVALID.to_owned();
                Step::Fail(Failure::challenge(Reason::Token(fault), challenge))
            }
        }
    }

    /// Names of headers that only claims may say.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.claims_to_headers
            .iter()
            .map(|ClaimToHeader { header, .. }| header.as_str())
    }

    fn verify(&self, text: &str, request: Request<'_>, now: Duration) -> Result<Rc<Pass>, TokenFault> {
        let tag = request.memory.tag_key.tag(&self.fingerprint, text);
        let mut tokens = request.memory.tokens.borrow_mut();
        if let Some(pass) = tokens.get(&tag, now) {
            return Ok(pass);
        }
        let token = Token::parse(text)?;
        let claims = token.claims()?;
        let until = self.check_claims(&claims, now)?;
        self.check_signature(&token, request.host)?;
        let pass = Rc::new(self.pass(&token, &claims)?);
        tokens.insert(tag, Rc::clone(&pass), token.payload.len() + OVERHEAD, until);
        Ok(pass)
    }

    /// Answers until when they hold.
    fn check_claims(&self, claims: &Object<'_>, now: Duration) -> Result<Duration, TokenFault> {
        let until = self.check_time(claims, now)?;
        if let Some(issuer) = &self.issuer
            && claims.text("iss").as_ref() != Some(issuer)
        {
            return Err(TokenFault::Issuer);
        }
        let is_ours = |audience: &String| self.audiences.contains(audience);
        if !self.audiences.is_empty() && !claims.texts("aud")?.iter().any(is_ours) {
            return Err(TokenFault::Audience);
        }
        for RequiredClaim { claim, values } in &self.required_claims {
            let said = claims.said(claim);
            if said.is_empty() || !(values.is_empty() || said.iter().any(|text| values.contains(text))) {
                return Err(TokenFault::Required(claim.clone()));
            }
        }
        Ok(until)
    }

    fn check_time(&self, claims: &Object<'_>, now: Duration) -> Result<Duration, TokenFault> {
        let now_seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let latest = now_seconds.saturating_add(self.clock_skew);
        if claims.date("nbf")?.is_some_and(|from| from > latest) {
            return Err(TokenFault::Early);
        }
        if claims.date("iat")?.is_some_and(|issued| issued > latest) {
            return Err(TokenFault::Issued);
        }
        let longest = now.saturating_add(REMEMBERED_FOR);
        let Some(expires) = claims.date("exp")? else {
            return Ok(longest);
        };
        let end = expires.saturating_add(self.clock_skew);
        if end <= now_seconds {
            return Err(TokenFault::Expired);
        }
        let end = Duration::from_secs(end.try_into().unwrap_or_default());
        Ok(end.min(longest))
    }

    /// The keys say which algorithms they are for. What the token says only chooses among that.
    fn check_signature(&self, token: &Token<'_>, host: &dyn Host) -> Result<(), TokenFault> {
        let mut named = self
            .keys
            .iter()
            .filter(|key| self.is_meant(key, token))
            .peekable();
        named.peek().ok_or(TokenFault::UnknownKey)?;
        let mut fitting = named
            .filter(|key| key.is_for(token.algorithm))
            .take(MAX_TRIED)
            .peekable();
        fitting.peek().ok_or(TokenFault::Algorithm)?;
        if fitting.any(|key| key.verifies(token, host)) {
            Ok(())
        } else {
            Err(TokenFault::Signature)
        }
    }

    /// A token that names no key may be of one without a name, or of the only one.
    fn is_meant(&self, key: &Key, token: &Token<'_>) -> bool {
        key.kid == token.kid || (token.kid.is_none() && self.keys.len() == 1)
    }

    fn pass(&self, token: &Token<'_>, claims: &Object<'_>) -> Result<Pass, TokenFault> {
        let name = claims.text("sub").filter(|name| !name.is_empty());
        if !name.as_deref().is_none_or(header::is_value) {
            return Err(TokenFault::Subject);
        }
        let mut request = HeaderEdits::default();
        for ClaimToHeader { claim, header } in &self.claims_to_headers {
            let value = claims.header_value(claim);
            // What no header can say is not said.
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

impl TryFrom<policy::Jwt> for Jwt {
    type Error = Fault;

    fn try_from(jwt: policy::Jwt) -> Result<Self, Fault> {
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
            fields::check_name("jwt.claimsToHeaders", header)?;
        }
        let key = |(at, key)| Key::try_from(key).map_err(|fault| Fault::Key { at, fault });
        Ok(Self {
            issuer,
            audiences,
            keys: keys.into_iter().enumerate().map(key).collect::<Result<_, _>>()?,
            keys_expire: keys_expire.map(Duration::from_secs),
            clock_skew: i64::try_from(clock_skew_seconds).unwrap_or(i64::MAX),
            required_claims,
            claims_to_headers,
            fingerprint: digest(&Digest::default(), &rules),
        })
    }
}

#[cfg(test)]
mod tests;
