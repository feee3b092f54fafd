//! Whether Envoy can use the certificates and keys of a Secret.

use rustls::{
    crypto::aws_lc_rs::sign,
    pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, pem::PemObject},
};
use std::collections::{BTreeMap, BTreeSet};
use switchyard_core::object::PemFault;
use x509_parser::parse_x509_certificate;

/// What is wrong with `tls.crt` and `tls.key` of a Secret that has them by its type, and with `ca.crt` of any. What is
/// missing or empty is for whoever names the Secret.
pub(super) fn faults(type_: &str, data: &BTreeMap<String, Vec<u8>>) -> BTreeSet<PemFault> {
    let value = |key| data.get(key).filter(|value| !value.is_empty());
    let mut faults = BTreeSet::new();
    if value("ca.crt").is_some_and(|pem| public_key(pem).is_none()) {
        faults.insert(PemFault::Authority);
    }
    if type_ != "kubernetes.io/tls" {
        return faults;
    }
    let certified = value("tls.crt").map(|pem| public_key(pem).ok_or(PemFault::Certificate));
    let held = value("tls.key").map(|pem| public_key_of(pem).ok_or(PemFault::Key));
    match (certified, held) {
        (Some(Ok(certified)), Some(Ok(held))) if certified != held => {
            faults.insert(PemFault::Mismatch);
        }
        (certified, held) => faults.extend([certified, held].into_iter().flatten().filter_map(Result::err)),
    }
    faults
}

/// The key that the first certificate is for. None: there is none, or one of them is damaged.
fn public_key(pem: &[u8]) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .ok()?;
    let keys = certificates.iter().map(|certificate| {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        Some(SubjectPublicKeyInfoDer::from(
            certificate.public_key().raw.to_vec(),
        ))
    });
    keys.collect::<Option<Vec<_>>>()?.into_iter().next()
}

/// The other half of a private key. None: it is none, or of no kind that is used with TLS.
fn public_key_of(pem: &[u8]) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
    let key = sign::any_supported_type(&key).ok()?;
    key.public_key()
        .map(|key| SubjectPublicKeyInfoDer::from(key.to_vec()))
}

#[cfg(test)]
mod tests;
