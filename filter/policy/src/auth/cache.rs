//! A worker's cache of verified credentials.

use super::{
    digest::{Digest, Tag, TagKey},
    generational_cache::GenerationalCache,
    identity::Pass,
    passwords::Passwords,
};
use sha2::{Digest as _, Sha256};
use std::{cell::RefCell, rc::Rc};

/// The most bytes of cached tokens, in each of the two generations of the cache.
const MAX_TOKENS: usize = 1024 * 1024;

/// Results about credentials, so that the same ones need not be verified again. It is bounded, and holds only digests
/// of them. One for each worker.
pub struct AuthCache {
    pub(super) passwords: Rc<Passwords>,
    /// Verified tokens, with the results of their checks.
    pub(super) tokens: RefCell<GenerationalCache<Tag, Rc<Pass>>>,
    /// The key for the tags of tokens.
    pub(super) tag_key: TagKey,
}

// === impl AuthCache ===

impl AuthCache {
    /// Creates a cache. `entropy` must be hard to guess from outside: digests are keyed with it.
    #[must_use]
    pub fn new(entropy: &[u8]) -> Self {
        let key: Digest = Sha256::digest(entropy).into();
        Self {
            passwords: Rc::new(Passwords::new(key)),
            tokens: RefCell::new(GenerationalCache::new(MAX_TOKENS)),
            tag_key: TagKey::new(&key),
        }
    }

    /// Verifies the passwords that requests wait for, in the order of the queue, until `until` returns true, which is
    /// called several times in each millisecond. Returns true if any [`Work`](super::Work) has finished since the last
    /// call.
    #[must_use]
    pub fn verify(&self, until: impl FnMut() -> bool) -> bool {
        self.passwords.verify(until)
    }
}
