//! The tokens of a run. Issuers have new keys in each run, but the choice of tokens is reproducible.

use anyhow::Result;
use serde_json::json;
use std::time::{Duration, SystemTime};
use switchyard_tests::tokens::Issuer;

pub(super) const ISSUER: &str = "https://issuer.example";
/// An algorithm that the filter verifies itself, and one that it has Envoy verify.
const ALGORITHMS: [&str; 2] = ["EdDSA", "ES256"];
const HOUR: Duration = Duration::from_secs(3600);

/// Tokens, and the keys of the valid ones.
pub(super) struct Tokens {
    /// A JWK set (RFC 7517).
    pub(super) jwks: String,
    pub(super) good: Vec<String>,
    /// Tokens of another issuer, an expired one, and one signed by a key outside the set.
    pub(super) bad: Vec<String>,
}

// === impl Tokens ===

impl Tokens {
    pub(super) fn new() -> Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let claims =
            |issuer: &str, until: Duration| json!({"iss": issuer, "sub": "alice", "exp": until.as_secs()});
        let of_issuer = claims(ISSUER, now + HOUR);
        let (mut keys, mut good, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for algorithm in ALGORITHMS {
            let issuer = Issuer::new(algorithm)?;
            keys.push(issuer.jwk()?);
            good.push(issuer.token(&of_issuer)?);
            bad.push(issuer.token(&claims("https://other.example", now + HOUR))?);
            bad.push(issuer.token(&claims(ISSUER, now.saturating_sub(HOUR)))?);
            bad.push(Issuer::new(algorithm)?.token(&of_issuer)?);
        }
        Ok(Self {
            jwks: json!({ "keys": keys }).to_string(),
            good,
            bad,
        })
    }
}
