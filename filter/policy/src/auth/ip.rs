//! Where clients may be.

use super::{Failure, Fault, Pass, Reason, Request, Step};
use crate::config::policy;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is denied is not allowed by anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ip {
    /// None: all that are not denied.
    allow: Vec<Cidr>,
    deny: Vec<Cidr>,
}

/// Addresses that begin with the same bits. An IPv4 address is one also where it is written as IPv6 (RFC 4291, 2.5.5.2);
/// no range of IPv6 is meant to hold IPv4 beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cidr {
    V4 { network: u32, mask: u32 },
    V6 { network: u128, mask: u128 },
}

// === impl Ip ===

impl Ip {
    /// A client without an address is nowhere that is allowed, and nobody knows that it is not where is denied.
    pub(super) fn check(&self, request: Request<'_>) -> Step {
        let is_allowed = request
            .host
            .client_ip()
            .is_some_and(|address| self.allows(address));
        if is_allowed {
            Step::Pass(Pass::default())
        } else {
            Step::Fail(Failure::forbidden(Reason::Address))
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        let Self { allow, deny } = self;
        let address = address.to_canonical();
        let is_in = |ranges: &[Cidr]| ranges.iter().any(|range| range.contains(address));
        !is_in(deny) && (allow.is_empty() || is_in(allow))
    }
}

impl TryFrom<policy::Ip> for Ip {
    type Error = Fault;

    fn try_from(ip: policy::Ip) -> Result<Self, Fault> {
        let policy::Ip { allow, deny } = ip;
        if allow.is_empty() && deny.is_empty() {
            return Err(Fault::NoRange);
        }
        Ok(Self {
            allow: ranges("allow", allow)?,
            deny: ranges("deny", deny)?,
        })
    }
}

// === impl Cidr ===

impl Cidr {
    /// An address alone is a range of one.
    fn parse(text: &str) -> Option<Self> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address.parse().ok()?, Some(parse_len(len)?)),
            None => (text.parse().ok()?, None),
        };
        match address {
            IpAddr::V4(address) => Self::v4(address, len.unwrap_or(Ipv4Addr::BITS)),
            IpAddr::V6(address) => Self::v6(address, len.unwrap_or(Ipv6Addr::BITS)),
        }
    }

    fn v4(address: Ipv4Addr, len: u32) -> Option<Self> {
        let mask = u32::MAX
            .checked_shl(Ipv4Addr::BITS.checked_sub(len)?)
            .unwrap_or(0);
        let network = address.to_bits() & mask;
        Some(Self::V4 { network, mask })
    }

    fn v6(address: Ipv6Addr, len: u32) -> Option<Self> {
        let mapped = Ipv6Addr::BITS - Ipv4Addr::BITS;
        if let (Some(address), Some(len)) = (address.to_ipv4_mapped(), len.checked_sub(mapped)) {
            return Self::v4(address, len);
        }
        let mask = u128::MAX
            .checked_shl(Ipv6Addr::BITS.checked_sub(len)?)
            .unwrap_or(0);
        let network = address.to_bits() & mask;
        Some(Self::V6 { network, mask })
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { network, mask }, IpAddr::V4(address)) => address.to_bits() & mask == network,
            (Self::V6 { network, mask }, IpAddr::V6(address)) => address.to_bits() & mask == network,
            _ => false,
        }
    }
}

fn ranges(list: &'static str, texts: Vec<String>) -> Result<Vec<Cidr>, Fault> {
    let range = |(at, text): (usize, String)| Cidr::parse(&text).ok_or(Fault::Cidr { list, at, text });
    texts.into_iter().enumerate().map(range).collect()
}

/// Digits alone: what the standard library parses may have a sign.
fn parse_len(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests;
