//! The error of a configuration, with its path.

use std::fmt;

/// An error at a field: `switches."a.com/".branches."default/blue"[2].leaf.clusters[0].weight: ...`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// The path; empty for the whole configuration.
    pub path: String,
    pub problem: String,
}

// === impl Error ===

impl Error {
    pub(super) fn new(path: String, problem: String) -> Self {
        Self { path, problem }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problem } = self;
        let separator = if path.is_empty() { "" } else { ": " };
        write!(f, "{path}{separator}{problem}")
    }
}
