//! The path of a field in a configuration.

use super::{error::Error, value::ValueError};
use std::fmt;

/// A path to a field or an item, linked to the path of its parent.
#[derive(Clone, Copy)]
pub struct FieldPath<'a> {
    /// The parent and the last segment; `None` for the whole.
    last: Option<(&'a Self, Segment<'a>)>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Field(&'a str),
    Item(usize),
}

/// Renders the path of a value that serde rejects.
pub(super) fn path_text(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment::{Enum, Map, Seq, Unknown};
    let mut text = String::new();
    for segment in path {
        match segment {
            Seq { index } => push(&mut text, Segment::Item(*index)),
            Map { key: name } | Enum { variant: name } => push(&mut text, Segment::Field(name)),
            Unknown => {}
        }
    }
    text
}

// === impl FieldPath ===

impl<'a> FieldPath<'a> {
    pub const ROOT: Self = Self { last: None };

    #[must_use]
    pub fn field(&'a self, name: &'a str) -> Self {
        Self {
            last: Some((self, Segment::Field(name))),
        }
    }

    #[must_use]
    pub fn item(&'a self, index: usize) -> Self {
        Self {
            last: Some((self, Segment::Item(index))),
        }
    }

    pub(super) fn ensure(&self, holds: bool, problem: fmt::Arguments<'_>) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(self.error(problem)) }
    }

    /// Adds the path to the error of a value.
    pub(super) fn check(&self, value: Result<(), ValueError>) -> Result<(), Error> {
        value.map_err(|error| self.error(format_args!("{error}")))
    }

    pub(super) fn error(&self, problem: fmt::Arguments<'_>) -> Error {
        Error::new(self.text(), problem.to_string())
    }

    #[must_use]
    pub fn text(&self) -> String {
        let Some((parent, segment)) = self.last else {
            return String::new();
        };
        let mut text = parent.text();
        push(&mut text, segment);
        text
    }
}

/// Appends a segment. A name that is not one word is quoted.
fn push(path: &mut String, segment: Segment<'_>) {
    match segment {
        Segment::Item(index) => path.push_str(&format!("[{index}]")),
        Segment::Field(name) => {
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if !path.is_empty() {
                path.push('.');
            }
            if !name.is_empty() && name.bytes().all(is_word) {
                path.push_str(name);
            } else {
                path.push_str(&format!("{name:?}"));
            }
        }
    }
}
