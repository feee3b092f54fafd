//! Issues certificates: ECDSA on P-256, which Envoy and rustls both support, and whose handshakes are cheap.

use super::holding::Role;
use crate::x509;
use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use time::OffsetDateTime;

pub(super) const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

/// A CA with its private key.
pub(super) struct Authority {
    /// The certificate, in PEM.
    pub(super) certificate: String,
    /// The private key, in PEM.
    pub(super) key: String,
    pub(super) until: OffsetDateTime,
    issuer: Issuer<'static, KeyPair>,
}

/// An issued certificate and its key, both in PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) until: OffsetDateTime,
}

/// The validity of a CA.
pub(super) const LIFETIME: Duration = days(3650);
/// The time by which clocks may differ: certificates are valid from that long ago.
const SKEW: Duration = Duration::from_secs(60 * 60);

// === impl Authority ===

impl Authority {
    pub(super) fn new(now: OffsetDateTime) -> Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let until = now + LIFETIME;
        let mut params = params(&[], &name(&key), now, until)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self {
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
            until,
            issuer: Issuer::new(params, key),
        })
    }

    /// Loads an existing CA.
    pub(super) fn read(certificate: &str, key: &str) -> Result<Self> {
        let until = x509::facts(certificate).context("tls.crt")?.until;
        let pair = KeyPair::from_pem(key).context("tls.key: contains no private key that can sign")?;
        let issuer = Issuer::from_ca_cert_pem(certificate, pair).context("tls.crt")?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            until,
            issuer,
        })
    }

    /// Issues a certificate, which does not outlive the CA.
    pub(super) fn issue(
        &self,
        role: Role,
        names: &[String],
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Issued> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let until = self.until.min(now + lifetime);
        let mut params = params(names, role.secret(), now, until)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose(role)];
        // In a bundle of several CAs, the issuer is then found by key, not by name.
        params.use_authority_key_identifier_extension = true;
        Ok(Issued {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
            until,
        })
    }
}

/// A name that is unique to the key. With a common name, a certificate of another CA would be reported as forged, not
/// as of an unknown CA.
fn name(key: &KeyPair) -> String {
    let digest = Sha256::digest(key.public_key_raw());
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{} {digits}", Role::Authority.secret())
}

fn params(
    names: &[String],
    common_name: &str,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names)
        .with_context(|| format!("invalid host name or IP address in: {}", names.join(", ")))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = now - SKEW;
    params.not_after = until;
    Ok(params)
}

/// The extended key usage, so that one side's certificate is not accepted for the other's.
fn purpose(role: Role) -> ExtendedKeyUsagePurpose {
    match role {
        Role::Authority | Role::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Role::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::{parse_x509_certificate, prelude::X509Certificate};

    fn with<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
        let blocks = x509::certificates(pem).unwrap();
        let (rest, certificate) = parse_x509_certificate(blocks[0].contents()).unwrap();
        assert!(rest.is_empty());
        look(&certificate)
    }

    #[test]
    fn leaf_has_one_purpose_and_a_p256_key_signed_by_ca() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let authority = Authority::new(now).unwrap();
        let names = ["switchyard", "127.0.0.1", "::1"].map(str::to_owned);
        for (role, names, client) in [(Role::Server, &names[..], false), (Role::Client, &[], true)] {
            let issued = authority.issue(role, names, now, days(365)).unwrap();
            with(&issued.certificate, |leaf| {
                assert!(!leaf.is_ca());
                assert_eq!(leaf.public_key().parsed().unwrap().key_size(), 256);
                let usage = leaf.key_usage().unwrap().unwrap().value;
                assert!(usage.digital_signature() && !usage.key_cert_sign());
                let purpose = leaf.extended_key_usage().unwrap().unwrap().value;
                assert_eq!((purpose.server_auth, purpose.client_auth), (!client, client));
                let validity = leaf.validity();
                assert_eq!(validity.not_after.to_datetime(), now + days(365));
                assert_eq!(validity.not_before.to_datetime(), now - SKEW);
                with(&authority.certificate, |ca| {
                    assert_eq!(leaf.issuer(), ca.subject());
                    assert_ne!(leaf.subject(), ca.subject());
                    assert!(leaf.verify_signature(Some(ca.public_key())).is_ok());
                });
            });
            let found = x509::facts(&issued.certificate).unwrap();
            assert_eq!(found.until, issued.until);
            assert_eq!(found.names, names.iter().cloned().collect());
        }
    }

    #[test]
    fn each_ca_has_a_unique_subject() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let [one, other] = [(); 2].map(|()| Authority::new(now).unwrap().certificate);
        with(&one, |one| {
            with(&other, |other| assert_ne!(one.subject(), other.subject()))
        });
    }

    #[test]
    fn ca_signs_leaves_only() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        with(&Authority::new(now).unwrap().certificate, |ca| {
            let constraints = ca.basic_constraints().unwrap().unwrap().value;
            assert!(constraints.ca);
            assert_eq!(constraints.path_len_constraint, Some(0));
            let usage = ca.key_usage().unwrap().unwrap().value;
            assert!(usage.key_cert_sign() && !usage.digital_signature());
            assert_eq!(ca.validity().not_after.to_datetime(), now + LIFETIME);
        });
    }

    #[test]
    fn reloaded_ca_signs_leaves_that_end_with_it() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let made = Authority::new(now).unwrap();
        let read = Authority::read(&made.certificate, &made.key).unwrap();
        let late = made.until - days(3);
        let issued = read.issue(Role::Client, &[], late, days(365)).unwrap();
        assert_eq!(issued.until, made.until);
        with(&issued.certificate, |leaf| {
            with(&made.certificate, |ca| {
                assert!(leaf.verify_signature(Some(ca.public_key())).is_ok());
            });
        });
    }

    #[test]
    fn invalid_ca_error_names_the_file() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let made = Authority::new(now).unwrap();
        for (certificate, key, part) in [
            ("", made.key.as_str(), "tls.crt"),
            (made.certificate.as_str(), "", "tls.key"),
            (made.key.as_str(), made.key.as_str(), "tls.crt"),
        ] {
            let error = Authority::read(certificate, key).err().unwrap();
            assert!(format!("{error:#}").starts_with(part), "{error:#}");
        }
    }
}
