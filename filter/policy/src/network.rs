//! Networks that clients are counted by: a client has many addresses of IPv6.

use crate::config::policy::PrefixLengths;
use ipnet::IpNet;
use std::net::IpAddr;

/// The network that stands for a client by default.
pub(crate) fn of_client(address: IpAddr) -> IpAddr {
    PrefixLengths::default().network(address)
}

// === impl PrefixLengths ===

impl PrefixLengths {
    /// The first address of the network that an address is in. An IPv4-mapped IPv6 address counts as IPv4 (RFC 4291,
    /// 2.5.5.2).
    #[must_use]
    pub fn network(self, address: IpAddr) -> IpAddr {
        self.cidr(address).network()
    }

    /// The network as text: an address if the network is a single one, else CIDR notation.
    #[must_use]
    pub fn network_text(self, address: IpAddr) -> String {
        let network = self.cidr(address).trunc();
        if network.prefix_len() == network.max_prefix_len() {
            network.addr().to_string()
        } else {
            network.to_string()
        }
    }

    /// The network in CIDR form; a prefix length beyond the address means all of it.
    fn cidr(self, address: IpAddr) -> IpNet {
        let address = address.to_canonical();
        let len = if address.is_ipv4() { self.ipv4 } else { self.ipv6 };
        IpNet::new(address, len).unwrap_or_else(|_| address.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn addresses_are_grouped_by_network() {
        for (ipv4, ipv6, address, want) in [
            (32, 64, "192.0.2.7", "192.0.2.7"),
            (32, 64, "::ffff:192.0.2.7", "192.0.2.7"),
            (32, 64, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            (32, 64, "2001:db8:1:2::", "2001:db8:1:2::/64"),
            (32, 64, "::1", "::/64"),
            (24, 56, "192.0.2.7", "192.0.2.0/24"),
            (24, 56, "2001:db8:1:2ff::1", "2001:db8:1:200::/56"),
            (32, 128, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
            (1, 1, "192.0.2.7", "128.0.0.0/1"),
            (1, 1, "2001:db8::", "::/1"),
            (1, 1, "ffff::", "8000::/1"),
        ] {
            let lengths = PrefixLengths { ipv4, ipv6 };
            assert_eq!(lengths.network_text(address.parse().unwrap()), want, "{address}");
        }
    }
}
