//! Keys that tokens are signed with.

use super::{der, ecdsa, pss, rsa::PublicKey, token::Token};
use crate::{
    config::policy::{self, Algorithm},
    host::Host,
};
use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};

/// `AlgorithmIdentifier`s, without what makes them a sequence (RFC 8017, A.1; RFC 5480, 2.1.1; RFC 8410, 3).
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const P521: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
/// RFC 7518, 3.3 and 3.5, say the least; the most is what a proxy verifies without a stall.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A key, made ready for tokens.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    /// Each fits the key.
    algorithms: Vec<Algorithm>,
    spki: Vec<u8>,
    kind: Kind,
}

/// What kind of key it is, and what is verified with it here.
enum Kind {
    Rsa(PublicKey),
    /// Bytes of each of the numbers that make a signature, and the algorithm that goes with the curve.
    Ec(usize, Algorithm),
    Ed25519(Box<VerifyingKey>),
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("there are no algorithms for it")]
    NoAlgorithm,
    #[error(
        "it is no key in base64 of RSA, of EC on P-256, P-384 or P-521, or of Ed25519 (SubjectPublicKeyInfo)"
    )]
    Spki,
    #[error("it is of RSA with {0} bits: it must have 2048 to 4096")]
    Bits(usize),
    #[error("{0:?} does not go with such a key")]
    Algorithm(Algorithm),
}

// === impl Key ===

impl Key {
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether the token is signed with this key, by the token's algorithm, which the key is for.
    pub(super) fn verifies(&self, token: &Token<'_>, host: &dyn Host) -> bool {
        let Token {
            algorithm,
            signed,
            signature,
            ..
        } = token;
        let by_host = |signature: &[u8]| host.verifies(*algorithm, &self.spki, signed, signature);
        match (&self.kind, algorithm) {
            (Kind::Rsa(key), Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512) => {
                pss::verifies(*algorithm, key, signed, signature)
            }
            (Kind::Rsa(_), _) => by_host(signature),
            (Kind::Ec(size, _), _) => ecdsa::to_asn1(signature, *size).is_some_and(|asn1| by_host(&asn1)),
            (Kind::Ed25519(key), _) => Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
        }
    }
}

impl TryFrom<policy::Key> for Key {
    type Error = KeyFault;

    fn try_from(key: policy::Key) -> Result<Self, KeyFault> {
        let policy::Key {
            kid,
            algorithms,
            spki,
        } = key;
        let spki = Base64::decode_vec(&spki).map_err(|_| KeyFault::Spki)?;
        let kind = Kind::read(&spki).ok_or(KeyFault::Spki)?;
        if let Kind::Rsa(key) = &kind
            && !RSA_BITS.contains(&key.bits())
        {
            return Err(KeyFault::Bits(key.bits()));
        }
        if algorithms.is_empty() {
            return Err(KeyFault::NoAlgorithm);
        }
        match algorithms.iter().find(|algorithm| !kind.goes_with(**algorithm)) {
            Some(other) => Err(KeyFault::Algorithm(*other)),
            None => Ok(Self {
                kid,
                algorithms,
                spki,
                kind,
            }),
        }
    }
}

// === impl Kind ===

impl Kind {
    /// RFC 5280, 4.1: `SubjectPublicKeyInfo`.
    fn read(spki: &[u8]) -> Option<Self> {
        let info = der::read_whole(der::SEQUENCE, spki)?;
        let (algorithm, rest) = der::read(der::SEQUENCE, info)?;
        let (unused_bits, key) = der::read_whole(der::BIT_STRING, rest)?.split_first()?;
        (*unused_bits == 0).then_some(())?;
        match algorithm {
            RSA => {
                let (modulus, rest) = der::read_positive(der::read_whole(der::SEQUENCE, key)?)?;
                let (exponent, rest) = der::read_positive(rest)?;
                rest.is_empty().then_some(())?;
                PublicKey::new(modulus, exponent).map(Self::Rsa)
            }
            P256 => Some(Self::Ec(32, Algorithm::ES256)),
            P384 => Some(Self::Ec(48, Algorithm::ES384)),
            P521 => Some(Self::Ec(66, Algorithm::ES512)),
            ED25519 => {
                let key = VerifyingKey::from_bytes(key.as_array()?).ok()?;
                (!key.is_weak()).then(|| Self::Ed25519(Box::new(key)))
            }
            _ => None,
        }
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
