//! A packed configuration: many switches in one byte string, of which a reader touches only what a request needs.
//!
//! ```text
//! "SWYD"  version u8  flags u8  0 u16  bucket count u32        all numbers little-endian
//! end of each bucket, u32, from the start of the first
//! bucket: entry ...
//! entry:  key length u32  section length u32  section hash u64  key  section
//! ```
//!
//! A frozen hash table: [`bucket_of`] says where a key is, so that taking in an update is a copy, not a parse, and the
//! sender can keep the buckets that no change touched.
//!
//! | key | section: the JSON of one |
//! |---|---|
//! | as [`crate::config::Config::switches`] has it | [`crate::config::Switch`] |
//! | [`route_key`] | [`crate::config::PlainRoute`] |
//! | [`policy_key`] | [`crate::config::Policy`] |
//!
//! The reader checks every bound: malformed bytes give no sections, or odd ones, but never a panic or a loop.

use crate::hash::hash;
use std::ops::Range;

/// The magic number, which JSON cannot start with.
const MAGIC: [u8; 4] = *b"SWYD";
const VERSION: u8 = 1;
const EXPOSE_BRANCH: u8 = 1;
const HEADER_LEN: usize = 12;
/// Entries to aim for in a bucket: few enough to scan, enough to keep the table small.
const BUCKET_ENTRIES: usize = 8;

/// The prefixes of section keys that are not of switches.
const ROUTE: char = '=';
const POLICY: char = '#';

/// Flags of a packed configuration as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The flag [`crate::config::Config::expose_branch`].
    pub expose_branch: bool,
}

/// A packed configuration, read in place.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Vec<u8>,
    flags: Flags,
    buckets: u32,
}

/// One switch, route or policy of a packed configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// The [`hash`] of `json`, as sent.
    pub hash: u64,
    pub json: &'a [u8],
}

/// The parsed key of a section: its kind and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKey<'a> {
    Switch(&'a str),
    Route(&'a str),
    Policy(&'a str),
}

/// The reason that bytes are not a packed configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    #[error("neither JSON nor a packed configuration")]
    Magic,
    #[error("packed configuration of version {0}, and only {VERSION} is known")]
    Version(u8),
    #[error("packed configuration with flags that are not known")]
    Flags,
    #[error("packed configuration cut short or overlong")]
    Length,
}

/// The reason that sections cannot be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    #[error("more than 4 GiB")]
    TooLarge,
    #[error("{0} buckets, which is no power of two")]
    Buckets(usize),
}

// === impl Flags ===

impl Flags {
    fn to_byte(self) -> u8 {
        let Self { expose_branch } = self;
        if expose_branch { EXPOSE_BRANCH } else { 0 }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        (byte & !EXPOSE_BRANCH == 0).then_some(Self {
            expose_branch: byte & EXPOSE_BRANCH != 0,
        })
    }
}

// === impl SectionKey ===

impl<'a> SectionKey<'a> {
    /// Parses the key of a section.
    #[must_use]
    pub fn parse(key: &'a str) -> Self {
        match (key.strip_prefix(ROUTE), key.strip_prefix(POLICY)) {
            (Some(route), _) => Self::Route(route),
            (None, Some(policy)) => Self::Policy(policy),
            (None, None) => Self::Switch(key),
        }
    }

    /// The name in the JSON configuration, without the prefix of the section key.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Switch(name) | Self::Route(name) | Self::Policy(name) => name,
        }
    }
}

// === impl Packed ===

impl Packed {
    /// Reads the header and no more: the cost does not depend on how many sections there are.
    ///
    /// # Errors
    /// The bytes are not a packed configuration, of an unknown version, or incomplete.
    pub fn new(bytes: Vec<u8>) -> Result<Self, PackedError> {
        let [m0, m1, m2, m3, version, flags, _, _] = array(&bytes, 0).ok_or(PackedError::Magic)?;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(PackedError::Magic);
        }
        if version != VERSION {
            return Err(PackedError::Version(version));
        }
        let flags = Flags::from_byte(flags).ok_or(PackedError::Flags)?;
        let buckets = u32_at(&bytes, 8).filter(|count| count.is_power_of_two());
        let buckets = buckets.ok_or(PackedError::Length)?;
        let packed = Self {
            bytes,
            flags,
            buckets,
        };
        if packed.bucket(buckets - 1).map(|range| range.end) == Some(packed.bytes.len()) {
            Ok(packed)
        } else {
            Err(PackedError::Length)
        }
    }

    #[must_use]
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// The section of that key.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<Section<'_>> {
        let mut entries = self.bytes.get(self.bucket(bucket_of(key, self.buckets))?)?;
        while let Some((found, section, rest)) = first_entry(entries) {
            if found == key.as_bytes() {
                return Some(section);
            }
            entries = rest;
        }
        None
    }

    fn bucket(&self, at: u32) -> Option<Range<usize>> {
        let start = match at.checked_sub(1) {
            None => 0,
            Some(before) => self.end_of(before)?,
        };
        let data = HEADER_LEN.checked_add(to_usize(self.buckets)?.checked_mul(4)?)?;
        Some(data.checked_add(start)?..data.checked_add(self.end_of(at)?)?)
    }

    fn end_of(&self, bucket: u32) -> Option<usize> {
        let at = HEADER_LEN.checked_add(to_usize(bucket)?.checked_mul(4)?)?;
        to_usize(u32_at(&self.bytes, at)?)
    }
}

