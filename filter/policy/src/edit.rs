//! Edits of a message's headers.

use crate::config::policy::{Header, HeaderEdits};

/// An edit of a header. Names are in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Replaces all headers of that name.
    Set(&'a str, &'a [u8]),
    /// Adds a header beside others of that name.
    Add(&'a str, &'a [u8]),
    Remove(&'a str),
}

// === impl Edit ===

impl<'a> Edit<'a> {
    /// Sets a header, or removes it if there is no value.
    #[must_use]
    pub fn put(name: &'a str, value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Remove(name), |value| Self::Set(name, value))
    }

    /// The name of the header.
    #[must_use]
    pub fn name(self) -> &'a str {
        let (Self::Set(name, _) | Self::Add(name, _) | Self::Remove(name)) = self;
        name
    }

    /// Applies the edit to a list of headers.
    pub fn apply(self, headers: &mut Vec<(String, Vec<u8>)>) {
        let name = self.name();
        if !matches!(self, Self::Add(..)) {
            headers.retain(|(found, _)| found != name);
        }
        if let Self::Set(_, value) | Self::Add(_, value) = self {
            headers.push((name.to_owned(), value.to_vec()));
        }
    }

    /// The edits of a policy, in its order.
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
