//! Addresses that may be connected to.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses may be connected to.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    allowed: Vec<IpNet>,
    loopback: bool,
}

/// What is special of IPv4, beside what the standard library knows: this network (RFC 1122, 3.2.1.3), protocol assignments
/// (RFC 6890), what is reserved, and where a cloud (Alibaba) tells secrets.
const SPECIAL_V4: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::new(100, 100, 100, 200), 32),
];
/// Where clouds (AWS, Google) tell secrets.
const SPECIAL_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

// === impl Addresses ===

impl Addresses {
    pub(super) fn new(allowed: Vec<IpNet>, loopback: bool) -> Self {
        Self { allowed, loopback }
    }

    pub(super) fn allow(&self, address: IpAddr) -> bool {
        let meant = meant(address);
        let is_named = |net: &IpNet| net.contains(&address) || net.contains(&meant);
        self.allowed.iter().any(is_named) || self.loopback && meant.is_loopback() || !is_special(meant)
    }
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_special_v4(address),
        IpAddr::V6(address) => is_special_v6(address),
    }
}

fn is_special_v4(address: Ipv4Addr) -> bool {
    let within = |(net, prefix): &(Ipv4Addr, u8)| {
        let mask = u32::MAX << (32 - prefix);
        address.to_bits() & mask == net.to_bits()
    };
    address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || SPECIAL_V4.iter().any(within)
}

fn is_special_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || SPECIAL_V6.contains(&address)
}

/// The IPv4 address that an IPv6 address leads to: mapped (RFC 4291, 2.5.5), through NAT64 (RFC 6052), or 6to4 (RFC 3056).
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else {
        return address.to_canonical();
    };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => IpAddr::V6(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: [&str; 18] = [
        "0.0.0.0",
        "0.1.2.3",
        "100.100.100.200",
        "169.254.169.254",
        "192.0.0.192",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "64:ff9b::0.0.0.0",
    ];
    const LOOPBACK: [&str; 4] = ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"];
    const ORDINARY: [&str; 8] = [
        "1.1.1.1",
        "10.0.0.1",
        "100.64.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "2606:4700::1111",
        "fd00::1",
        "::ffff:10.0.0.1",
    ];

    fn allowed(addresses: &Addresses, all: &[&str]) -> Vec<bool> {
        all.iter()
            .map(|address| addresses.allow(address.parse().unwrap()))
            .collect()
    }

    #[test]
    fn special_addresses_are_not_connected_to() {
        for loopback in [false, true] {
            let addresses = Addresses::new(vec![], loopback);
            assert_eq!(allowed(&addresses, &SPECIAL), [false; SPECIAL.len()]);
            assert_eq!(allowed(&addresses, &LOOPBACK), [loopback; LOOPBACK.len()]);
            assert_eq!(allowed(&addresses, &ORDINARY), [true; ORDINARY.len()]);
        }
    }

    #[test]
    fn what_is_said_to_be_allowed_is() {
        let nets = ["169.254.0.0/16", "::1/128"].map(|net| net.parse().unwrap());
        let addresses = Addresses::new(nets.into(), false);
        let wanted = [
            ("169.254.169.254", true),
            ("::ffff:169.254.169.254", true),
            ("::1", true),
            ("127.0.0.1", false),
            ("fe80::1", false),
        ];
        for (address, want) in wanted {
            assert_eq!(addresses.allow(address.parse().unwrap()), want, "{address}");
        }
    }
}
