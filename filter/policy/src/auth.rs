//! Authentication of requests.
//!
//! ```text
//! config::policy::Requirement -> Requirement -> check -> Verdict: Pass | Fail
//!                                                 ^         |
//!                                              resume <-----+ Ask a service | Work in slices
//! ```
//!
//! A requirement is prepared once, with its policy. Results about credentials are kept in a [`Memory`], one in each
//! worker, so that the same ones need not be verified again.

mod api_key;
mod basic;
mod digest;
mod external;
mod failure;
mod fault;
mod fields;
mod hash;
mod ip;
mod jwt;
mod memory;
mod passwords;

pub use api_key::without_parameters;
pub use failure::{Failure, Reason, Refusal, Response};
pub use fault::Fault;
pub use hash::{HashFault, check_hash};
pub use jwt::{Claims, KeyFault, TokenFault, check_key};
pub use memory::Memory;
pub use passwords::{Verification, Work};

use crate::{
    call::{Call, Reply},
    config::policy,
    decide::{Headers, Level},
    host::Host,
};
use api_key::ApiKey;
use basic::Basic;
use external::External;
use ip::Ip;
use jwt::Jwt;
use std::{collections::BTreeSet, rc::Rc};

/// A requirement that one of several checks passes.
pub struct Requirement {
    any_of: Vec<Check>,
    /// Headers with credentials. None may occur twice, since it is unknown which one the upstream takes.
    credentials: BTreeSet<String>,
    withheld: Withheld,
}

/// A check, prepared for requests.
enum Check {
    Basic(Basic),
    ApiKey(ApiKey),
    Jwt(Jwt),
    External(External),
    Ip(Ip),
}

/// Headers and parameters of the client that are never sent on, whichever check passes: only checks set headers that
/// identify the client to the upstream, and keys stay private. They are not sent to services of the same level, or
/// below, either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Names of headers, in lower case.
    pub headers: BTreeSet<String>,
    /// Names of query parameters.
    pub parameters: BTreeSet<String>,
}

/// A request to check, and its context.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub headers: &'a dyn Headers,
    pub host: &'a dyn Host,
    /// The memory of the worker.
    pub memory: &'a Memory,
    /// This level and those above, the outermost first: services are not told what these withhold.
    pub levels: &'a [Level],
}

/// The verdict on a request.
#[derive(Debug)]
pub enum Verdict {
    Pass(Pass),
    Fail(Failure),
    /// The request waits until the service has answered, and is then resumed.
    Ask(Call, Waiting),
    /// The request waits until the work is done, and is then resumed.
    Work(Work, Waiting),
}

/// The state of a requirement that a request waits at.
#[derive(Debug)]
pub struct Waiting(Progress);

/// The result that a request has waited for.
#[derive(Debug)]
pub enum Answer {
    /// The reply to the [`Call`].
    Reply(Reply),
    /// The result of the [`Work`].
    Work(Verification),
}

/// The outcome of a single check.
enum Step {
    Pass(Pass),
    Fail(Failure),
    Ask(Call),
    Work(Work),
}

/// The result of a check that has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// The client; `None` if the check does not identify it.
    pub identity: Option<Identity>,
    /// The check's edits of the headers to the upstream and to the client, made after the [`Withheld`] ones are
    /// removed.
    pub headers: policy::Headers,
}

/// The identity of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub scheme: Scheme,
    /// A valid header value; `None` if the token has no name.
    pub name: Option<String>,
    /// The claims of a token.
    pub claims: Option<Rc<Claims>>,
}

/// The authentication scheme of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Basic,
    ApiKey,
    Jwt,
}

/// The progress of a requirement.
#[derive(Debug, Default)]
struct Progress {
    /// The index of the next check.
    at: usize,
    /// The failure of the checks before it.
    failure: Option<Failure>,
}

// === impl Requirement ===

impl Requirement {
    /// The headers and parameters that must not reach the upstream from the client.
    #[must_use]
    pub fn withheld(&self) -> &Withheld {
        &self.withheld
    }

    /// Checks a request.
    #[must_use]
    pub fn check(&self, request: Request<'_>) -> Verdict {
        match self.repeated(request) {
            Some(name) => Verdict::Fail(Failure::repeated(name)),
            None => self.run(Progress::default(), request),
        }
    }

    /// Resumes a request that has waited. It must be the same request: its credentials are not verified again.
    #[must_use]
    pub fn resume(&self, waiting: Waiting, answer: Answer, request: Request<'_>) -> Verdict {
        let Waiting(progress) = waiting;
        let step = match (self.any_of.get(progress.at), answer) {
            (Some(Check::Basic(basic)), Answer::Work(outcome)) => basic.resume(outcome, request),
            (Some(Check::External(external)), Answer::Reply(reply)) => external.resume(reply, request),
            // The request did not wait for this answer.
            _ => Step::Fail(Failure::forbidden(Reason::Missing)),
        };
        match progress.settle(step) {
            Ok(verdict) => verdict,
            Err(next) => self.run(next, request),
        }
    }

