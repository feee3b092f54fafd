//! Envoy's rules for the certificates and keys of a Secret. `tests/tests/e2e/certificates.rs` compares them with
//! Envoy's own verdict.

mod block;
mod leaf;

use block::{Block, Damaged, blocks};
use rustls::{
    crypto::aws_lc_rs::sign,
    pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer},
};
use std::collections::{BTreeMap, BTreeSet};
use switchyard_core::object::PemFault;
use x509_parser::{parse_x509_certificate, parse_x509_crl};

const CERTIFICATE: &str = "CERTIFICATE";
/// OpenSSL's label of a certificate with trust data appended.
const TRUSTED: &str = "TRUSTED CERTIFICATE";
const CERTIFICATES: [&str; 3] = [CERTIFICATE, "X509 CERTIFICATE", TRUSTED];
const CRL: &str = "X509 CRL";
const ENCRYPTED_KEY: &str = "ENCRYPTED PRIVATE KEY";
/// Labels that name the algorithm of the key.
const TYPED_KEYS: [&str; 3] = ["RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"];

/// The errors in `tls.crt` and `tls.key` of a Secret of type `kubernetes.io/tls`, and in `ca.crt` of any Secret.
/// Missing or empty values are reported by the objects that reference the Secret.
pub(super) fn faults(type_: &str, data: &BTreeMap<String, Vec<u8>>) -> BTreeSet<PemFault> {
    let value = |key| data.get(key).filter(|value| !value.is_empty());
    let mut faults = BTreeSet::new();
    if value("ca.crt").is_some_and(|pem| !are_authorities(pem)) {
        faults.insert(PemFault::Authority);
    }
    if type_ != "kubernetes.io/tls" {
        return faults;
    }
    let certified = value("tls.crt").map(|pem| certified_key(pem));
    let held = value("tls.key").map(|pem| public_key_of(pem).ok_or(PemFault::Key));
    match (certified, held) {
        (Some(Ok(certified)), Some(Ok(held))) if certified != held => {
            faults.insert(PemFault::Mismatch);
        }
        (certified, held) => faults.extend([certified, held].into_iter().flatten().filter_map(Result::err)),
    }
    faults
}

/// The public key of the first certificate of a chain.
fn certified_key(pem: &[u8]) -> Result<SubjectPublicKeyInfoDer<'static>, PemFault> {
    let chain = chain(pem).ok_or(PemFault::Certificate)?;
    let leaf = chain.first().ok_or(PemFault::Certificate)?;
    let (_, leaf) = parse_x509_certificate(leaf).map_err(|_| PemFault::Certificate)?;
    leaf::check(&leaf)?;
    Ok(leaf.public_key().raw.to_vec().into())
}

/// The certificates of a chain in DER; `None` if a block is damaged.
fn chain(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut chain = Vec::new();
    for block in blocks(pem) {
        let Block { label, der, .. } = block.ok()?;
        if !CERTIFICATES.contains(&label) {
            continue;
        }
        let (rest, _) = parse_x509_certificate(&der).ok()?;
        (rest.is_empty() || label == TRUSTED).then_some(())?;
        chain.push(der);
    }
    Some(chain)
}

/// Returns true if there is a certificate and no block is damaged: Envoy also parses the CRLs and keys in the file.
fn are_authorities(pem: &[u8]) -> bool {
    let blocks: Result<Vec<_>, Damaged> = blocks(pem).collect();
    let Ok(blocks) = blocks else { return false };
    blocks.iter().any(|block| CERTIFICATES.contains(&block.label)) && blocks.iter().all(is_readable)
}

fn is_readable(block: &Block<'_>) -> bool {
    match block.label {
        label if CERTIFICATES.contains(&label) => parse_x509_certificate(&block.der).is_ok(),
        CRL => parse_x509_crl(&block.der).is_ok(),
        label if TYPED_KEYS.contains(&label) => block.is_encrypted || held_key(block).is_some(),
        _ => true,
    }
}

/// The public half of the first private key; `None` if there is no key, or it is damaged, encrypted or not usable with
/// TLS.
fn public_key_of(pem: &[u8]) -> Option<SubjectPublicKeyInfoDer<'static>> {
    for block in blocks(pem) {
        let block = block.ok()?;
        if block.label == "PRIVATE KEY" || block.label == ENCRYPTED_KEY || TYPED_KEYS.contains(&block.label) {
            return held_key(&block);
        }
    }
    None
}

fn held_key(block: &Block<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let der = block.der.clone();
    let key: PrivateKeyDer<'static> = match block.label {
        _ if block.is_encrypted => return None,
        "PRIVATE KEY" => PrivateKeyDer::Pkcs8(der.into()),
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
        _ => return None,
    };
    let key = sign::any_supported_type(&key).ok()?;
    key.public_key()
        .map(|key| SubjectPublicKeyInfoDer::from(key.to_vec()))
}

#[cfg(test)]
mod tests;
