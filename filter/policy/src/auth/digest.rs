//! Digests that stand for secrets in a worker's memory.

use sha2::{Digest as _, Sha256};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::{Hash, Hasher};

pub(super) type Digest = [u8; 32];
pub(super) type Tag = [u8; 16];

/// The key of tags. It is drawn by the worker and never leaves it.
#[derive(Clone, Copy)]
pub(super) struct TagKey([u8; 16]);

/// A `Hasher` on SHA-256 for values of Rust's `Hash`, which delimits the parts, so that no two values read alike.
struct Sponge(Sha256);

/// The SHA-256 of a value, keyed. Digests do not leave the worker.
pub(super) fn digest(key: &Digest, value: &impl Hash) -> Digest {
    let mut sponge = Sponge(Sha256::new_with_prefix(key));
    value.hash(&mut sponge);
    sponge.0.finalize().into()
}

// === impl TagKey ===

impl TagKey {
    pub(super) fn new(key: &Digest) -> Self {
        let digest = digest(key, &"tags");
        Self(digest.first_chunk().map_or([0; 16], |first| *first))
    }

    /// SipHash-2-4 of 128 bits, for texts that are too long for SHA-256 on each request. Without the key nobody can
    /// find two texts with the same tag.
    pub(super) fn tag(self, of: &Digest, text: &str) -> Tag {
        let Self(key) = self;
        let mut hasher = SipHasher24::new_with_key(&key);
        hasher.write(of);
        hasher.write(text.as_bytes());
        hasher.finish128().as_bytes()
    }
}

// === impl Sponge ===

impl Hasher for Sponge {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Unused: 64 bits would be too few.
    fn finish(&self) -> u64 {
        0
    }
}
