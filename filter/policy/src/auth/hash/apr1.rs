//! Apache's variant of the MD5-based crypt of FreeBSD, in slices.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

const ROUNDS: u32 = 1000;
/// The rounds between two looks at the clock: some ten microseconds.
const ROUNDS_AT_ONCE: u32 = 16;
const MAX_SALT: usize = 8;
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[derive(Clone, PartialEq, Eq, Hash)]
pub(in super::super) struct Apr1Hash {
    salt: Vec<u8>,
    /// The encoded digest, 22 digits.
    digest: [u8; 22],
}

/// A password that is being hashed.
pub(in super::super) struct Apr1 {
    password: Vec<u8>,
    salt: Vec<u8>,
    rounds_done: u32,
    /// The digest of the round before.
    last: [u8; 16],
    digest: [u8; 22],
}

// === impl Apr1Hash ===

impl Apr1Hash {
    /// Parses the part after `$apr1$`: the salt, `$`, and 22 digits.
    pub(super) fn parse(rest: &str) -> Option<Self> {
        let (salt, digest) = rest.split_once('$')?;
        let digest = *digest.as_bytes().as_array()?;
        let is_whole = salt.len() <= MAX_SALT && digest.iter().all(|digit| DIGITS.contains(digit));
        is_whole.then(|| Self {
            salt: salt.as_bytes().to_vec(),
            digest,
        })
    }
}

// === impl Apr1 ===

impl Apr1 {
    pub(super) fn new(hash: &Apr1Hash, password: &[u8]) -> Self {
        let Apr1Hash { salt, digest } = hash;
        Self {
            password: password.to_vec(),
            salt: salt.clone(),
            rounds_done: 0,
            last: first(password, salt),
            digest: *digest,
        }
    }

    pub(super) fn step(&mut self, mut until: impl FnMut() -> bool) -> Option<bool> {
        while self.rounds_done < ROUNDS {
            self.last = self.round();
            self.rounds_done += 1;
            if self.rounds_done.is_multiple_of(ROUNDS_AT_ONCE) && until() {
                break;
            }
        }
        (self.rounds_done == ROUNDS).then(|| written(self.last).ct_eq(&self.digest).into())
    }

    fn round(&self) -> [u8; 16] {
        let Self {
            password, salt, last, ..
        } = self;
        let is_odd = !self.rounds_done.is_multiple_of(2);
        let mut md5 = Md5::new();
        md5.update(if is_odd { password.as_slice() } else { last });
        if !self.rounds_done.is_multiple_of(3) {
            md5.update(salt);
        }
        if !self.rounds_done.is_multiple_of(7) {
            md5.update(password);
        }
        md5.update(if is_odd { last.as_slice() } else { password });
        md5.finalize().into()
    }
}

/// The digest that the rounds start from.
fn first(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let mut inner = Md5::new_with_prefix(password);
    inner.update(salt);
    inner.update(password);
    let inner = inner.finalize();

    let mut md5 = Md5::new_with_prefix(password);
    md5.update(b"$apr1$");
    md5.update(salt);
    // The inner digest, repeated to the length of the password.
    let stretched: Vec<u8> = inner.iter().copied().cycle().take(password.len()).collect();
    md5.update(&stretched);
    let mut bits = password.len();
    while bits > 0 {
        let first = password.get(..1).unwrap_or_default();
        md5.update(if bits.is_multiple_of(2) { first } else { &[0] });
        bits /= 2;
    }
    md5.finalize().into()
}

/// Encodes a digest in the digits and the order of bytes of this scheme.
fn written(digest: [u8; 16]) -> [u8; 22] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = digest;
    let groups = [[a, g, m], [b, h, n], [c, i, o], [d, j, p], [e, k, f]];
    let group = |[high, middle, low]: [u8; 3]| digits(u32::from_be_bytes([0, high, middle, low]));
    let whole = groups.into_iter().flat_map(group);
    let mut written = [0; 22];
    for (place, digit) in written.iter_mut().zip(whole.chain(digits(l.into()))) {
        *place = digit;
    }
    written
}

/// Encodes 24 bits as four digits, the lowest first.
fn digits(value: u32) -> [u8; 4] {
    [0, 6, 12, 18].map(|shift| {
        let at = usize::try_from(value >> shift & 63).unwrap_or_default();
        DIGITS.get(at).copied().unwrap_or_default()
    })
}
