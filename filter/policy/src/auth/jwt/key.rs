//! Keys that tokens are signed with.

use super::{ecdsa, error::KeyError, token::SignedToken};
use crate::{
    config::policy::{self, Algorithm},
    host::Host,
};
use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};
use rsa::{
    PublicKey,
    pkcs1::{self, RsaPublicKeyRef},
};
use sha2::{Sha256, Sha384, Sha512};
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode, asn1::AnyRef},
};

/// Object identifiers (RFC 5480, 2.1.1; RFC 8410, 3).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// The sizes of RSA keys: the least by RFC 7518, 3.3 and 3.5, and the most that a proxy verifies without a stall.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A key, prepared for tokens.
pub(super) struct VerificationKey {
    pub(super) kid: Option<String>,
    /// Algorithms, each valid for the key.
    algorithms: Vec<Algorithm>,
    spki: Vec<u8>,
    kind: KeyKind,
}

/// The kind of a key, with what the filter itself needs to verify a signature.
enum KeyKind {
    Rsa(Box<PublicKey>),
    /// The size in bytes of each of the two numbers of a signature, and the algorithm of the curve.
    Ec(usize, Algorithm),
    Ed25519(Box<VerifyingKey>),
}

/// Checks a key as one that tokens are verified with.
///
/// # Errors
/// The reason that it cannot be used.
pub fn check_key(key: &policy::Key) -> Result<(), KeyError> {
    VerificationKey::try_from(key.clone()).map(|_| ())
}

// === impl VerificationKey ===

impl VerificationKey {
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Returns true if the token is signed with this key, by the token's algorithm, which the key must be for.
    pub(super) fn verifies(&self, token: &SignedToken<'_>, host: &dyn Host) -> bool {
        let SignedToken {
            algorithm,
            signed,
            signature,
            ..
        } = token;
        let by_host = |signature: &[u8]| host.verifies(*algorithm, &self.spki, signed, signature);
        match (&self.kind, algorithm) {
            (KeyKind::Rsa(key), Algorithm::PS256) => key.pss_verify::<Sha256>(signed, signature).is_ok(),
            (KeyKind::Rsa(key), Algorithm::PS384) => key.pss_verify::<Sha384>(signed, signature).is_ok(),
            (KeyKind::Rsa(key), Algorithm::PS512) => key.pss_verify::<Sha512>(signed, signature).is_ok(),
            (KeyKind::Rsa(_), _) => by_host(signature),
            (KeyKind::Ec(size, _), _) => ecdsa::to_asn1(signature, *size).is_some_and(|asn1| by_host(&asn1)),
            (KeyKind::Ed25519(key), _) => Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
        }
    }
}

impl TryFrom<policy::Key> for VerificationKey {
    type Error = KeyError;

    fn try_from(key: policy::Key) -> Result<Self, KeyError> {
        let policy::Key {
            kid,
            algorithms,
            spki,
        } = key;
        let spki = Base64::decode_vec(&spki).map_err(|_| KeyError::Spki)?;
        let kind = KeyKind::read(&spki)?;
        if algorithms.is_empty() {
            return Err(KeyError::NoAlgorithm);
        }
        match algorithms.iter().find(|algorithm| !kind.goes_with(**algorithm)) {
            Some(other) => Err(KeyError::Algorithm(*other)),
            None => Ok(Self {
                kid,
                algorithms,
                spki,
                kind,
            }),
        }
    }
}

// === impl KeyKind ===

impl KeyKind {
    fn read(spki: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| KeyError::Spki)?;
        let key = info.subject_public_key.as_bytes().ok_or(KeyError::Spki)?;
        match (info.algorithm.oid, info.algorithm.parameters) {
            (pkcs1::ALGORITHM_OID, Some(none)) if none == AnyRef::NULL => Self::read_rsa(key),
            (EC, Some(curve)) => match curve.decode_as() {
                Ok(P256) => Ok(Self::Ec(32, Algorithm::ES256)),
                Ok(P384) => Ok(Self::Ec(48, Algorithm::ES384)),
                Ok(P521) => Ok(Self::Ec(66, Algorithm::ES512)),
                _ => Err(KeyError::Spki),
            },
            (ED25519, None) => Self::read_ed25519(key).ok_or(KeyError::Spki),
            _ => Err(KeyError::Spki),
        }
    }

    fn read_rsa(key: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPublicKeyRef::from_der(key).map_err(|_| KeyError::Spki)?;
        let modulus = key.modulus.as_bytes();
        let leading_zeros = modulus.first().map_or(0, |first| first.leading_zeros());
        let bits = modulus.len() * 8 - usize::try_from(leading_zeros).unwrap_or_default();
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::Bits(bits));
        }
        let key = PublicKey::try_from(key).map_err(|_| KeyError::Spki)?;
        Ok(Self::Rsa(Box::new(key)))
    }

    fn read_ed25519(key: &[u8]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(key.as_array()?).ok()?;
        (!key.is_weak()).then(|| Self::Ed25519(Box::new(key)))
    }

    fn goes_with(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match (self, algorithm) {
            (Self::Rsa(_), RS256 | RS384 | RS512 | PS256 | PS384 | PS512) => true,
            (Self::Ec(_, own), ES256 | ES384 | ES512) => *own == algorithm,
            (Self::Ed25519(_), EdDSA) => true,
            _ => false,
        }
    }
}
