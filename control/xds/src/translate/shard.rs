//! The parts that the filter's configuration is cut in.
//!
//! Envoy takes a filter's configuration whole: each worker copies and hashes all of it at each update. So there are
//! several filters, each with the sections of some hosts, and a change of a switch is an update of one. The sections of a
//! host are all in one of them: what a request goes through is of one state.

use std::fmt;
use switchyard_policy::packed;

/// How many there are, a power of two. An update costs this much less, and a request passes by so many filters that
/// are off.
const COUNT: u32 = 16;

/// One of the filters; its name as an HTTP filter, and that of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shard(u32);

// === impl Shard ===

impl Shard {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..COUNT).map(Self)
    }

    /// That of a host's sections.
    pub(crate) fn of_host(fqdn: &str) -> Self {
        Self(packed::bucket_of(fqdn, COUNT))
    }

    /// That of a section, by its key: all start with their host, once what tells them apart is left out
    /// ([`switchyard_core::table::SwitchKey`], [`switchyard_core::table::PolicyKey`]).
    pub(crate) fn of_section(key: &str) -> Self {
        let name = packed::SectionKey::parse(key).name();
        let name = name.strip_prefix("http://").unwrap_or(name);
        let fqdn = name.split(['/', ' ']).next();
        Self::of_host(fqdn.unwrap_or_default())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "switchyard-{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sections_of_a_host_are_in_one() {
        for fqdn in ["bar.com", "a.b.c.example.org", "x"] {
            for key in [
                format!("{fqdn}/"),
                format!("{fqdn}/shop/cart"),
                format!("http://{fqdn}/shop"),
                format!("{fqdn} team/name/match"),
                format!("http://{fqdn} team/name/http://"),
                packed::route_key(&format!("{fqdn}/shop")),
                packed::route_key(&format!("http://{fqdn}/shop")),
                packed::policy_key(&format!("{fqdn} team/name virtualhost")),
                packed::policy_key(&format!("{fqdn} team/name/shop")),
            ] {
                assert_eq!(Shard::of_section(&key), Shard::of_host(fqdn), "{key}");
            }
        }
    }

    #[test]
    fn hosts_are_in_all_of_them() {
        let used: std::collections::BTreeSet<_> = (0..1000)
            .map(|number| Shard::of_host(&format!("h{number}.bar.com")))
            .collect();
        assert!(used.into_iter().eq(Shard::all()));
    }
}
