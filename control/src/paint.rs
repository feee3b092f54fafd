//! Colours, where a terminal shows them.

use std::{env, fmt, io::IsTerminal};

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

/// What colours stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Good,
    Bad,
    /// Neither good nor bad, but to be seen.
    Note,
    Faint,
}

// === impl Paint ===

impl Paint {
    /// Colours if the output is a terminal, and `NO_COLOR` is not set (<https://no-color.org>).
    #[must_use]
    pub fn of(output: &impl IsTerminal) -> Self {
        Self(output.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// Whether there are colours.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.0
    }

    /// The text in a style.
    #[must_use]
    pub fn text(self, style: Style, text: impl fmt::Display) -> String {
        let code = match style {
            Style::Good => "32",
            Style::Bad => "31",
            Style::Note => "33",
            Style::Faint => "2",
        };
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
