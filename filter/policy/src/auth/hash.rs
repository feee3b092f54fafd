//! Hashes of passwords, as `htpasswd` makes them.

mod apr1;
mod bcrypt;

use apr1::Apr1;
use base64ct::{Base64, Encoding};
use bcrypt::Bcrypt;
use sha1::{Digest, Sha1};
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// A password hash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Hash {
    Bcrypt(bcrypt::Hash),
    Apr1(apr1::Hash),
    Sha([u8; 20]),
}

/// The work of verifying a password against a hash.
pub(super) enum Task {
    Bcrypt(Box<Bcrypt>),
    Apr1(Apr1),
    /// The result of work that is done at once.
    Sha(bool),
}

/// The reason that a hash cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashFault {
    #[error("is neither bcrypt ($2y$), apr1 ($apr1$) nor SHA ({{SHA}}): make it with htpasswd -B")]
    Unknown,
    #[error("starts like one of {0}, and is not a whole one")]
    Malformed(&'static str),
    #[error("is of bcrypt with a cost of {0}: 4 to {max} can be verified while a client waits", max = bcrypt::MAX_COST)]
    Cost(u32),
}

/// Checks that a hash, in the format of a line of `htpasswd` after the name, can be used.
///
/// # Errors
/// The reason that it cannot be used.
pub fn check_hash(text: &str) -> Result<(), HashFault> {
    text.parse::<Hash>().map(|_| ())
}

// === impl Hash ===

impl Hash {
    /// Starts to verify `password`, which must not contain a NUL.
    pub(super) fn task(&self, password: &[u8]) -> Task {
        match self {
            Self::Bcrypt(hash) => Task::Bcrypt(Box::new(Bcrypt::new(hash, password))),
            Self::Apr1(hash) => Task::Apr1(Apr1::new(hash, password)),
            Self::Sha(digest) => Task::Sha(Sha1::digest(password).ct_eq(digest).into()),
        }
    }
}

impl FromStr for Hash {
    type Err = HashFault;

    fn from_str(text: &str) -> Result<Self, HashFault> {
        if let Some(rest) = text.strip_prefix("$2") {
            return bcrypt::Hash::parse(rest).map(Self::Bcrypt);
        }
        if let Some(rest) = text.strip_prefix("$apr1$") {
            let hash = apr1::Hash::parse(rest).ok_or(HashFault::Malformed("apr1"))?;
            return Ok(Self::Apr1(hash));
        }
        let digest = text.strip_prefix("{SHA}").ok_or(HashFault::Unknown)?;
        let mut bytes = [0; 20];
        match Base64::decode(digest, &mut bytes) {
            Ok(decoded) if decoded.len() == 20 => Ok(Self::Sha(bytes)),
            _ => Err(HashFault::Malformed("SHA")),
        }
    }
}

// === impl Task ===

impl Task {
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
