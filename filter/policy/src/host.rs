//! The environment of policies: Envoy in the filter, a substitute elsewhere.

use crate::config::policy::Algorithm;
use std::{net::IpAddr, time::Duration};

/// The proxy.
pub trait Host {
    /// The time since 1970.
    fn now(&self) -> Duration;

    /// The address of the client, as the proxy trusts it; `None` if it has none, or none that can be read.
    fn client_ip(&self) -> Option<IpAddr>;

    /// A value that all workers share.
    fn shared(&self, key: &str) -> Option<SharedValue>;

    /// Unpredictable random bits.
    fn random(&self) -> u64;

    /// Replaces a shared value if it still has `version`, and returns true if it did. `None` replaces any version, and
    /// an absent value is set with any version. A value is never deleted, and an empty one reads as absent.
    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool;

    /// Returns true if `signature` is a valid signature of `text` by the key `spki` (`SubjectPublicKeyInfo`). An ECDSA
    /// signature is in ASN.1. Supports `RS` and `ES` algorithms only.
    fn verifies(&self, algorithm: Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool;
}

/// A value that all workers share, and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedValue {
    pub value: Vec<u8>,
    pub version: u32,
}

#[cfg(test)]
pub(crate) mod fake;
