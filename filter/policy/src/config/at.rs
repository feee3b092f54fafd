//! Where one is in a configuration, and what was found wrong there.
//!
//! What reads and what checks a configuration says what is wrong and goes on, with something else in its place; at the
//! end the first of it refuses the whole. It could stop instead: but each place at which code may stop costs the filter
//! some hundred bytes, to drop what is half read and to say where it was, and there are hundreds.

use super::Error;
use std::{cell::OnceCell, fmt};

/// A place in a configuration.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    /// None: the whole.
    outer: Option<(&'a Self, Step<'a>)>,
    /// What is wrong first.
    wrong: &'a OnceCell<Error>,
}

/// From one place into the next.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

/// Looks at the whole of a configuration.
///
/// # Errors
/// The first thing that was noted.
pub(super) fn look<T>(look: impl FnOnce(&At<'_>) -> T) -> Result<T, Error> {
    let wrong = OnceCell::new();
    let seen = look(&At {
        outer: None,
        wrong: &wrong,
    });
    wrong.into_inner().map_or(Ok(seen), Err)
}

// === impl At ===

impl<'a> At<'a> {
    pub(super) fn field(&'a self, name: &'a str) -> Self {
        self.step(Step::Field(name))
    }

    pub(super) fn item(&'a self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    pub(super) fn outer(&self) -> Option<(&'a Self, Step<'a>)> {
        self.outer
    }

    /// What is wrong here.
    #[cold]
    #[inline(never)]
    pub(super) fn note(&self, problem: fmt::Arguments<'_>) {
        self.wrong
            .get_or_init(|| Error::new(self.place(), problem.to_string()));
    }

    pub(super) fn ensure(&self, holds: bool, problem: fmt::Arguments<'_>) {
        if !holds {
            self.note(problem);
        }
    }

    fn step(&'a self, step: Step<'a>) -> Self {
        Self {
            outer: Some((self, step)),
            wrong: self.wrong,
        }
    }

    fn place(&self) -> String {
        let Some((outer, step)) = self.outer else {
            return String::new();
        };
        let place = outer.place();
        match step {
            Step::Field(name) if place.is_empty() => field(name),
            Step::Field(name) => format!("{place}.{}", field(name)),
            Step::Item(index) => format!("{place}[{index}]"),
        }
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
