//! A digest of a cluster's settings that is the same in every run, on every platform and replica.

use std::hash::{Hash, Hasher};

/// FNV-1a, 64 bits. Every write is of little-endian bytes, of one width on all platforms.
struct Fnv1a(u64);

/// Ten hexadecimal digits of what `settings` hashes to. 40 bits tell the few settings of one Service's port apart.
pub(crate) fn digest(settings: &impl Hash) -> String {
    let mut hasher = Fnv1a(0xcbf2_9ce4_8422_2325);
    settings.hash(&mut hasher);
    format!("{:010x}", mix(hasher.finish()) >> 24)
}

/// Spreads every bit over the whole word (the finaliser of SplitMix64): the upper bits of FNV alone are weak.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

// === impl Fnv1a ===

impl Hasher for Fnv1a {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn write_u16(&mut self, value: u16) {
        self.write(&value.to_le_bytes());
    }

    fn write_u32(&mut self, value: u32) {
        self.write(&value.to_le_bytes());
    }

    fn write_u64(&mut self, value: u64) {
        self.write(&value.to_le_bytes());
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write(&(value as i64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that changed with a release would drain every connection at the upgrade.
    #[test]
    fn stays_what_it_was() {
        assert_eq!(digest(&("settings", 1u16, Some(2u32), [3usize])), "1df67b04c2");
    }

    #[test]
    fn tells_apart() {
        assert_ne!(digest(&1u32), digest(&2u32));
        assert_ne!(digest(&("a", "bc")), digest(&("ab", "c")));
    }
}
