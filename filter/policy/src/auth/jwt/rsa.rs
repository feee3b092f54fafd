//! RSA's public operation (RFC 8017, 5.2.2): of a signature, what was signed.
//!
//! There is nothing secret in it, and it has to be small and quick: the crates that have it would add from fifty to seventy
//! kilobytes to the filter, and take twice as long. Numbers are in digits of 32 bits, the lowest first.

use std::{cell::OnceCell, cmp::Ordering};

/// Of those that are in use 65537 is by far the largest.
const MAX_EXPONENT_BITS: u32 = 33;

/// A modulus and an exponent.
pub(super) struct PublicKey {
    modulus: Vec<u32>,
    /// What times the modulus is -1, modulo 2^32.
    inverse: u32,
    /// R^2 modulo the modulus, where R is 2^32 to the number of digits: what puts a number in Montgomery's form. Made when
    /// it is first needed.
    square: OnceCell<Vec<u32>>,
    exponent: u64,
}

// === impl PublicKey ===

impl PublicKey {
    /// Of numbers with the highest byte first. None where it can be no key of RSA.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let modulus = from_bytes(modulus);
        let exponent = from_bytes(exponent)
            .iter()
            .rev()
            .try_fold(0_u64, |value, digit| {
                (value >> u32::BITS == 0).then_some(value << u32::BITS | u64::from(*digit))
            })?;
        let lowest = *modulus.first()?;
        let is_sound = !lowest.is_multiple_of(2)
            && !exponent.is_multiple_of(2)
            && exponent > 1
            && exponent >> MAX_EXPONENT_BITS == 0
            && modulus.last()? != &0;
        is_sound.then(|| Self {
            inverse: negated_inverse(lowest),
            square: OnceCell::new(),
            modulus,
            exponent,
        })
    }

    pub(super) fn bits(&self) -> usize {
        let highest = self.modulus.last().map_or(0, |digit| digit.leading_zeros());
        self.modulus.len() * 32 - usize::try_from(highest).unwrap_or_default()
    }

    /// What `signature` is of, as long as the modulus. None where the signature is longer or shorter than that, or not a
    /// smaller number.
    pub(super) fn open(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let len = self.bits().div_ceil(8);
        let base = from_bytes(signature);
        if signature.len() != len || compare(&base, &self.modulus) != Ordering::Less {
            return None;
        }
        let base = self.product(&base, self.square.get_or_init(|| self.r_squared()));
        let mut power = base.clone();
        for bit in (0..self.exponent.ilog2()).rev() {
            power = self.product(&power, &power);
            if self.exponent >> bit & 1 == 1 {
                power = self.product(&power, &base);
            }
        }
        let plain = self.product(&power, &[1]);
        let mut bytes: Vec<u8> = plain.iter().flat_map(|digit| digit.to_le_bytes()).collect();
        bytes.truncate(len);
        bytes.reverse();
        Some(bytes)
    }

    /// R is doubled so often that a few squares do the rest: in Montgomery's form, 2^k squared n times is 2^(k * 2^n).
    fn r_squared(&self) -> Vec<u32> {
        let bits = self.modulus.len() * 32;
        let squares = bits.trailing_zeros();
        let mut number = vec![0; self.modulus.len()];
        if let Some(highest) = number.last_mut() {
            *highest = 1 << (31 - self.modulus.last().map_or(0, |digit| digit.leading_zeros()));
        }
        // From there, which is less than the modulus, it is so far to R, and then to 2^k of R.
        for _ in self.bits() - 1..bits + (bits >> squares) {
            self.double(&mut number);
        }
        for _ in 0..squares {
            number = self.product(&number, &number);
        }
        number
    }

    /// Montgomery's product: a * b / R, modulo the modulus. `a` and `b` are less than that, and `a` has as many digits.
    fn product(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        let len = self.modulus.len();
        let mut sum = vec![0; len + 2];
        for digit in a {
            add_multiple(&mut sum, b, *digit);
            let lowest = sum.first().copied().unwrap_or_default();
            add_multiple(&mut sum, &self.modulus, lowest.wrapping_mul(self.inverse));
            // The lowest digit is 0 by now: divide by 2^32.
            sum.rotate_left(1);
        }
        self.reduce(&mut sum);
        sum.truncate(len);
        sum
    }

    /// Twice the number, modulo the modulus.
    fn double(&self, number: &mut Vec<u32>) {
        let mut carry = 0;
        for digit in number.iter_mut() {
            (*digit, carry) = (*digit << 1 | carry, *digit >> 31);
        }
        number.push(carry);
        self.reduce(number);
        number.truncate(self.modulus.len());
    }

    /// A number less than twice the modulus, modulo the modulus.
    fn reduce(&self, number: &mut [u32]) {
        if compare(number, &self.modulus) == Ordering::Less {
            return;
        }
        let mut borrow = false;
        for (digit, other) in number.iter_mut().zip(self.modulus.iter().chain(&[0, 0])) {
            let (less, first) = digit.overflowing_sub(*other);
            let (less, second) = less.overflowing_sub(borrow.into());
            (*digit, borrow) = (less, first || second);
        }
    }
}

/// The highest byte first.
fn from_bytes(bytes: &[u8]) -> Vec<u32> {
    let digits = bytes.rchunks(4);
    let digit = |chunk: &[u8]| chunk.iter().fold(0, |digit, byte| digit << 8 | u32::from(*byte));
    digits.map(digit).collect()
}

/// Of numbers that may have zeros as their highest digits.
fn compare(a: &[u32], b: &[u32]) -> Ordering {
    let digit = |number: &[u32], at| number.get(at).copied().unwrap_or(0);
    let places = (0..a.len().max(b.len())).rev();
    let order = places.map(|at| digit(a, at).cmp(&digit(b, at)));
    order
        .into_iter()
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Adds `factor` times the number, which has fewer digits.
fn add_multiple(sum: &mut [u32], number: &[u32], factor: u32) {
    let Some((places, rest)) = sum.split_at_mut_checked(number.len()) else {
        return;
    };
    let mut carry = 0;
    for (place, digit) in places.iter_mut().zip(number) {
        (*place, carry) = split(u64::from(*digit) * u64::from(factor) + u64::from(*place) + u64::from(carry));
    }
    for place in rest {
        (*place, carry) = split(u64::from(*place) + u64::from(carry));
    }
}

/// The lower digit, and the higher one.
fn split(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// By Newton's method: each step doubles the bits that are right, of which an odd number has three to begin with.
fn negated_inverse(odd: u32) -> u32 {
    let step = |inverse: u32, _| inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)));
    (0..4).fold(odd, step).wrapping_neg()
}
