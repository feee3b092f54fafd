//! Checks of client addresses.

use super::{
    check::{AuthRequest, CheckOutcome},
    error::RequirementError,
    failure::{AuthFailure, FailureReason},
    identity::Pass,
};
use crate::config::policy;
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;

/// The number of bits before the address in an IPv4-mapped IPv6 address.
const MAPPED_LEN: u8 = 96;

/// Allowed and denied networks, of which the denied ones take precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IpFilter {
    /// Allowed networks; if empty, all that are not denied.
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

// === impl IpFilter ===

impl IpFilter {
    /// Checks the client's address. A client without an address fails: it is in no allowed network, and could be in a
    /// denied one.
    pub(super) fn check(&self, request: AuthRequest<'_>) -> CheckOutcome {
        let is_allowed = request
            .host
            .client_ip()
            .is_some_and(|address| self.allows(address));
        if is_allowed {
            CheckOutcome::Pass(Pass::default())
        } else {
            CheckOutcome::Fail(AuthFailure::forbidden(FailureReason::Address))
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        let Self { allow, deny } = self;
        let address = address.to_canonical();
        let is_in = |ranges: &[IpNet]| ranges.iter().any(|range| range.contains(&address));
        !is_in(deny) && (allow.is_empty() || is_in(allow))
    }
}

impl TryFrom<policy::Ip> for IpFilter {
    type Error = RequirementError;

    fn try_from(ip: policy::Ip) -> Result<Self, RequirementError> {
        let policy::Ip { allow, deny } = ip;
        if allow.is_empty() && deny.is_empty() {
            return Err(RequirementError::NoRange);
        }
        Ok(Self {
            allow: ranges("allow", allow)?,
            deny: ranges("deny", deny)?,
        })
    }
}

fn ranges(list: &'static str, texts: Vec<String>) -> Result<Vec<IpNet>, RequirementError> {
    let range = |(at, text): (usize, String)| parse(&text).ok_or(RequirementError::Cidr { list, at, text });
    texts.into_iter().enumerate().map(range).collect()
}

/// Parses a range; an address alone is a range of one. An IPv4-mapped IPv6 range is one of IPv4 (RFC 4291, 2.5.5.2); no
/// other IPv6 range includes IPv4.
fn parse(text: &str) -> Option<IpNet> {
    let range: IpNet = match text.split_once('/') {
        Some((address, len)) => IpNet::new(address.parse().ok()?, parse_len(len)?).ok()?,
        None => text.parse::<IpAddr>().ok()?.into(),
    };
    let IpNet::V6(ipv6) = range else {
        return Some(range);
    };
    let mapped_len = ipv6.prefix_len().checked_sub(MAPPED_LEN);
    match (ipv6.addr().to_ipv4_mapped(), mapped_len) {
        (Some(address), Some(len)) => Some(Ipv4Net::new(address, len).ok()?.into()),
        _ => Some(range),
    }
}

/// Parses digits alone: the standard library also accepts a sign.
fn parse_len(text: &str) -> Option<u8> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests;
