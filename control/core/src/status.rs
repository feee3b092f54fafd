//! What an IngressRoute's owner is told.

use std::fmt;

/// `status` of an IngressRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// Every error, in the order of the fields they stand at; empty if valid.
    pub errors: Vec<StatusError>,
    /// Warnings for its owner, which do not keep it from being served.
    pub warnings: Vec<StatusError>,
}

/// `status.currentStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Valid,
    Invalid,
    Orphaned,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatusError {
    /// The field at fault, as kubectl writes it: `spec.routes[2].services[0].port`. Empty: the whole object.
    pub field: String,
    /// Contour's text where Contour had one.
    pub message: String,
}

// === impl Status ===

impl Status {
    /// `status.description`: all errors in one line, or what Contour says of a valid or orphaned object. Warnings follow.
    #[must_use]
    pub fn description(&self) -> String {
        let warnings = self.warnings.iter();
        let warnings = warnings.map(|StatusError { message, .. }| format!("; warning: {message}"));
        self.verdict() + &warnings.collect::<String>()
    }

    fn verdict(&self) -> String {
        match self.state {
            State::Valid => "valid IngressRoute".to_owned(),
            State::Orphaned if self.errors.is_empty() => {
                "this IngressRoute is not part of a delegation chain from a root IngressRoute".to_owned()
            }
            State::Orphaned | State::Invalid => self
                .errors
                .iter()
                .map(|e| e.message.as_str())
                .collect::<Vec<_>>()
                .join("; "),
        }
    }
}

// === impl State ===

impl State {
    pub const ALL: [Self; 3] = [Self::Valid, Self::Invalid, Self::Orphaned];

    /// As it stands in `status.currentStatus`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Orphaned => "orphaned",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
