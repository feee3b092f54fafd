//! What is wrong with a configuration, and where.

use std::fmt;

/// A refusal, with its place: `switches."a.com/".branches."default/blue"[2].leaf.clusters[0].weight: ...`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// Empty: the whole.
    place: String,
    problem: String,
}

// === impl Error ===

impl Error {
    pub(super) fn new(place: String, problem: String) -> Self {
        Self { place, problem }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, problem } = self;
        let separator = if place.is_empty() { "" } else { ": " };
        write!(f, "{place}{separator}{problem}")
    }
}