/// The section key of a plain route, by the route's name. It cannot equal a switch's key: those start with a host.
#[must_use]
pub fn route_key(route: &str) -> String {
    format!("{ROUTE}{route}")
}

/// The section key of a policy, by the policy's key.
#[must_use]
pub fn policy_key(policy: &str) -> String {
    format!("{POLICY}{policy}")
}

/// The number of buckets for `sections` sections: a power of two.
#[must_use]
pub fn bucket_count(sections: usize) -> u32 {
    let wanted = sections.div_ceil(BUCKET_ENTRIES).next_power_of_two();
    u32::try_from(wanted).unwrap_or(1 << 31)
}

/// The bucket of a key, of `count` (a power of two).
#[must_use]
pub fn bucket_of(key: &str, count: u32) -> u32 {
    let low = hash(key.as_bytes()) & u64::from(count.saturating_sub(1));
    u32::try_from(low).unwrap_or_default()
}

/// One bucket: the entries (key, JSON) whose [`bucket_of`] it is. The same entries in the same order give the same
/// bytes.
///
/// # Errors
/// A key or section of more than 4 GiB.
pub fn encode_bucket<'a>(
    entries: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Vec<u8>, PackError> {
    let mut bucket = Vec::new();
    for (key, json) in entries {
        bucket.extend(len(key.as_bytes())?.to_le_bytes());
        bucket.extend(len(json)?.to_le_bytes());
        bucket.extend(hash(json).to_le_bytes());
        bucket.extend(key.as_bytes());
        bucket.extend(json);
    }
    Ok(bucket)
}

/// Assembles all buckets, in order, as many as the count given to [`bucket_of`].
///
/// # Errors
/// More than 4 GiB of them, or not a power of two.
pub fn assemble(flags: Flags, buckets: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, PackError> {
    let mut bytes = Vec::with_capacity(assembled_len(buckets));
    assemble_into(flags, buckets, &mut bytes)?;
    Ok(bytes)
}

/// The number of bytes that [`assemble`] makes of these buckets.
#[must_use]
pub fn assembled_len(buckets: &[impl AsRef<[u8]>]) -> usize {
    let total: usize = buckets.iter().map(|bucket| bucket.as_ref().len()).sum();
    HEADER_LEN + 4 * buckets.len() + total
}

/// Appends what [`assemble`] returns to `bytes`.
///
/// # Errors
/// More than 4 GiB of buckets, or not a power of two.
pub fn assemble_into(
    flags: Flags,
    buckets: &[impl AsRef<[u8]>],
    bytes: &mut Vec<u8>,
) -> Result<(), PackError> {
    let count = u32::try_from(buckets.len()).map_err(|_| PackError::TooLarge)?;
    if !count.is_power_of_two() {
        return Err(PackError::Buckets(buckets.len()));
    }
    bytes.extend(MAGIC);
    bytes.extend([VERSION, flags.to_byte(), 0, 0]);
    bytes.extend(count.to_le_bytes());
    let mut end = 0_u32;
    for bucket in buckets {
        end = end
            .checked_add(len(bucket.as_ref())?)
            .ok_or(PackError::TooLarge)?;
        bytes.extend(end.to_le_bytes());
    }
    for bucket in buckets {
        bytes.extend(bucket.as_ref());
    }
    Ok(())
}

/// The first entry of a bucket: its key, its section, and the bytes after it, which are fewer.
fn first_entry(bytes: &[u8]) -> Option<(&[u8], Section<'_>, &[u8])> {
    let key_len = to_usize(u32_at(bytes, 0)?)?;
    let json_len = to_usize(u32_at(bytes, 4)?)?;
    let hash = u64::from_le_bytes(array(bytes, 8)?);
    let (key, rest) = bytes.get(16..)?.split_at_checked(key_len)?;
    let (json, rest) = rest.split_at_checked(json_len)?;
    Some((key, Section { hash, json }, rest))
}

fn len(bytes: &[u8]) -> Result<u32, PackError> {
    u32::try_from(bytes.len()).map_err(|_| PackError::TooLarge)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn to_usize(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests;
