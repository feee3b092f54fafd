//! Envoy's requirements on a certificate that it presents. Validity dates are not among them: clients check those.

use switchyard_core::object::PemFault;
use x509_parser::{
    certificate::X509Certificate,
    der_parser::{Oid, oid},
    extensions::GeneralName,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
        OID_SIG_ED25519,
    },
    public_key::PublicKey,
};

const CURVES: [Oid<'static>; 3] = [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521];
const MIN_RSA_BITS: usize = 2048;
/// The extension of RFC 7633: features that the server has to support.
const TLS_FEATURE: Oid<'static> = oid!(1.3.6.1.5.5.7.1.24);
/// A sequence of only `status_request`, the form that Envoy looks for.
const MUST_STAPLE: [u8; 5] = [0x30, 0x03, 0x02, 0x01, 0x05];

/// Fails with the first reason for which Envoy would reject the certificate.
pub(super) fn check(certificate: &X509Certificate<'_>) -> Result<(), PemFault> {
    check_key(certificate)?;
    if !has_name(certificate) {
        return Err(PemFault::NoName);
    }
    let must_staple = certificate
        .iter_extensions()
        .any(|extension| extension.oid == TLS_FEATURE && extension.value == MUST_STAPLE);
    if must_staple {
        return Err(PemFault::MustStaple);
    }
    Ok(())
}

fn check_key(certificate: &X509Certificate<'_>) -> Result<(), PemFault> {
    let key = certificate.public_key();
    let algorithm = &key.algorithm;
    if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        return match key.parsed() {
            Ok(PublicKey::RSA(key)) if bits(key.modulus) >= MIN_RSA_BITS => Ok(()),
            _ => Err(PemFault::RsaBits),
        };
    }
    if algorithm.algorithm == OID_SIG_ED25519 {
        return Ok(());
    }
    let curve = algorithm
        .parameters
        .as_ref()
        .and_then(|curve| curve.as_oid().ok());
    if algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY
        || !curve.is_some_and(|curve| CURVES.contains(&curve))
    {
        return Err(PemFault::KeyType);
    }
    let usage = certificate.key_usage().map_err(|_| PemFault::Certificate)?;
    if usage.is_some_and(|usage| !usage.value.digital_signature()) {
        return Err(PemFault::KeyUsage);
    }
    Ok(())
}

/// The length in bits of a big-endian number, without leading zeros.
fn bits(number: &[u8]) -> usize {
    let mut bytes = number.iter().skip_while(|byte| **byte == 0);
    let top = bytes.next().map_or(0, |byte| 8 - byte.leading_zeros() as usize);
    top + bytes.count() * 8
}

/// Returns true if the subject's common name is not empty or, without a common name, a SAN has a type that Envoy
/// accepts.
fn has_name(certificate: &X509Certificate<'_>) -> bool {
    if let Some(name) = certificate.subject().iter_common_name().next() {
        return !name.attr_value().data.is_empty();
    }
    let names = certificate.subject_alternative_name().ok().flatten();
    names.is_some_and(|names| {
        names.value.general_names.iter().any(|name| {
            matches!(
                name,
                GeneralName::DNSName(_) | GeneralName::IPAddress(_) | GeneralName::URI(_)
            )
        })
    })
}
