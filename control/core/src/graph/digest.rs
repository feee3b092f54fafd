//! Digests that are the same in every run, on every platform and replica.

use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The first 128 bits, in hexadecimal, of the SHA-256 of a cluster's settings as JSON. Whoever writes an IngressRoute cannot find
/// other settings with the same name, which would get what the first asked for, such as its CA.
pub(crate) fn digest(settings: &impl Serialize) -> String {
    let encoded = serde_json::to_vec(settings);
    debug_assert!(encoded.is_ok(), "not JSON: {encoded:?}");
    let mut digest = sha256(&encoded.unwrap_or_default());
    digest.truncate(32);
    digest
}

/// The SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256(text: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        // A String takes whatever it is given.
        let _written = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that changed with a release would drain every connection at the upgrade.
    #[test]
    fn stays_what_it_was() {
        assert_eq!(
            digest(&("settings", 1u16, Some(2u32), [3usize])),
            "c3be648517c159c546e8e88421b639eb"
        );
    }

    #[test]
    fn tells_apart() {
        assert_ne!(digest(&1u32), digest(&2u32));
        assert_ne!(digest(&("a", "bc")), digest(&("ab", "c")));
    }
}
