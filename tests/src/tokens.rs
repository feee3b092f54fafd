//! JSON web tokens (RFC 7519), signed with newly generated keys.

use anyhow::{Context, Result};
use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    io::Positive,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
    },
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

/// Every supported signature algorithm.
pub const ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];

/// The signing key of an issuer.
pub struct Issuer {
    algorithm: &'static str,
    key: Key,
}

enum Key {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// The signing input of a token.
#[must_use]
pub fn unsigned(header: &str, payload: &str) -> String {
    let [header, payload] = [header, payload].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()));
    format!("{header}.{payload}")
}

/// A token signed with a shared secret (HS256).
#[must_use]
pub fn hs256(secret: &[u8], header: &str, payload: &str) -> String {
    let signed = unsigned(header, payload);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, signed.as_bytes());
    format!(
        "{signed}.{}",
        Base64UrlUnpadded::encode_string(signature.as_ref())
    )
}

// === impl Issuer ===

impl Issuer {
    /// An issuer with a new key for this algorithm.
    pub fn new(algorithm: &'static str) -> Result<Self> {
        let rsa = |encoding| {
            let key = RsaKeyPair::generate(KeySize::Rsa2048)?;
            anyhow::Ok(Key::Rsa(Box::new(key), encoding))
        };
        let key = match algorithm {
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256)?,
            "RS384" => rsa(&signature::RSA_PKCS1_SHA384)?,
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512)?,
            "PS256" => rsa(&signature::RSA_PSS_SHA256)?,
            "PS384" => rsa(&signature::RSA_PSS_SHA384)?,
            "PS512" => rsa(&signature::RSA_PSS_SHA512)?,
            "ES256" => Key::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            "ES384" => Key::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)?),
            "ES512" => Key::Ec(EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING)?),
            "EdDSA" => Key::Ed(Ed25519KeyPair::generate()?),
            other => anyhow::bail!("no algorithm {other}"),
        };
        Ok(Self { algorithm, key })
    }

    /// The public key, in the format of the filter's policies.
    pub fn key(&self) -> Result<Value> {
        let spki = match &self.key {
            Key::Rsa(key, _) => key.public_key().as_der()?.as_ref().to_vec(),
            Key::Ec(key) => key.public_key().as_der()?.as_ref().to_vec(),
            Key::Ed(key) => key.public_key().as_der()?.as_ref().to_vec(),
        };
        Ok(json!({
            "kid": self.algorithm,
            "algorithms": [self.algorithm],
            "spki": Base64::encode_string(&spki),
        }))
    }

    /// The public key as a member of a JWK set (RFC 7517).
    pub fn jwk(&self) -> Result<Value> {
        let text = |bytes: &[u8]| Value::from(Base64UrlUnpadded::encode_string(bytes));
        let mut jwk = json!({"kid": self.algorithm, "alg": self.algorithm, "use": "sig"});
        let members = match &self.key {
            Key::Rsa(key, _) => {
                let key = key.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                let number = |number: Positive<'_>| text(number.big_endian_without_leading_zero());
                json!({"kty": "RSA", "n": number(n), "e": number(e)})
            }
            // An uncompressed point (SEC 1, 2.3.3) is a tag byte, followed by x and y.
            Key::Ec(key) => {
                let point = key.public_key().as_ref().get(1..).context("no point")?;
                let (x, y) = point.split_at(point.len() / 2);
                let curve = format!(
                    "P-{}",
                    [256, 384, 521]
                        .into_iter()
                        .find(|bits| x.len() * 8 <= bits + 7)
                        .context("no curve")?
                );
                json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)})
            }
            Key::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref())}),
        };
        if let (Value::Object(jwk), Value::Object(members)) = (&mut jwk, members) {
            jwk.extend(members);
        }
        Ok(jwk)
    }

    /// A signed token with these claims.
    pub fn token(&self, claims: &Value) -> Result<String> {
        let header = json!({"alg": self.algorithm, "kid": self.algorithm, "typ": "JWT"});
        self.signed(&header.to_string(), &claims.to_string())
    }

    /// A signed token with this header and payload, valid or not.
    pub fn signed(&self, header: &str, payload: &str) -> Result<String> {
        let signed = unsigned(header, payload);
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!(
            "{signed}.{}",
            Base64UrlUnpadded::encode_string(&signature)
        ))
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        Ok(match &self.key {
            Key::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, text, &mut signature)?;
                signature
            }
            Key::Ec(key) => key.sign(&random, text)?.as_ref().to_vec(),
            Key::Ed(key) => key.sign(text).as_ref().to_vec(),
        })
    }
}
