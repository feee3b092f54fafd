//! What a certificate says.

use anyhow::{Context, Result, anyhow};
use pem::{EncodeConfig, LineEnding, Pem};
use std::{collections::BTreeSet, net::IpAddr};
use time::OffsetDateTime;
use x509_parser::{extensions::GeneralName, parse_x509_certificate, prelude::X509Certificate};

/// What is of interest of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The last moment at which it counts.
    pub until: OffsetDateTime,
    /// Host names and IP addresses.
    pub names: BTreeSet<String>,
}

/// The certificates in a file of PEM; whatever else it holds is left out.
///
/// # Errors
///
/// If it is no PEM, or holds none.
pub fn certificates(text: &str) -> Result<Vec<Pem>> {
    let mut blocks = pem::parse_many(text).context("it is no PEM")?;
    blocks.retain(|block| block.tag() == "CERTIFICATE");
    if blocks.is_empty() {
        return Err(anyhow!("it holds no certificate in PEM"));
    }
    Ok(blocks)
}

/// What the first certificate of a file of PEM says: the one that the file is about.
///
/// # Errors
///
/// If there is none, or it cannot be read.
pub fn facts(text: &str) -> Result<Facts> {
    let blocks = certificates(text)?;
    let first = blocks.first().context("it holds no certificate in PEM")?;
    facts_of(first)
}

/// What a certificate says.
///
/// # Errors
///
/// If it cannot be read.
pub fn facts_of(block: &Pem) -> Result<Facts> {
    let (_, certificate) =
        parse_x509_certificate(block.contents()).context("its certificate cannot be read")?;
    Ok(Facts {
        until: certificate.validity().not_after.to_datetime(),
        names: names(&certificate)?,
    })
}

/// PEM, with the line ends of Unix.
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
