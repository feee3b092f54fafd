//! Enforcement of policies on a request, in this order:
//!
//! 1. A CORS preflight is answered by the innermost scope that has `cors`.
//! 2. Local rate limits whose keys have no claim, the outermost scope first: they protect the checks that follow.
//! 3. Authentication, the outermost scope first, in the order written.
//! 4. Local rate limits by claim, the outermost scope first; then limits that a service counts.
//! 5. Concurrency, the outermost scope first.
//! 6. Changes of requests that have met all policies: mirrors, headers, timeouts and retries.
//!
//! Scopes are not merged. Each is enforced by itself, and each can refuse; so a scope below adds to the policies above,
//! and cannot remove them.

pub mod attributes;
pub mod changes;
mod checks;
pub mod context;
pub mod refusal;
mod results;

use crate::{
    auth::Completion,
    concurrency::Permit,
    edit::Edit,
    policy::Stage,
    protected::without_protected_parameters,
    request::Request,
    route::RouteOverrides,
    sample::Sample,
    scope::{PolicyScope, PolicyScopes, protected_fields},
};
use checks::{EnforcementProgress, Task};
use context::{NextAction, PolicyContext};
use smallvec::SmallVec;

/// A request on its way through its policies.
#[derive(Debug)]
pub struct Enforcement {
    scopes: PolicyScopes,
    overrides: RouteOverrides,
    /// The sample of requests that the filter sees, of which this is one.
    sample: Sample,
    plan: Plan,
    progress: EnforcementProgress,
}

/// Tasks in order, stored inline as [`PolicyScopes`] are.
type Plan = SmallVec<[Task; 4]>;

// === impl Enforcement ===

impl Enforcement {
    /// Creates the enforcement of a request that has yet to meet all scopes.
    #[must_use]
    pub fn new(scopes: PolicyScopes, overrides: RouteOverrides) -> Self {
        Self {
            plan: plan(&scopes),
            scopes,
            overrides,
            sample: Sample::ALL,
            progress: EnforcementProgress::default(),
        }
    }

    /// Sets the sample that the request belongs to.
    #[must_use]
    pub fn of(self, sample: Sample) -> Self {
        Self { sample, ..self }
    }

    /// Advances the request as far as it comes without waiting.
    pub fn advance(&mut self, context: &mut PolicyContext<'_>) -> NextAction {
        let Self {
            scopes,
            overrides,
            sample,
            plan,
            progress,
        } = self;
        let result = progress.run(context, scopes, plan);
        progress.results.set_quota_headers();
        match result {
            Ok(()) => {
                progress.results.envoy_headers = changes::envoy_headers(context, scopes, *overrides, *sample);
                for PolicyScope { policy, path: _ } in
                    scopes.iter().filter(|scope| !scope.policy.only_mirrors)
                {
                    context.observer.record_allowed(&policy.source);
                }
                NextAction::Done
            }
            Err(action) => {
                if matches!(action, NextAction::Refuse(_)) {
                    for permit in self.take_permits() {
                        permit.release(context.host);
                    }
                }
                action
            }
        }
    }

    /// Stores the result that the request waited for; [`Self::advance`] then goes on.
    pub fn complete(&mut self, completion: Completion) {
        self.progress.completion = Some(completion);
    }

    /// Takes the permits that the request holds while in flight: release them when it has ended, however it did.
    #[must_use]
    pub fn take_permits(&mut self) -> Vec<Permit> {
        std::mem::take(&mut self.progress.results.permits)
    }

    /// The edits of the request before it is forwarded.
    #[must_use]
    pub fn request_edits(&self) -> Vec<Edit<'_>> {
        changes::request_edits(&self.scopes, &self.progress.results)
    }

    /// The target for the upstream, without the keys in the query; `None` if it does not change.
    #[must_use]
    pub fn target(&self, request: Request<'_>) -> Option<Vec<u8>> {
        without_protected_parameters(protected_fields(&self.scopes), || request.headers.target())
    }

    /// The edits of the response, whether it is the upstream's or the filter's.
    ///
    /// No scope edits the quota headers or the local response of a scope above it.
    #[must_use]
    pub fn response_edits(&self) -> Vec<Edit<'_>> {
        changes::response_edits(&self.scopes, self.responding_scopes(), &self.progress.results)
    }

    /// The scopes that edit the response: if a scope answers instead of the upstream, those below it do not.
    #[must_use]
    pub fn responding_scopes(&self) -> &[PolicyScope] {
        let replied_by = self.progress.results.replied_by;
        let count = replied_by.map_or(self.scopes.len(), |scope| scope + 1);
        self.scopes.get(..count).unwrap_or(&self.scopes)
    }
}

/// The tasks of all scopes, in order.
fn plan(scopes: &[PolicyScope]) -> Plan {
    let mut plan = Plan::new();
    for now in Stage::ALL {
        for (scope, PolicyScope { policy, path: _ }) in scopes.iter().enumerate() {
            let parts = policy.checks.iter().filter(|(stage, _)| *stage == now);
            plan.extend(parts.map(|(_, part)| Task { scope, part: *part }));
        }
    }
    plan
}

#[cfg(test)]
pub(crate) mod tests;
