//! A hash for tables and names that cross versions.

use std::hash::{Hash, Hasher};

struct Fnv(u64);

/// A hash that no release changes: FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), its bits then mixed as
/// MurmurHash3 does, since the low ones pick the bucket.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut fnv = Fnv::new();
    fnv.write(bytes);
    fnv.finish()
}

/// The same of a value. It may change with the compiler, and with what the value is made of.
pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    let mut fnv = Fnv::new();
    value.hash(&mut fnv);
    fnv.finish()
}

// === impl Fnv ===

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        mixed ^ (mixed >> 33)
    }
}
