//! Errors of password hashes.

/// The highest cost of bcrypt. It takes three seconds of a worker's time, in slices.
pub(super) const MAX_COST: u32 = 14;

/// The reason that a hash cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error("is neither bcrypt ($2y$), apr1 ($apr1$) nor SHA ({{SHA}}): make it with htpasswd -B")]
    Unknown,
    #[error("starts like one of {0}, and is not a whole one")]
    Malformed(&'static str),
    #[error("is of bcrypt with a cost of {0}: 4 to {max} can be verified while a client waits", max = MAX_COST)]
    Cost(u32),
}
