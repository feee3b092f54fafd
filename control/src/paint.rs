//! Colours for terminals.

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::AnsiColor;
use std::fmt;

/// The choice of colours or plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

/// The meanings of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Good,
    Bad,
    /// Neither good nor bad, but noticeable.
    Note,
    Faint,
}

// === impl Paint ===

impl Paint {
    /// Chooses colours if the output is a terminal that shows them, by the usual variables (`NO_COLOR`,
    /// `CLICOLOR_FORCE`, `TERM`).
    #[must_use]
    pub fn of(output: &impl RawStream) -> Self {
        Self(AutoStream::choice(output) != ColorChoice::Never)
    }

    /// Returns true if text is coloured.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.0
    }

    /// Formats a text in a style.
    #[must_use]
    pub fn text(self, style: Style, text: impl fmt::Display) -> String {
        let style = match style {
            Style::Good => AnsiColor::Green.on_default(),
            Style::Bad => AnsiColor::Red.on_default(),
            Style::Note => AnsiColor::Yellow.on_default(),
            Style::Faint => anstyle::Style::new().dimmed(),
        };
        if self.0 {
            format!("{style}{text}{style:#}")
        } else {
            text.to_string()
        }
    }
}
