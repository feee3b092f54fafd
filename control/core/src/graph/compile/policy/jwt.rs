//! Tokens, and the keys that they are signed with.

use super::Resolver;
use crate::{
    graph::fault::{FieldPath, PolicyFault},
    ingressroute::policy::{self as written, most},
    jwks::{self, KeySet},
    object::FetchedKeys,
};
use switchyard_policy::{config::policy as config, header::Use};

const CLOCK_SKEW: i64 = 60;
const MAX_STALE: i64 = 86400;

/// When keys become too old. The time of fetching is taken in steps of an eighth of what is granted, so that it is not
/// told to every proxy each time that the same keys are fetched again: they are trusted for seven eighths of it at least.
fn expiry(fetched: u64, max_stale: u64) -> u64 {
    let step = (max_stale / 8).max(1);
    (fetched / step * step).saturating_add(max_stale)
}

// === impl Resolver ===

impl Resolver<'_, '_> {
    pub(super) fn jwt(&mut self, at: &FieldPath<'_>, jwt: &written::Jwt) -> config::Jwt {
        let written::Jwt {
            issuer,
            audiences,
            jwks,
            clock_skew_seconds,
            required_claims,
            claims_to_headers,
        } = jwt;
        let text = |this: &mut Self, at: &FieldPath<'_>, given: &String| this.text(at, given);
        let issuer = Some(issuer).filter(|issuer| !issuer.is_empty());
        let skew = clock_skew_seconds.unwrap_or(CLOCK_SKEW);
        let (claims, told) = (at.field("requiredClaims"), at.field("claimsToHeaders"));
        let (keys, keys_expire) = self.jwks(&at.field("jwks"), jwks);
        config::Jwt {
            issuer: self.option(&at.field("issuer"), issuer, text),
            audiences: self.each((&at.field("audiences"), most::VALUES), audiences, text),
            keys,
            keys_expire,
            clock_skew_seconds: self.number(&at.field("clockSkewSeconds"), skew, (0, 3600)),
            required_claims: self.each((&claims, most::VALUES), required_claims, Self::required_claim),
            claims_to_headers: self.each((&told, most::HEADERS), claims_to_headers, Self::claim_to_header),
        }
    }

    /// The keys, and when they become too old.
    fn jwks(&mut self, at: &FieldPath<'_>, jwks: &written::Jwks) -> (Vec<config::Key>, Option<u64>) {
        let written::Jwks {
            secret_name,
            inline,
            uri,
            max_stale_seconds,
        } = jwks;
        match (&**secret_name, &**inline, &**uri) {
            (secret_name, "", "") if !secret_name.is_empty() => {
                let at = at.field("secretName");
                let set = self.keys_of_secret(&at, secret_name);
                (self.usable(&at, set), None)
            }
            ("", inline, "") if !inline.is_empty() => {
                let at = at.field("inline");
                let set = jwks::parse(inline.as_bytes());
                let set = self.or_refuse(&at, set.map_err(PolicyFault::JwksInline));
                (self.usable(&at, set), None)
            }
            ("", "", uri) if !uri.is_empty() => {
                let max_stale = max_stale_seconds.unwrap_or(MAX_STALE);
                let range = (60, i64::from(u32::MAX));
                let max_stale = self.number(&at.field("maxStaleSeconds"), max_stale, range);
                let at = at.field("uri");
                let FetchedKeys {
                    keys,
                    left_out,
                    fetched,
                } = self.keys_of_uri(&at, uri);
                let keys = self.usable(&at, KeySet { keys, left_out });
                (keys, Some(expiry(fetched, max_stale)))
            }
            _ => {
                self.refuse(at, PolicyFault::ExactlyOne("secretName, inline and uri"));
                (Vec::new(), None)
            }
        }
    }

    /// The keys of a set. Those that are left out are told: an issuer that publishes one more keeps nobody from coming in.
    fn usable(&mut self, at: &FieldPath<'_>, KeySet { keys, left_out }: KeySet) -> Vec<config::Key> {
        if let Some(left_out) = left_out {
            self.warn(at, PolicyFault::KeysLeftOut(left_out));
        }
        keys
    }

    fn keys_of_uri(&mut self, at: &FieldPath<'_>, uri: &str) -> FetchedKeys {
        let host = uri
            .strip_prefix("https://")
            .or_else(|| uri.strip_prefix("http://"));
        let is_plain = |host: &&str| {
            !host.is_empty() && !host.starts_with('/') && host.bytes().all(|c| c.is_ascii_graphic())
        };
        if host.filter(is_plain).is_none() {
            return self.or_refuse(at, Err(PolicyFault::JwksUri(uri.to_owned())));
        }
        let fetched = self.compiler.objects.jwks(uri).map(|jwks| jwks.keys.clone());
        self.compiler.out.jwks.insert(uri.into());
        let fetched = fetched.unwrap_or_else(|| Err("they have not been fetched yet".to_owned()));
        let uri = uri.to_owned();
        let fault = |reason| PolicyFault::JwksUnavailable { uri, reason };
        self.or_refuse(at, fetched.map_err(fault))
    }

    fn required_claim(
        &mut self,
        at: &FieldPath<'_>,
        written::RequiredClaim { claim, values }: &written::RequiredClaim,
    ) -> config::RequiredClaim {
        config::RequiredClaim {
            claim: self.text(&at.field("claim"), claim),
            values: self.each((&at.field("values"), most::VALUES), values, |_, _, value| {
                value.clone()
            }),
        }
    }

    fn claim_to_header(
        &mut self,
        at: &FieldPath<'_>,
        written::ClaimToHeader { claim, header }: &written::ClaimToHeader,
    ) -> config::ClaimToHeader {
        config::ClaimToHeader {
            claim: self.text(&at.field("claim"), claim),
            header: self.header(&[Use::Set, Use::Remove], &at.field("header"), header),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_fetched_again_soon_expire_when_they_did() {
        let day = 86_400;
        let first = expiry(1_000_000_000, day);
        assert!((day * 7 / 8..=day).contains(&(first - 1_000_000_000)));
        assert_eq!(expiry(1_000_000_300, day), first);
        assert!(expiry(1_000_000_000 + day / 4, day) > first);
        assert_eq!(expiry(100, 1), 101);
        assert_eq!(expiry(u64::MAX, day), u64::MAX);
    }
}
