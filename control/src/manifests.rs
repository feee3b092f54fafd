//! A directory of manifests, as a source of objects.
//!
//! ```text
//! file -> [ yaml: Node ] -> [ file: Entry, Problem ] -> [ Directory ] -> Batch -> the engine
//!                                                            ^  \--> [ places: Places ] -> the admin interface
//!                                     [ watch ]: what changed, and when to look
//! ```
//!
//! Every error knows its file and line. A file that does not read keeps its last good state.

mod directory;
mod file;
mod node;
mod places;
mod scalar;
pub mod watch;
mod yaml;

pub use self::{
    directory::{Directory, Look, manifest_name},
    file::{Entry, File, objects, read},
    node::{Content, Key, Node, Position, Positions, Span},
    places::Places,
    scalar::resolve,
    yaml::{Documents, SyntaxError, documents},
};

use std::{fmt, sync::Arc};

/// Something that is wrong with a manifest, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub file: Arc<str>,
    pub position: Position,
    pub severity: Severity,
    /// `Kind namespace/name`, as far as it is known.
    pub object: String,
    /// As kubectl writes it. Empty: the whole object.
    pub field: String,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    /// It has no effect on what is served.
    Warning,
}

// === impl Problem ===

impl Problem {
    /// Whether what it tells of is refused.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.position.line)
    }

    /// What it is about and what it says: all but the place.
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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.text())
    }
}
