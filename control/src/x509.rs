//! The facts in a certificate.

use anyhow::{Context, Result, anyhow};
use pem::{EncodeConfig, LineEnding, Pem};
use std::{collections::BTreeSet, net::IpAddr};
use time::OffsetDateTime;
use x509_parser::{extensions::GeneralName, parse_x509_certificate, prelude::X509Certificate};

/// The relevant facts of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The end of its validity.
    pub until: OffsetDateTime,
    /// The host names and IP addresses in its SANs.
    pub names: BTreeSet<String>,
}

/// The certificates in a PEM file, without its other blocks.
///
/// # Errors
///
/// If the text is not PEM, or has no certificate.
pub fn certificates(text: &str) -> Result<Vec<Pem>> {
    let mut blocks = pem::parse_many(text).context("not PEM")?;
    blocks.retain(|block| block.tag() == "CERTIFICATE");
    if blocks.is_empty() {
        return Err(anyhow!("contains no certificate in PEM"));
    }
    Ok(blocks)
}

/// Reads the facts of the first certificate in a PEM file, which is the leaf.
///
/// # Errors
///
/// If there is no certificate, or it cannot be parsed.
pub fn facts(text: &str) -> Result<Facts> {
    let blocks = certificates(text)?;
    let first = blocks.first().context("contains no certificate in PEM")?;
    facts_of(first)
}

/// Reads the facts of a certificate.
///
/// # Errors
///
/// If it cannot be parsed.
pub fn facts_of(block: &Pem) -> Result<Facts> {
    let (_, certificate) =
        parse_x509_certificate(block.contents()).context("cannot parse the certificate")?;
    Ok(Facts {
        until: certificate.validity().not_after.to_datetime(),
        names: names(&certificate)?,
    })
}

/// Encodes as PEM, with Unix line ends.
#[must_use]
pub fn encode(blocks: &[Pem]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    blocks
        .iter()
        .map(|block| pem::encode_config(block, config))
        .collect()
}

fn names(certificate: &X509Certificate<'_>) -> Result<BTreeSet<String>> {
    let extension = certificate.subject_alternative_name()?;
    let names = extension.iter().flat_map(|names| &names.value.general_names);
    Ok(names.filter_map(name).collect())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        GeneralName::IPAddress(bytes) => ip(bytes).map(|ip| ip.to_string()),
        _ => None,
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
