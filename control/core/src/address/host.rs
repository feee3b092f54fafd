//! Host names and addresses as people and resolvers write them.

use super::{AddressRule, ForbiddenAddress};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

/// A host that an upstream is at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    Address(IpAddr),
    /// A DNS name in lower case, to be resolved. A dot at its end is kept: it keeps resolvers from adding to the name.
    Name(Arc<str>),
}

/// A reason why a text names no host that may be connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum HostError {
    #[error("{0:?} is neither a DNS name nor an IP address")]
    Invalid(String),
    #[error("{written:?} is {address}")]
    Address {
        written: String,
        address: ForbiddenAddress,
    },
    #[error("{0:?} is a name of this machine or its link, which is not allowed")]
    Local(String),
}

/// Names that lead to this machine, to its link, or to the metadata of a cloud, on one system or another. So do the names
/// below them.
const LOCAL: [&str; 16] = [
    "broadcasthost",
    "instance-data",
    "instance-data.ec2.internal",
    "ip6-allnodes",
    "ip6-allrouters",
    "ip6-localhost",
    "ip6-localnet",
    "ip6-loopback",
    "ip6-mcastprefix",
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost4.localdomain4",
    "localhost6",
    "localhost6.localdomain6",
    "metadata.google.internal",
];

// === impl Host ===

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || HostError::Invalid(text.to_owned());
        let name = text.strip_suffix('.').unwrap_or(text);
        if let Some(address) = ipv6(name).or_else(|| ipv4(name)) {
            return AddressRule::default()
                .check(address)
                .map(|()| Self::Address(address.to_canonical()))
                .map_err(|address| HostError::Address {
                    written: text.to_owned(),
                    address,
                });
        }
        if !is_dns_name(name) || ends_in_a_number(name) {
            return Err(invalid());
        }
        let lower = text.to_ascii_lowercase();
        if is_local(lower.strip_suffix('.').unwrap_or(&lower)) {
            return Err(HostError::Local(text.to_owned()));
        }
        Ok(Self::Name(lower.into()))
    }
}

fn is_local(name: &str) -> bool {
    let is_at_or_below = |local: &&str| {
        let above = name.strip_suffix(*local);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    };
    LOCAL.iter().any(is_at_or_below)
}

/// In brackets or not, with a zone or without.
fn ipv6(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let bare = bare.unwrap_or(text);
    let address = bare.split_once('%').map_or(bare, |(address, _)| address);
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Any spelling that `inet_aton` takes, and so do resolvers: one to four numbers, decimal, octal or hexadecimal, of which
/// the last fills what is left.
fn ipv4(text: &str) -> Option<IpAddr> {
    let numbers: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    let left = 4_usize.checked_sub(first.len()).filter(|left| *left > 0)?;
    let mut bits = *last;
    if bits >= 1 << (8 * left) {
        return None;
    }
    for (index, number) in first.iter().enumerate() {
        if *number > 255 {
            return None;
        }
        bits |= number << (8 * (3 - index));
    }
    u32::try_from(bits)
        .ok()
        .map(|bits| Ipv4Addr::from_bits(bits).into())
}

fn number(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some("") => return Some(0),
        Some(digits) => (digits, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (lower.as_str(), 8),
        None => (lower.as_str(), 10),
    };
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u64::from_str_radix(digits, radix).ok().filter(|_| is_plain)
}

/// No top-level domain is a number, but some resolvers take such names for addresses.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_decimal = last.bytes().all(|digit| digit.is_ascii_digit());
    is_decimal || number(last).is_some()
}

/// Labels of letters, digits, hyphens and underscores.
fn is_dns_name(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(inner);
    name.len() <= 253 && name.split('.').all(is_label)
}
