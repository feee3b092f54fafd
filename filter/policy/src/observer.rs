//! Observation of policy outcomes, for metrics and explanations.

use std::fmt;

/// An observer of policy outcomes, as they happen.
pub trait PolicyObserver {
    /// Records the outcome of a part of the policy of that source.
    fn record(&mut self, source: &str, part: PolicyPart, outcome: Outcome);

    /// Records that all of the policy of that source has let the request through. Not called for one that only mirrors.
    fn record_allowed(&mut self, source: &str);
}

/// A part of a policy, by its field. Items of lists count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyPart {
    Cors,
    Auth(usize),
    RateLimit(usize),
    Concurrency,
    Mirror(usize),
}

/// The reason of a rate limit for a request over the limit. With any other reason it could not count.
pub const LIMITED: &str = "limited";

/// The outcome of a part. The reason of a refusal is one of a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Passed,
    Refused(&'static str),
    /// A dry run that would have refused.
    WouldRefuse(&'static str),
    /// A required service did not answer, and the policy allows the request nevertheless.
    FailureModeAllowed,
    /// The state of another client was evicted to make room for this one.
    Evicted,
    /// The request is copied.
    Mirrored,
}

/// An observer that ignores outcomes.
impl PolicyObserver for () {
    fn record(&mut self, _source: &str, _part: PolicyPart, _outcome: Outcome) {}

    fn record_allowed(&mut self, _source: &str) {}
}

// === impl PolicyPart ===

impl fmt::Display for PolicyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cors => f.write_str("cors"),
            Self::Auth(at) => write!(f, "auth[{at}]"),
            Self::RateLimit(at) => write!(f, "rateLimits[{at}]"),
            Self::Concurrency => f.write_str("concurrency"),
            Self::Mirror(at) => write!(f, "mirror[{at}]"),
        }
    }
}
