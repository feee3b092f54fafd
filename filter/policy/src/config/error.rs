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
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self {
            place: String::new(),
            problem: problem.into(),
        }
    }

    /// The same problem, seen from the field `name` around it.
    pub(super) fn within(self, name: &str) -> Self {
        self.inside(&field(name))
    }

    /// The same problem, seen from the list that holds it at `index`.
    pub(super) fn within_index(self, index: usize) -> Self {
        self.inside(&format!("[{index}]"))
    }

    fn inside(self, outer: &str) -> Self {
        let Self { place, problem } = self;
        let separator = if place.is_empty() || place.starts_with('[') {
            ""
        } else {
            "."
        };
        Self {
            place: format!("{outer}{separator}{place}"),
            problem,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, problem } = self;
        let separator = if place.is_empty() { "" } else { ": " };
        write!(f, "{place}{separator}{problem}")
    }
}

/// A name as it is where it reads as one word, else quoted.
fn field(name: &str) -> String {
    let is_word = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}
