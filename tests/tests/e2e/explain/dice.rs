//! Reproducible randomness from a seed.

use switchyard_policy::rng::{Chance, Rng};

pub(super) struct Dice(Rng);

// === impl Dice ===

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.0.below(bound)).unwrap_or_default()
    }

    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A random element of a non-empty slice.
    pub(super) fn pick<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }

    /// The same for strings.
    pub(super) fn pick_of<'t>(&mut self, some: &'t [String]) -> &'t str {
        &some[self.below(some.len())]
    }
}
