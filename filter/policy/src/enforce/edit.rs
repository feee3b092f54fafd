//! Changes of a message's headers.

use crate::config::policy::{Header, HeaderEdits};

/// One change. Names are in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Takes the place of all of that name.
    Set(&'a str, &'a [u8]),
    /// Comes beside those of that name.
    Add(&'a str, &'a [u8]),
    Remove(&'a str),
}

// === impl Edit ===

impl<'a> Edit<'a> {
    /// What is said there, or nothing, whatever was said before.
    #[must_use]
    pub fn put(name: &'a str, value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Remove(name), |value| Self::Set(name, value))
    }

    /// The header's.
    #[must_use]
    pub fn name(self) -> &'a str {
        let (Self::Set(name, _) | Self::Add(name, _) | Self::Remove(name)) = self;
        name
    }

    /// Makes the change in a list of headers.
    pub fn apply(self, headers: &mut Vec<(String, Vec<u8>)>) {
        let name = self.name();
        if !matches!(self, Self::Add(..)) {
            headers.retain(|(found, _)| found != name);
        }
        if let Self::Set(_, value) | Self::Add(_, value) = self {
            headers.push((name.to_owned(), value.to_vec()));
        }
    }

    /// What a policy asks for, in its order.
    pub(super) fn all(HeaderEdits { set, add, remove }: &'a HeaderEdits) -> impl Iterator<Item = Self> {
        let removed = remove.iter().map(|name| Self::Remove(name));
        let set = set
            .iter()
            .map(|Header { name, value }| Self::Set(name, value.as_bytes()));
        let added = add
            .iter()
            .map(|Header { name, value }| Self::Add(name, value.as_bytes()));
        removed.chain(set).chain(added)
    }
}
