//! What stands for something secret in a worker's memory.

use sha2::{Digest as _, Sha256};
use std::hash::{Hash, Hasher};

pub(super) type Digest = [u8; 32];

/// Hashes what Rust can hash, which tells each part from the next, so that no two values read alike.
struct Sponge(Sha256);

/// SHA-256 of a value, by a key that no digest leaves the worker with.
pub(super) fn digest(key: &Digest, value: &impl Hash) -> Digest {
    let mut sponge = Sponge(Sha256::new_with_prefix(key));
    value.hash(&mut sponge);
    sponge.0.finalize().into()
}

// === impl Sponge ===

impl Hasher for Sponge {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks: 64 bits would be too few.
    fn finish(&self) -> u64 {
        0
    }
}
