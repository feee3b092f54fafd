//! What policies say of requests, told to whoever counts or explains it.

use std::fmt;

/// Is told what each policy says, as it says it.
pub trait Witness {
    /// A part of the policy of that source has looked at the request.
    fn saw(&mut self, source: &str, part: Part, said: Said);

    /// All of the policy of that source has let the request through. Not told of one that only mirrors.
    fn let_through(&mut self, source: &str);
}

/// A part of a policy, by its field. Those that are lists count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Cors,
    Auth(usize),
    RateLimit(usize),
    Concurrency,
    Mirror(usize),
}

/// Why a rate limit refuses a request that is one too many. Whatever else it says, it could not count.
pub const LIMITED: &str = "limited";

/// What it says. Why it refuses is one of few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    Passed,
    Refused(&'static str),
    /// It is tried out, and would have refused.
    WouldRefuse(&'static str),
    /// What has to be asked did not answer, and the policy says that this is no reason to refuse.
    Unasked,
    /// What it knew of another client had to go, so as to have room for this one.
    Crowded,
    /// The request is copied.
    Copied,
}

/// Nobody wants to know.
impl Witness for () {
    fn saw(&mut self, _source: &str, _part: Part, _said: Said) {}

    fn let_through(&mut self, _source: &str) {}
}

// === impl Part ===

impl fmt::Display for Part {
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
