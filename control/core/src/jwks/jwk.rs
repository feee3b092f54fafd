//! One key (RFC 7517, 4; RFC 7518, 6; RFC 8037, 2).

use super::spki;
use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use serde::Deserialize;
use serde_json::Value;
use switchyard_policy::{
    auth::{KeyError, check_key},
    config::policy::{Algorithm, Key},
};

/// base64url (RFC 7515, 2), whether or not somebody has left the padding in.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// RFC 7518, 6.2.2, 6.3.2; RFC 8037, 2. `k` of `oct` is not among them: such keys have no public members.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// The public members.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    use_: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: String,
    n: String,
    e: String,
    x: String,
    y: String,
}

/// Why a key is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("has a member of the wrong type")]
    Malformed,
    #[error("is a shared secret (kty oct), by which whoever verifies can sign, too")]
    Shared,
    #[error("has kty {0:?}, which is not RSA, EC or OKP")]
    Kty(String),
    #[error("is not for signatures (use or key_ops)")]
    Use,
    #[error("has alg {0:?}, which is not one for signatures by such a key")]
    Alg(String),
    #[error("has crv {0:?}, which is not P-256, P-384, P-521 or Ed25519")]
    Crv(String),
    #[error("has a member {0:?} that is missing, or no such number")]
    Number(&'static str),
    #[error("cannot be used by the filter: {0}")]
    Filter(KeyError),
}

/// The first member of a key that only who signs with it may know.
pub(super) fn private_member(key: &Value) -> Option<&'static str> {
    PRIVATE.into_iter().find(|member| key.get(member).is_some())
}

/// Big-endian, without zeros in front.
fn number(text: &str, member: &'static str) -> Result<Vec<u8>, Unusable> {
    let bytes = BASE64URL.decode(text).map_err(|_| Unusable::Number(member))?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes.into_iter().skip(zeros).collect())
}

/// A coordinate, which has leading zeros (RFC 7518, 6.2.1.2).
fn coordinate(text: &str, member: &'static str, size: usize) -> Result<Vec<u8>, Unusable> {
    let bytes = BASE64URL.decode(text).map_err(|_| Unusable::Number(member))?;
    (bytes.len() == size)
        .then_some(bytes)
        .ok_or(Unusable::Number(member))
}

// === impl Jwk ===

impl Jwk {
    pub(super) fn key(&self) -> Result<Key, Unusable> {
        let (algorithms, spki) = match &*self.kty {
            "RSA" => self.rsa()?,
            "EC" => self.ec()?,
            "OKP" => self.okp()?,
            "oct" => return Err(Unusable::Shared),
            kty => return Err(Unusable::Kty(kty.to_owned())),
        };
        if !self.is_for_signatures() {
            return Err(Unusable::Use);
        }
        let key = Key {
            kid: self.kid.clone(),
            algorithms,
            spki: STANDARD.encode(spki),
        };
        check_key(&key).map_err(Unusable::Filter)?;
        Ok(key)
    }

    fn is_for_signatures(&self) -> bool {
        let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
        self.use_.as_deref().is_none_or(|use_| use_ == "sig") && self.key_ops.as_ref().is_none_or(verifies)
    }

    /// Of those that go with the key's type: what it says itself, or else all.
    fn algorithms(&self, possible: &[(&str, Algorithm)]) -> Result<Vec<Algorithm>, Unusable> {
        let Some(alg) = &self.alg else {
            let mut all: Vec<_> = possible.iter().map(|(_, algorithm)| *algorithm).collect();
            all.dedup();
            return Ok(all);
        };
        let found = possible.iter().find(|(name, _)| name == alg);
        let found = found.map(|(_, algorithm)| vec![*algorithm]);
        found.ok_or_else(|| Unusable::Alg(alg.clone()))
    }

    fn rsa(&self) -> Result<(Vec<Algorithm>, Vec<u8>), Unusable> {
        let algorithms = self.algorithms(&[
            ("RS256", Algorithm::RS256),
            ("RS384", Algorithm::RS384),
            ("RS512", Algorithm::RS512),
            ("PS256", Algorithm::PS256),
            ("PS384", Algorithm::PS384),
            ("PS512", Algorithm::PS512),
        ])?;
        let (n, e) = (number(&self.n, "n")?, number(&self.e, "e")?);
        Ok((algorithms, spki::rsa(&n, &e)))
    }

    fn ec(&self) -> Result<(Vec<Algorithm>, Vec<u8>), Unusable> {
        let (alg, algorithm, curve, size) = match &*self.crv {
            "P-256" => ("ES256", Algorithm::ES256, spki::P256, 32),
            "P-384" => ("ES384", Algorithm::ES384, spki::P384, 48),
            "P-521" => ("ES512", Algorithm::ES512, spki::P521, 66),
            crv => return Err(Unusable::Crv(crv.to_owned())),
        };
        let algorithms = self.algorithms(&[(alg, algorithm)])?;
        let x = coordinate(&self.x, "x", size)?;
        let y = coordinate(&self.y, "y", size)?;
        Ok((algorithms, spki::ec(curve, &x, &y)))
    }

    fn okp(&self) -> Result<(Vec<Algorithm>, Vec<u8>), Unusable> {
        if self.crv != "Ed25519" {
            return Err(Unusable::Crv(self.crv.clone()));
        }
        // The second is its name since RFC 9864.
        let algorithms = self.algorithms(&[("EdDSA", Algorithm::EdDSA), ("Ed25519", Algorithm::EdDSA)])?;
        Ok((algorithms, spki::ed25519(&coordinate(&self.x, "x", 32)?)))
    }
}
