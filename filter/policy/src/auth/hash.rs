//! Hashes of passwords, as `htpasswd` makes them.

mod apr1;
mod bcrypt;
pub(super) mod error;

use apr1::Apr1;
use base64ct::{Base64, Encoding};
use bcrypt::Bcrypt;
use error::HashError;
use sha1::{Digest, Sha1};
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// A password hash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum PasswordHash {
    Bcrypt(bcrypt::BcryptHash),
    Apr1(apr1::Apr1Hash),
    Sha([u8; 20]),
}

/// The work of verifying a password against a hash.
pub(super) enum HashTask {
    Bcrypt(Box<Bcrypt>),
    Apr1(Apr1),
    /// The result of work that is done at once.
    Sha(bool),
}

/// Checks that a hash, in the format of a line of `htpasswd` after the name, can be used.
///
/// # Errors
/// The reason that it cannot be used.
pub fn check_hash(text: &str) -> Result<(), HashError> {
    text.parse::<PasswordHash>().map(|_| ())
}

// === impl PasswordHash ===

impl PasswordHash {
    /// Starts to verify `password`, which must not contain a NUL.
    pub(super) fn task(&self, password: &[u8]) -> HashTask {
        match self {
            Self::Bcrypt(hash) => HashTask::Bcrypt(Box::new(Bcrypt::new(hash, password))),
            Self::Apr1(hash) => HashTask::Apr1(Apr1::new(hash, password)),
            Self::Sha(digest) => HashTask::Sha(Sha1::digest(password).ct_eq(digest).into()),
        }
    }
}

impl FromStr for PasswordHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        if let Some(rest) = text.strip_prefix("$2") {
            return bcrypt::BcryptHash::parse(rest).map(Self::Bcrypt);
        }
        if let Some(rest) = text.strip_prefix("$apr1$") {
            let hash = apr1::Apr1Hash::parse(rest).ok_or(HashError::Malformed("apr1"))?;
            return Ok(Self::Apr1(hash));
        }
        let digest = text.strip_prefix("{SHA}").ok_or(HashError::Unknown)?;
        let mut bytes = [0; 20];
        match Base64::decode(digest, &mut bytes) {
            Ok(decoded) if decoded.len() == 20 => Ok(Self::Sha(bytes)),
            _ => Err(HashError::Malformed("SHA")),
        }
    }
}

// === impl HashTask ===

impl HashTask {
    /// Returns true if the work is done at once. Other work is queued: of many requests that come together, each would
    /// delay the next.
    pub(super) fn is_fast(&self) -> bool {
        match self {
            Self::Bcrypt(_) | Self::Apr1(_) => false,
            Self::Sha(_) => true,
        }
    }

    /// Works until `until` returns true. Once done, returns true if the password is right.
    pub(super) fn step(&mut self, until: impl FnMut() -> bool) -> Option<bool> {
        match self {
            Self::Bcrypt(bcrypt) => bcrypt.step(until),
            Self::Apr1(apr1) => apr1.step(until),
            Self::Sha(is_right) => Some(*is_right),
        }
    }
}

#[cfg(test)]
mod tests;
