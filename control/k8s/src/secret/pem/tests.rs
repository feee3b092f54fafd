use super::*;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm,
};

/// A certificate and its key, each in PEM.
fn pair(algorithm: &'static SignatureAlgorithm) -> [String; 2] {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let parameters = CertificateParams::new(vec!["a.com".to_owned()]).unwrap();
    [parameters.self_signed(&key).unwrap().pem(), key.serialize_pem()]
}

fn found(type_: &str, data: &[(&str, &str)]) -> Vec<PemFault> {
    let data = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
    faults(type_, &data.collect()).into_iter().collect()
}

fn found_of_tls(certificate: &str, key: &str) -> Vec<PemFault> {
    found("kubernetes.io/tls", &[("tls.crt", certificate), ("tls.key", key)])
}

#[test]
fn certificate_matches_only_its_own_key() {
    let pairs = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_RSA_SHA256,
        &PKCS_ED25519,
    ]
    .map(pair);
    for (of, [certificate, _]) in pairs.iter().enumerate() {
        for (with, [_, key]) in pairs.iter().enumerate() {
            let want = if of == with {
                vec![]
            } else {
                vec![PemFault::Mismatch]
            };
            assert_eq!(found_of_tls(certificate, key), want, "{of} with {with}");
        }
    }
    let [[certificate, _], [_, other]] = [(); 2].map(|()| pair(&rcgen::PKCS_ECDSA_P256_SHA256));
    assert_eq!(found_of_tls(&certificate, &other), [PemFault::Mismatch]);
}

#[test]
fn first_chain_certificate_has_key_and_all_must_parse() {
    let [one, other] = [(); 2].map(|()| pair(&rcgen::PKCS_ECDSA_P256_SHA256));
    let ([certificate, key], [issuer, _]) = (one, other);
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (chain, want) in [
        (&[&certificate, &issuer][..], &[][..]),
        (&[&issuer, &certificate], &[PemFault::Mismatch]),
        (&[&certificate, &damaged.to_owned()], &[PemFault::Certificate]),
    ] {
        let chain: String = chain.iter().map(|pem| pem.as_str()).collect();
        assert_eq!(found_of_tls(&chain, &key), want, "{chain}");
    }
}

#[test]
fn invalid_pem_is_reported_and_missing_data_is_not() {
    let [certificate, key] = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (certificate, key, want) in [
        (certificate.as_str(), key.as_str(), &[][..]),
        ("", "", &[]),
        (&certificate, "", &[]),
        ("", &key, &[]),
        ("text", &key, &[PemFault::Certificate]),
        (&key, &key, &[PemFault::Certificate]),
        (&certificate, "text", &[PemFault::Key]),
        (&certificate, &certificate, &[PemFault::Key]),
        (&certificate, damaged, &[PemFault::Key]),
        ("text", "text", &[PemFault::Certificate, PemFault::Key]),
    ] {
        assert_eq!(found_of_tls(certificate, key), want, "{certificate} {key}");
    }
}

#[test]
fn ca_is_checked_in_all_secrets_certificate_by_type() {
    let [certificate, _] = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    for (type_, data, want) in [
        ("Opaque", &[("tls.crt", "text"), ("tls.key", "text")][..], &[][..]),
        ("Opaque", &[("ca.crt", "text")], &[PemFault::Authority]),
        ("Opaque", &[("ca.crt", "")], &[]),
        ("kubernetes.io/tls", &[("ca.crt", &*certificate)], &[]),
    ] {
        assert_eq!(found(type_, data), want, "{data:?}");
    }
}
