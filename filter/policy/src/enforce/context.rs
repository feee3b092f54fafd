//! The context in which policies are enforced, and the action that follows.

use super::refusal::PolicyRefusal;
use crate::{
    auth::{AuthCache, Work},
    call::Call,
    concurrency::ConcurrencyLimiter,
    config::policy::When,
    host::Host,
    limit::RateLimiter,
    local_reply::LocalReply,
    observer::{Outcome, PolicyObserver, PolicyPart},
    policy::PreparedPolicy,
    request::Request,
    scope::PolicyScope,
};

/// The context of a request: its host, its worker and its observer.
pub struct PolicyContext<'a> {
    pub request: Request<'a>,
    pub host: &'a dyn Host,
    pub worker: &'a mut WorkerState,
    pub observer: &'a mut dyn PolicyObserver,
}

/// The state that a worker keeps between requests.
pub struct WorkerState {
    pub rate_limiter: RateLimiter,
    pub concurrency_limiter: ConcurrencyLimiter,
    pub auth_cache: AuthCache,
}

/// The next action for a request.
#[derive(Debug)]
pub enum NextAction {
    /// All policies are met: edit and forward the request.
    Done,
    /// The request is refused.
    Refuse(PolicyRefusal),
    /// The filter answers the request itself: it is a CORS preflight.
    LocalReply(LocalReply),
    /// The request waits for a callout.
    Call(Call),
    /// The request waits until this is done, slice by slice.
    Work(Work),
}

// === impl PolicyContext ===

impl PolicyContext<'_> {
    pub(super) fn record(&mut self, policy: &PreparedPolicy, part: PolicyPart, outcome: Outcome) {
        self.observer.record(&policy.source, part, outcome);
    }

    /// Returns true if the condition of a part of the scope's policy applies to the request.
    pub(super) fn matches(&self, when: Option<&When>, scope: &PolicyScope) -> bool {
        when.is_none_or(|when| when.applies(self.request, scope.path.as_deref()))
    }
}

// === impl WorkerState ===

impl WorkerState {
    #[must_use]
    pub fn new(host: &dyn Host) -> Self {
        let entropy = [host.random(), host.random()].map(u64::to_le_bytes);
        Self {
            rate_limiter: RateLimiter::default(),
            concurrency_limiter: ConcurrencyLimiter::default(),
            auth_cache: AuthCache::new(entropy.as_flattened()),
        }
    }
}

// === impl NextAction ===

impl NextAction {
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}
