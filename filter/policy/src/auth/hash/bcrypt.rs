//! bcrypt (Provos and Mazières, "A Future-Adaptable Password Scheme", 1999), in slices.

use super::error::{HashError, MAX_COST};
use base64ct::{Base64Bcrypt, Encoding};
use blowfish::Blowfish;
use subtle::ConstantTimeEq;

const MIN_COST: u32 = 4;
/// The text that is encrypted in the end, 64 times over.
const TEXT: &[u8; 24] = b"OrpheanBeholderScryDoubt";
/// The most bytes of a password. The hash does not depend on the rest, so a longer password is rejected: it would pass
/// by its beginning.
const MAX_PASSWORD: usize = 72;

#[derive(Clone, PartialEq, Eq, Hash)]
pub(in super::super) struct BcryptHash {
    cost: u32,
    salt: [u8; 16],
    /// The digest without its last byte, which no implementation keeps.
    digest: [u8; 23],
}

/// A password that is being hashed.
pub(in super::super) struct Bcrypt {
    /// `None` until the work begins. To begin takes as long as a round, and a request with a password may be one of
    /// many at once.
    state: Option<Blowfish>,
    password: Vec<u8>,
    /// True if the password is wrong for its length. It takes as long as any other.
    is_too_long: bool,
    salt: [u8; 16],
    rounds_left: u32,
    digest: [u8; 23],
}

// === impl BcryptHash ===

impl BcryptHash {
    /// Parses the part after `$2`: `y$05$`, and 53 characters. `2a`, `2b` and `2y` are the same in implementations
    /// without the bugs of the first ones; `2x` is the result of such a bug.
    pub(super) fn parse(rest: &str) -> Result<Self, HashError> {
        let is_sound = |variant: &&str| ["a", "b", "y"].contains(variant);
        let (_, rest) = rest
            .split_once('$')
            .filter(|(variant, _)| is_sound(variant))
            .ok_or(HashError::Unknown)?;
        let malformed = || HashError::Malformed("bcrypt");
        let (cost, encoded) = rest.split_once('$').ok_or_else(malformed)?;
        let cost = parse_cost(cost).ok_or_else(malformed)?;
        if !(MIN_COST..=MAX_COST).contains(&cost) {
            return Err(HashError::Cost(cost));
        }
        let (salt, digest) = encoded.split_at_checked(22).ok_or_else(malformed)?;
        Ok(Self {
            cost,
            salt: decode(salt).ok_or_else(malformed)?,
            digest: decode(digest).ok_or_else(malformed)?,
        })
    }
}

// === impl Bcrypt ===

impl Bcrypt {
    pub(super) fn new(hash: &BcryptHash, password: &[u8]) -> Self {
        let BcryptHash { cost, salt, digest } = hash;
        let is_too_long = password.len() > MAX_PASSWORD;
        let mut password = password.to_vec();
        password.push(0);
        password.truncate(MAX_PASSWORD);
        Self {
            state: None,
            password,
            is_too_long,
            salt: *salt,
            rounds_left: 1 << cost,
            digest: *digest,
        }
    }

    pub(super) fn step(&mut self, mut until: impl FnMut() -> bool) -> Option<bool> {
        let Self {
            state,
            password,
            is_too_long,
            salt,
            rounds_left,
            digest,
        } = self;
        let state = state.get_or_insert_with(|| begin(salt, password));
        while *rounds_left > 0 {
            state.bc_expand_key(password);
            state.bc_expand_key(salt);
            *rounds_left -= 1;
            if until() {
                break;
            }
        }
        let is_right = || bool::from(encrypted(state).ct_eq(digest)) & !*is_too_long;
        (*rounds_left == 0).then(is_right)
    }
}

fn begin(salt: &[u8], password: &[u8]) -> Blowfish {
    let mut state = Blowfish::bc_init_state();
    state.salted_expand_key(salt, password);
    state
}

/// Encrypts the text, cut to the length of a digest.
fn encrypted(state: &Blowfish) -> [u8; 23] {
    let (blocks, _) = TEXT.as_chunks();
    let bytes = blocks.iter().flat_map(|block| encrypt(state, *block));
    let mut digest = [0; 23];
    digest.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
    digest
}

fn encrypt(state: &Blowfish, block: [u8; 8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h] = block;
    let start = [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])];
    let [left, right] = (0..64).fold(start, |halves, _| state.bc_encrypt(halves));
    (u64::from(left) << 32 | u64::from(right)).to_be_bytes()
}

/// Parses a cost of two digits.
fn parse_cost(text: &str) -> Option<u32> {
    let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let len = Base64Bcrypt::decode(text, &mut bytes).ok()?.len();
    (len == N).then_some(bytes)
}
