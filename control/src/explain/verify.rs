//! Signatures of tokens, which Envoy verifies for the filter.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use switchyard_policy::config::policy::Algorithm;

/// Returns true if `signature` is a signature of `text` by the key `spki`. False for algorithms that the filter
/// verifies itself.
pub(super) fn verifies(algorithm: Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool {
    let verification: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::ES256 => &ECDSA_P256_SHA256_ASN1,
        Algorithm::ES384 => &ECDSA_P384_SHA384_ASN1,
        Algorithm::ES512 => &ECDSA_P521_SHA512_ASN1,
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 | Algorithm::EdDSA => return false,
    };
    let key = UnparsedPublicKey::new(verification, spki);
    key.verify(text, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        encoding::AsDer,
        rand::SystemRandom,
        rsa::KeySize,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
    };

    #[test]
    fn only_matching_signatures_verify() {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let of_ec = ec.sign(&random, b"text").unwrap().as_ref().to_vec();
        let mut of_rsa = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, b"text", &mut of_rsa)
            .unwrap();
        let spki = [
            ec.public_key().as_der().unwrap().as_ref().to_vec(),
            rsa.public_key().as_der().unwrap().as_ref().to_vec(),
        ];
        let cases = [
            (Algorithm::ES256, &spki[0], &of_ec),
            (Algorithm::RS256, &spki[1], &of_rsa),
        ];
        for (algorithm, spki, signature) in cases {
            assert!(verifies(algorithm, spki, b"text", signature), "{algorithm:?}");
            assert!(!verifies(algorithm, spki, b"test", signature), "{algorithm:?}");
            assert!(
                !verifies(algorithm, b"no key", b"text", signature),
                "{algorithm:?}"
            );
            assert!(!verifies(Algorithm::PS256, spki, b"text", signature));
        }
        assert!(!verifies(Algorithm::RS256, &spki[0], b"text", &of_ec));
    }
}
