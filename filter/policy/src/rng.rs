//! Random numbers for shares and weights, not for secrets.

use crate::switch::BranchChoice;

/// A source of chance, which also observes the branches chosen. The filter uses random numbers, and ignores the
/// choices; a tool that explains a decision sets the outcome itself.
pub trait Chance {
    /// Returns a number below `bound`; 0 if `bound` is 0.
    fn below(&mut self, bound: u64) -> u64;

    /// Returns true if the request is in the share, in percent, that goes to that branch.
    fn is_of_share(&mut self, _branch: &str, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }

    /// Reports the branch that the switch of that key has chosen.
    fn chose(&mut self, _key: &str, _branch: &str, _choice: BranchChoice) {}
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>. The host seeds it: the target has no randomness of its own.
#[derive(Clone, Debug)]
pub struct Rng(u64);

// === impl Rng ===

impl Rng {
    /// Creates a generator; other seeds give other numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Chance for Rng {
    fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.draw()) * u128::from(bound);
        // The upper half: the bias is below bound / 2^64.
        u64::try_from(product >> 64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn draws_are_below_the_bound_and_uniform() {
        let mut rng = Rng::new(7);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            let at = usize::try_from(rng.below(10)).unwrap();
            *seen.get_mut(at).unwrap() += 1;
        }
        assert!(seen.iter().all(|n| (900..1100).contains(n)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
    }
}
