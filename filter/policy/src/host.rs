//! What enforcing policies asks of its surroundings: in the filter that is Envoy, elsewhere whatever stands for it.

use crate::config::policy::Algorithm;
use std::{net::IpAddr, time::Duration};

/// The proxy.
pub trait Host {
    /// The time since 1970.
    fn now(&self) -> Duration;

    /// The address of the client, as the proxy trusts it. None: it has none, or none that can be read.
    fn client_ip(&self) -> Option<IpAddr>;

    /// A value that all workers share.
    fn shared(&self, key: &str) -> Option<Shared>;

    /// Bits that nobody can foresee.
    fn random(&self) -> u64;

    /// Replaces a shared value, unless somebody else has since the one of this version was read. Answers whether it did.
    /// No version: whatever is there. Where nothing is there, with any version. A value is never deleted, and an empty
    /// one reads as none.
    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool;

    /// Whether `signature` is of `text`, by the key `spki` (`SubjectPublicKeyInfo`). An ECDSA signature is in ASN.1.
    /// `RS` and `ES` only.
    fn verifies(&self, algorithm: Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool;
}

/// A value that all workers share, and which one it is of those that were there one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    pub value: Vec<u8>,
    pub version: u32,
}

#[cfg(test)]
pub(crate) mod fake;
