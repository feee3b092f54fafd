//! Authentication of requests.
//!
//! ```text
//! config::policy::Requirement -> AuthRequirement -> check -> AuthOutcome: Pass | Fail
//!                                                 ^            |
//!                                              resume <--------+ Call a service | Work in slices
//! ```
//!
//! A requirement is prepared once, with its policy. Results about credentials are kept in an [`AuthCache`], one in each
//! worker, so that the same ones need not be verified again.

mod api_key;
mod basic;
mod cache;
mod check;
mod digest;
mod error;
mod external;
mod failure;
mod fields;
mod generational_cache;
mod hash;
mod identity;
mod ip;
mod jwt;
mod passwords;

pub use cache::AuthCache;
pub use check::AuthRequest;
pub use error::RequirementError;
pub use failure::{AuthFailure, FailureReason, FailureResponse, ServiceResponse};
pub use hash::{check_hash, error::HashError};
pub use identity::{Identity, Pass, Scheme};
pub use jwt::{
    claims::Claims,
    error::{KeyError, TokenError},
    key::check_key,
};
pub use passwords::{Work, running::Verification};

use crate::{
    call::{Call, Reply},
    config::policy,
    protected::ProtectedFields,
};
use api_key::ApiKeyAuth;
use basic::BasicAuth;
use check::CheckOutcome;
use external::ExternalAuthz;
use ip::IpFilter;
use jwt::JwtAuth;
use std::collections::BTreeSet;

/// A requirement that one of several checks passes.
pub struct AuthRequirement {
    any_of: Vec<AuthCheck>,
    /// Headers with credentials. None may occur twice, since it is unknown which one the upstream takes.
    credentials: BTreeSet<String>,
    protected: ProtectedFields,
}

/// A check, prepared for requests.
enum AuthCheck {
    Basic(BasicAuth),
    ApiKey(ApiKeyAuth),
    Jwt(JwtAuth),
    External(ExternalAuthz),
    Ip(IpFilter),
}

/// The outcome of a requirement for a request.
#[derive(Debug)]
pub enum AuthOutcome {
    Pass(Pass),
    Fail(AuthFailure),
    /// The request waits until the service has answered, and is then resumed.
    Call(Call, PendingAuth),
    /// The request waits until the work is done, and is then resumed.
    Work(Work, PendingAuth),
}

/// The state of a requirement while a request waits.
#[derive(Debug)]
pub struct PendingAuth(RequirementProgress);

/// The result that a waiting request is resumed with.
#[derive(Debug)]
pub enum Completion {
    /// The reply to the [`Call`].
    Reply(Reply),
    /// The result of the [`Work`].
    Work(Verification),
}

/// The progress of a requirement.
#[derive(Debug, Default)]
struct RequirementProgress {
    /// The index of the next check.
    at: usize,
    /// The failure of the checks before it.
    failure: Option<AuthFailure>,
}

// === impl AuthRequirement ===

impl AuthRequirement {
    /// The headers and parameters that must not reach the upstream from the client.
    #[must_use]
    pub fn protected(&self) -> &ProtectedFields {
        &self.protected
    }

    /// Checks a request.
    #[must_use]
    pub fn check(&self, request: AuthRequest<'_>) -> AuthOutcome {
        match self.repeated(request) {
            Some(name) => AuthOutcome::Fail(AuthFailure::repeated(name)),
            None => self.run(RequirementProgress::default(), request),
        }
    }

    /// Resumes a request that has waited. It must be the same request: its credentials are not verified again.
    #[must_use]
    pub fn resume(
        &self,
        pending: PendingAuth,
        completion: Completion,
        request: AuthRequest<'_>,
    ) -> AuthOutcome {
        let PendingAuth(progress) = pending;
        let outcome = match (self.any_of.get(progress.at), completion) {
            (Some(AuthCheck::Basic(basic)), Completion::Work(verification)) => {
                basic.resume(verification, request)
            }
            (Some(AuthCheck::External(external)), Completion::Reply(reply)) => {
                external.resume(reply, request)
            }
            // The request did not wait for this.
            _ => CheckOutcome::Fail(AuthFailure::forbidden(FailureReason::Missing)),
        };
        match progress.settle(outcome) {
            Ok(outcome) => outcome,
            Err(next) => self.run(next, request),
        }
    }

    fn repeated(&self, request: AuthRequest<'_>) -> Option<&str> {
        let is_repeated = |name: &&String| fields::values(request.headers, name).nth(1).is_some();
        self.credentials.iter().find(is_repeated).map(String::as_str)
    }

    fn run(&self, mut progress: RequirementProgress, request: AuthRequest<'_>) -> AuthOutcome {
        while let Some(check) = self.any_of.get(progress.at) {
            match progress.settle(check.run(request)) {
                Ok(outcome) => return outcome,
                Err(next) => progress = next,
            }
        }
        AuthOutcome::Fail(
            progress
                .failure
                .unwrap_or_else(|| AuthFailure::forbidden(FailureReason::Missing)),
        )
    }
}

impl TryFrom<policy::Requirement> for AuthRequirement {
    type Error = RequirementError;

    fn try_from(requirement: policy::Requirement) -> Result<Self, RequirementError> {
        let policy::Requirement { any_of } = requirement;
        if any_of.is_empty() {
            return Err(RequirementError::NoCheck);
        }
        let any_of: Vec<_> = any_of
            .into_iter()
            .map(AuthCheck::try_from)
            .collect::<Result<_, _>>()?;
        let mut credentials = BTreeSet::new();
        let mut protected = ProtectedFields::default();
        for check in &any_of {
            credentials.extend(check.credentials().map(str::to_owned));
            check.protect(&mut protected);
        }
        Ok(Self {
            any_of,
            credentials,
            protected,
        })
    }
}

// === impl AuthCheck ===

impl AuthCheck {
    fn run(&self, request: AuthRequest<'_>) -> CheckOutcome {
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

    fn protect(&self, protected: &mut ProtectedFields) {
        let ProtectedFields { headers, parameters } = protected;
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

impl TryFrom<policy::Check> for AuthCheck {
    type Error = RequirementError;

    fn try_from(check: policy::Check) -> Result<Self, RequirementError> {
        Ok(match check {
            policy::Check::Basic(basic) => Self::Basic(basic.try_into()?),
            policy::Check::ApiKey(api_key) => Self::ApiKey(api_key.try_into()?),
            policy::Check::Jwt(jwt) => Self::Jwt(jwt.try_into()?),
            policy::Check::Ip(ip) => Self::Ip(ip.try_into()?),
            policy::Check::External(external) => Self::External(external.try_into()?),
        })
    }
}

// === impl RequirementProgress ===

impl RequirementProgress {
    /// Returns the outcome of the requirement, or the progress to try the next check with.
    fn settle(self, outcome: CheckOutcome) -> Result<AuthOutcome, Self> {
        let Self { at, failure } = self;
        match outcome {
            CheckOutcome::Pass(pass) => Ok(AuthOutcome::Pass(pass)),
            CheckOutcome::Call(call) => Ok(AuthOutcome::Call(call, PendingAuth(Self { at, failure }))),
            CheckOutcome::Work(work) => Ok(AuthOutcome::Work(work, PendingAuth(Self { at, failure }))),
            CheckOutcome::Fail(next) => Err(Self {
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
