//! Addresses that may be connected to: by Envoy, for upstreams, and by control, for sets of keys.
//!
//! Tenants choose what is connected to. Nothing that is special to the machine or to its link is connected to for them.

mod host;

pub use self::host::{Host, HostError};

use ipnet::IpNet;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Decides which addresses may be connected to. The default allows no special address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRule {
    allowed: Vec<IpNet>,
    loopback: bool,
}

/// A special kind of addresses, none of which is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpecialUse {
    Loopback,
    Unspecified,
    LinkLocal,
    Multicast,
    Metadata,
    Reserved,
}

/// An address that must not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{address}, which is not allowed: {special}")]
pub struct ForbiddenAddress {
    pub address: IpAddr,
    pub special: SpecialUse,
}

/// Special IPv4 addresses beside those that the standard library knows: this network (RFC 1122, 3.2.1.3), protocol
/// assignments (RFC 6890), reserved addresses, and where a cloud (Alibaba) tells secrets.
const SPECIAL_V4: [(Ipv4Addr, u8, SpecialUse); 4] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, SpecialUse::Unspecified),
    (Ipv4Addr::new(192, 0, 0, 0), 24, SpecialUse::Reserved),
    (Ipv4Addr::new(240, 0, 0, 0), 4, SpecialUse::Reserved),
    (Ipv4Addr::new(100, 100, 100, 200), 32, SpecialUse::Metadata),
];
/// Addresses of the metadata services of clouds (AWS, Google), which reveal secrets.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

// === impl AddressRule ===

impl AddressRule {
    /// Allows special addresses that are in `allowed`, and those of loopback if `loopback`.
    #[must_use]
    pub fn new(allowed: Vec<IpNet>, loopback: bool) -> Self {
        Self { allowed, loopback }
    }

    /// # Errors
    ///
    /// If the address must not be connected to.
    pub fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let canonical = address.to_canonical();
        let forbidden = |special| ForbiddenAddress { address, special };
        let allowed = |meant: &IpAddr| {
            let contains = |net: &IpNet| net.contains(&address) || net.contains(meant);
            self.allowed.iter().any(contains) || self.loopback && meant.is_loopback()
        };
        let own = [canonical].into_iter();
        let all = own.chain(embedded(canonical).into_iter().flatten());
        match all.filter(|meant| !allowed(meant)).find_map(special_use) {
            Some(special) => Err(forbidden(special)),
            None => Ok(()),
        }
    }
}

fn special_use(address: IpAddr) -> Option<SpecialUse> {
    match address {
        IpAddr::V4(address) => special_use_v4(address),
        IpAddr::V6(address) => special_use_v6(address),
    }
}

fn special_use_v4(address: Ipv4Addr) -> Option<SpecialUse> {
    let within = |(net, prefix, special): &(Ipv4Addr, u8, SpecialUse)| {
        let mask = u32::MAX << (32 - prefix);
        (address.to_bits() & mask == net.to_bits()).then_some(*special)
    };
    match () {
        () if address.is_loopback() => Some(SpecialUse::Loopback),
        () if address.is_link_local() => Some(SpecialUse::LinkLocal),
        () if address.is_multicast() => Some(SpecialUse::Multicast),
        () => SPECIAL_V4.iter().find_map(within),
    }
}

fn special_use_v6(address: Ipv6Addr) -> Option<SpecialUse> {
    match () {
        () if address.is_loopback() => Some(SpecialUse::Loopback),
        () if address.is_unspecified() => Some(SpecialUse::Unspecified),
        () if address.is_unicast_link_local() => Some(SpecialUse::LinkLocal),
        () if address.is_multicast() => Some(SpecialUse::Multicast),
        () => METADATA_V6.contains(&address).then_some(SpecialUse::Metadata),
    }
}

/// The IPv4 addresses that an IPv6 address may lead to: compatible (RFC 4291, 2.5.5), translated (RFC 2765), through NAT64
/// (RFC 6052, and RFC 8215 with its prefix of unknown length), 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP (RFC 5214).
fn embedded(address: IpAddr) -> [Option<IpAddr>; 4] {
    let IpAddr::V6(address) = address else {
        return [None; 4];
    };
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into());
    let [.., high, low] = address.segments();
    let one = match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        [0x2001, 0, ..] => v4(!high, !low),
        [.., 0 | 0x200, 0x5efe, _, _] => v4(high, low),
        [0x64, 0xff9b, 1, ..] => return through_local_nat64(address),
        _ => None,
    };
    [one, None, None, None]
}

/// By prefixes of 96, 64, 56 and 48 bits. What begins with 0 is only what another prefix leaves unused.
fn through_local_nat64(address: Ipv6Addr) -> [Option<IpAddr>; 4] {
    let [.., b6, b7, _, b9, b10, b11, b12, b13, b14, b15] = address.octets();
    let v4 = |octets: [u8; 4]| IpAddr::from(Ipv4Addr::from(octets));
    let used = |octets: [u8; 4]| (octets[0] > 0).then(|| v4(octets));
    [
        used([b12, b13, b14, b15]),
        used([b9, b10, b11, b12]),
        used([b7, b9, b10, b11]),
        used([b6, b7, b9, b10]),
    ]
}

// === impl SpecialUse ===

impl fmt::Display for SpecialUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "it is loopback",
            Self::Unspecified => "it is unspecified",
            Self::LinkLocal => "it is link-local",
            Self::Multicast => "it is multicast",
            Self::Metadata => "cloud metadata is there",
            Self::Reserved => "it is reserved",
        })
    }
}

#[cfg(test)]
mod tests;