    fn repeated(&self, request: Request<'_>) -> Option<&str> {
        let is_repeated = |name: &&String| fields::values(request.headers, name).nth(1).is_some();
        self.credentials.iter().find(is_repeated).map(String::as_str)
    }

    fn run(&self, mut progress: Progress, request: Request<'_>) -> Verdict {
        while let Some(check) = self.any_of.get(progress.at) {
            match progress.settle(check.run(request)) {
                Ok(verdict) => return verdict,
                Err(next) => progress = next,
            }
        }
        Verdict::Fail(
            progress
                .failure
                .unwrap_or_else(|| Failure::forbidden(Reason::Missing)),
        )
    }
}

impl TryFrom<policy::Requirement> for Requirement {
    type Error = Fault;

    fn try_from(requirement: policy::Requirement) -> Result<Self, Fault> {
        let policy::Requirement { any_of } = requirement;
        if any_of.is_empty() {
            return Err(Fault::NoCheck);
        }
        let any_of: Vec<_> = any_of
            .into_iter()
            .map(Check::try_from)
            .collect::<Result<_, _>>()?;
        let mut credentials = BTreeSet::new();
        let mut withheld = Withheld::default();
        for check in &any_of {
            credentials.extend(check.credentials().map(str::to_owned));
            check.withhold(&mut withheld);
        }
        Ok(Self {
            any_of,
            credentials,
            withheld,
        })
    }
}

// === impl Check ===

impl Check {
    fn run(&self, request: Request<'_>) -> Step {
        match self {
            Self::Basic(basic) => basic.check(request),
            Self::ApiKey(api_key) => api_key.check(request),
            Self::Jwt(jwt) => jwt.check(request),
            Self::External(external) => external.check(request),
            Self::Ip(ip) => ip.check(request),
        }
    }

    /// The header that holds the check's credentials.
    fn credentials(&self) -> Option<&str> {
        match self {
            Self::Basic(_) | Self::Jwt(_) => Some("authorization"),
            Self::ApiKey(api_key) => api_key.header(),
            Self::External(external) => external.credentials(),
            Self::Ip(_) => None,
        }
    }

    fn withhold(&self, withheld: &mut Withheld) {
        let Withheld { headers, parameters } = withheld;
        match self {
            Self::ApiKey(api_key) => {
                headers.extend(api_key.header().map(str::to_owned));
                parameters.extend(api_key.parameter().map(str::to_owned));
            }
            Self::Jwt(jwt) => headers.extend(jwt.headers().map(str::to_owned)),
            Self::External(external) => headers.extend(external.headers().map(str::to_owned)),
            Self::Basic(_) | Self::Ip(_) => {}
        }
    }
}

impl TryFrom<policy::Check> for Check {
    type Error = Fault;

    fn try_from(check: policy::Check) -> Result<Self, Fault> {
        Ok(match check {
            policy::Check::Basic(basic) => Self::Basic(basic.try_into()?),
            policy::Check::ApiKey(api_key) => Self::ApiKey(api_key.try_into()?),
            policy::Check::Jwt(jwt) => Self::Jwt(jwt.try_into()?),
            policy::Check::Ip(ip) => Self::Ip(ip.try_into()?),
            policy::Check::External(external) => Self::External(external.try_into()?),
        })
    }
}

// === impl Pass ===

impl Pass {
    fn of(scheme: Scheme, name: &str) -> Self {
        Self {
            identity: Some(Identity {
                scheme,
                name: Some(name.to_owned()),
                claims: None,
            }),
            headers: policy::Headers::default(),
        }
    }
}

// === impl Scheme ===

impl Scheme {
    /// The name of the scheme, as sent to the upstream.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::ApiKey => "apiKey",
            Self::Jwt => "jwt",
        }
    }
}

// === impl Progress ===

impl Progress {
    /// Returns the verdict of a step, or the progress to try the next check with.
    fn settle(self, step: Step) -> Result<Verdict, Self> {
        let Self { at, failure } = self;
        match step {
            Step::Pass(pass) => Ok(Verdict::Pass(pass)),
            Step::Ask(call) => Ok(Verdict::Ask(call, Waiting(Self { at, failure }))),
            Step::Work(work) => Ok(Verdict::Work(work, Waiting(Self { at, failure }))),
            Step::Fail(next) => Err(Self {
                at: at + 1,
                failure: Some(match failure {
                    Some(first) => first.or(next),
                    None => next,
                }),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
