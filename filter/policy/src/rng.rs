//! Chance, for shares and weights; nothing secret is made of it.

use crate::decide::Choice;

/// What is left to chance, and told what came of it: in the filter numbers that nobody can foresee, and nobody listens.
/// Who explains a decision says himself how it is to turn out.
pub trait Chance {
    /// Any number below `bound`; 0 where that is 0.
    fn below(&mut self, bound: u64) -> u64;

    /// Whether the request is one of so many of a hundred that go to that branch.
    fn is_of_share(&mut self, _branch: &str, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }

    /// The switch of that key has sent the request to a branch.
    fn chose(&mut self, _key: &str, _branch: &str, _choice: Choice) {}
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>. The host seeds it: the target has no randomness of its own.
#[derive(Clone, Debug)]
pub struct Rng(u64);

// === impl Rng ===

impl Rng {
    /// Other seeds, other numbers.
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
    fn draws_are_below_the_bound_and_even() {
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
