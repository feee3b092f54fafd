//! Signatures of RSASSA-PSS (RFC 8017, 8.1.2), with salts as long as the hash (RFC 7518, 3.5).

use super::rsa::PublicKey;
use crate::config::policy::Algorithm;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Whether `signature` is of `text`. `PS` only.
pub(super) fn verifies(algorithm: Algorithm, key: &PublicKey, text: &[u8], signature: &[u8]) -> bool {
    let is_encoded = |encoded: Vec<u8>| is_encoded(algorithm, &encoded, key.bits() - 1, text);
    key.open(signature).and_then(is_encoded).is_some()
}

/// RFC 8017, 9.1.2: whether `encoded` is what `text` is encoded to in `bits` bits.
fn is_encoded(algorithm: Algorithm, encoded: &[u8], bits: usize, text: &[u8]) -> Option<()> {
    let hash = |parts: &[&[u8]]| hash(algorithm, parts);
    let text_hash = hash(&[text]);
    let len = bits.div_ceil(8);
    let (beyond, encoded) = encoded.split_at_checked(encoded.len().checked_sub(len)?)?;
    let (&0xbc, encoded) = encoded.split_last()? else {
        return None;
    };
    let (masked, digest) = encoded.split_at_checked(encoded.len().checked_sub(text_hash.len())?)?;

    let mut plain: Vec<_> = masked
        .iter()
        .zip(mask(hash, digest))
        .map(|(a, b)| a ^ b)
        .collect();
    // The highest bits are not of the encoding: they are 0, whatever the mask has there.
    let unused = !(u8::MAX >> (len * 8 - bits));
    *plain.first_mut()? &= !unused;
    let (padding, salt) = plain.split_at_checked(plain.len().checked_sub(text_hash.len())?)?;
    let (&1, zeros) = padding.split_last()? else {
        return None;
    };
    let is_sound = beyond.iter().chain(zeros).all(|byte| *byte == 0)
        && masked.first()? & unused == 0
        && hash(&[&[0; 8], &text_hash, salt]) == digest;
    is_sound.then_some(())
}

/// RFC 8017, B.2.1: MGF1, without end.
fn mask(hash: impl Fn(&[&[u8]]) -> Vec<u8>, seed: &[u8]) -> impl Iterator<Item = u8> {
    (0_u32..).flat_map(move |counter| hash(&[seed, &counter.to_be_bytes()]))
}

fn hash(algorithm: Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    match algorithm {
        Algorithm::PS384 => digest::<Sha384>(parts),
        Algorithm::PS512 => digest::<Sha512>(parts),
        _ => digest::<Sha256>(parts),
    }
}

fn digest<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let hasher = parts
        .iter()
        .fold(D::new(), |hasher, part| hasher.chain_update(part));
    hasher.finalize().to_vec()
}
