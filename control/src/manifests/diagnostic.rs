//! Errors and warnings about manifests.

use super::node::Position;
use std::{fmt, sync::Arc};

/// An error or a warning about a manifest, with its position.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    pub file: Arc<str>,
    pub position: Position,
    pub severity: Severity,
    /// The object, `Kind namespace/name`, as far as it is known.
    pub object: String,
    /// The path as kubectl writes it; empty for the whole object.
    pub field: String,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    /// A problem without effect on what is served.
    Warning,
}

// === impl Diagnostic ===

impl Diagnostic {
    /// Returns true if the object or file is rejected because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The place, `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.position.line)
    }

    /// The object, field and message, without the place.
    #[must_use]
    pub fn text(&self) -> String {
        let parts = [&self.object, &self.field, &self.message];
        let said: Vec<_> = parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect();
        said.join(": ")
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.text())
    }
}
