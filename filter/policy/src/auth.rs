//! Who sends a request, and whether that is enough.
//!
//! ```text
//! config::policy::Requirement -> Requirement -> check -> Verdict: Pass | Fail
//!                                                 ^         |
//!                                              resume <-----+ Ask a service | Work in slices
//! ```
//!
//! A requirement is made ready once, with the policy that has it. What was found out about credentials is kept in a
//! [`Memory`], one in each worker, so that the same ones need not be verified again.

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
pub use jwt::{Claims, KeyFault, TokenFault};
pub use memory::Memory;
pub use passwords::Work;

use crate::{
    call::{Call, Reply},
    config::policy,
    decide::{Headers, Level},
    host::Host,
    maps::Set,
};
use api_key::ApiKey;
use basic::Basic;
use external::External;
use ip::Ip;
use jwt::Jwt;
use std::rc::Rc;

/// One of several checks must pass.
pub struct Requirement {
    any_of: Vec<Check>,
    /// Headers that credentials come in: none may be there twice, for who knows which of them the upstream believes.
    credentials: Set<String>,
    withheld: Withheld,
}

/// A way to show who one is, made ready for requests.
enum Check {
    Basic(Basic),
    ApiKey(ApiKey),
    Jwt(Jwt),
    External(External),
    Ip(Ip),
}

/// What of a client's request is never sent on, whichever check it passes: what names the client to the upstream is said
/// by the checks alone, and keys are nobody else's business. Services that are asked at the same level, or below, are not
/// told it either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// In lower case.
    pub headers: Set<String>,
    /// Of the query.
    pub parameters: Set<String>,
}

/// A request that is to be checked, and by what.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub headers: &'a dyn Headers,
    pub host: &'a dyn Host,
    /// That of the worker.
    pub memory: &'a Memory,
    /// The level that asks and those above, the outermost first: what they withhold, no service is told either.
    pub levels: &'a [Level],
}

/// What becomes of the request.
#[derive(Debug)]
pub enum Verdict {
    Pass(Pass),
    Fail(Failure),
    /// It waits until the service has answered, and is then resumed.
    Ask(Call, Waiting),
    /// It waits until the work is done, and is then resumed.
    Work(Work, Waiting),
}

/// A requirement that a request waits at.
#[derive(Debug)]
pub struct Waiting(Progress);

/// What a request has waited for.
#[derive(Debug)]
pub enum Answer {
    /// What came of the [`Call`].
    Reply(Reply),
    /// What [`Work`] came to: whether the password is right.
    Work(bool),
}

/// What a check alone says of a request.
enum Step {
    Pass(Pass),
    Fail(Failure),
    Ask(Call),
    Work(Work),
}

/// A request that may go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// None: the check was not about who it is.
    pub identity: Option<Identity>,
    /// What the check has to say to the upstream and to the client, after what is [`Withheld`].
    pub headers: policy::Headers,
}

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub scheme: Scheme,
    /// As a header can say it. None: the token does not say.
    pub name: Option<String>,
    /// Of a token.
    pub claims: Option<Rc<Claims>>,
}

/// What shows who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Basic,
    ApiKey,
    Jwt,
}

/// How far a requirement has come.
#[derive(Debug, Default)]
struct Progress {
    /// The check that is next.
    at: usize,
    /// Of those before it.
    failure: Option<Failure>,
}

// === impl Requirement ===

impl Requirement {
    /// What no request that this is asked of may bring to the upstream from its client.
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

    /// Goes on with a request that has waited: the very same, for what it shows is not verified again.
    #[must_use]
    pub fn resume(&self, waiting: Waiting, answer: Answer, request: Request<'_>) -> Verdict {
        let Waiting(progress) = waiting;
        let step = match (self.any_of.get(progress.at), answer) {
            (Some(Check::Basic(basic)), Answer::Work(is_right)) => basic.resume(is_right, request),
            (Some(Check::External(external)), Answer::Reply(reply)) => external.resume(reply, request),
            // It waited for nothing.
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
        let mut credentials = Set::default();
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

    /// The header that it looks for credentials in.
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
    /// As the upstream is told.
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
    /// What a check's step comes to; or that the next one is to be tried.
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
