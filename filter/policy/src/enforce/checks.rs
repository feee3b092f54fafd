//! The checks of each part of a policy, and their outcomes.

use super::{
    attributes::Attributes,
    context::{NextAction, PolicyContext},
    refusal::{PolicyRefusal, RefusalCode},
    results::{CheckResults, QUOTA_HEADERS},
};
use crate::{
    auth::{AuthFailure, AuthOutcome, AuthRequest, AuthRequirement, Completion, Pass, PendingAuth},
    config::policy::{Concurrency, DescriptorEntry, EntryValue, GlobalLimit, Headers, KeyPart, OnFailure},
    limit::{RateLimitOutcome, gcra::Quota},
    observer::{LIMITED, Outcome, PolicyPart},
    policy::{Counted, PolicyLimit, PreparedPolicy, cors},
    protected::{ProtectedFields, protects_header},
    rate_limit_service::{self, RateLimitDecision},
    scope::{PolicyScope, protected_fields},
};
use smallvec::SmallVec;

/// The `Retry-After`, in seconds, of a request that was contended, or that has too many beside it: the real time is
/// unknown.
const RETRY_AFTER: u64 = 1;

/// The reason of a limit whose service did not answer.
const NO_ANSWER: &str = "no_answer";

/// A part of a policy to check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// The index of the scope.
    pub(super) scope: usize,
    pub(super) part: PolicyPart,
}

/// A task, with the policy that it is a part of.
#[derive(Clone, Copy)]
struct PolicyTask<'a> {
    policy: &'a PreparedPolicy,
    task: Task,
}

/// The progress of a request through its tasks.
#[derive(Debug, Default)]
pub(super) struct EnforcementProgress {
    /// The index of the first task that has not passed.
    next: usize,
    /// The state of the requirement that the request waits at.
    pending: Option<PendingAuth>,
    /// The result that the request waited for.
    pub(super) completion: Option<Completion>,
    pub(super) results: CheckResults,
}

/// The result of a task; `Err` is the action that keeps the request from the next task.
type TaskResult = Result<(), NextAction>;

/// The result of a limit for a request.
#[derive(Default)]
struct LimitResult {
    quota: Option<Quota>,
    /// The reason for a refusal; `None` if the request is admitted.
    refused: Option<&'static str>,
    /// Seconds until the client may retry.
    retry_after: Option<u64>,
    /// The headers that a rate limit service adds for the upstream and for the client, and its body for a refused
    /// client.
    headers: Headers,
    body: Vec<u8>,
}

// === impl EnforcementProgress ===

impl EnforcementProgress {
    /// Runs the tasks in order, until one does not pass.
    pub(super) fn run(
        &mut self,
        context: &mut PolicyContext<'_>,
        scopes: &[PolicyScope],
        tasks: &[Task],
    ) -> TaskResult {
        self.check_cors(context, scopes)?;
        while let Some(task) = tasks.get(self.next) {
            let result = self.check(context, scopes, *task);
            if let Err(NextAction::Refuse(_)) = result {
                self.results.replied_by = Some(task.scope);
            }
            result?;
            self.next += 1;
        }
        Ok(())
    }

    fn check(&mut self, context: &mut PolicyContext<'_>, scopes: &[PolicyScope], task: Task) -> TaskResult {
        let Some(scope) = scopes.get(task.scope) else {
            return Ok(());
        };
        let policy = &scope.policy;
        match task.part {
            PolicyPart::Auth(at) => policy.auth.get(at).map_or(Ok(()), |requirement| {
                let scopes = scopes.get(..=task.scope).unwrap_or_default();
                self.check_auth(context, scopes, PolicyTask { policy, task }, requirement)
            }),
            PolicyPart::RateLimit(at) => {
                let limit = policy.limits.get(at);
                let limit = limit.filter(|limit| context.matches(limit.when.as_ref(), scope));
                let above = scopes.get(..task.scope).unwrap_or_default();
                limit.map_or(Ok(()), |limit| {
                    self.check_limit(context, above, PolicyTask { policy, task }, limit)
                })
            }
            PolicyPart::Concurrency => policy.concurrency.as_ref().map_or(Ok(()), |concurrency| {
                self.check_concurrency(context, policy, concurrency)
            }),
            PolicyPart::Cors | PolicyPart::Mirror(_) => Ok(()),
        }
    }

    /// Answers a CORS preflight, if a scope has a CORS policy.
    fn check_cors(&mut self, context: &mut PolicyContext<'_>, scopes: &[PolicyScope]) -> TaskResult {
        let mut scopes = scopes.iter().enumerate().rev();
        let with_cors =
            scopes.find_map(|(at, scope)| Some((at, &*scope.policy, scope.policy.cors.as_ref()?)));
        let Some((at, policy, cors)) = with_cors else {
            return Ok(());
        };
        let origin = cors::origin(context.request);
        self.results.origin = origin.map(<[u8]>::to_vec);
        if !cors::is_preflight(context.request) {
            return Ok(());
        }
        self.results.replied_by = Some(at);
        let Some(reply) = cors.preflight_reply(origin) else {
            context.record(policy, PolicyPart::Cors, Outcome::Refused("origin"));
            let part = (policy, PolicyPart::Cors);
            let refusal = PolicyRefusal::new(RefusalCode::PermissionDenied, part, "origin");
            return Err(NextAction::Refuse(refusal));
        };
        context.record(policy, PolicyPart::Cors, Outcome::Passed);
        Err(NextAction::LocalReply(reply))
    }

    fn check_auth(
        &mut self,
        context: &mut PolicyContext<'_>,
        scopes: &[PolicyScope],
        policy_task: PolicyTask<'_>,
        requirement: &AuthRequirement,
    ) -> TaskResult {
        let PolicyTask { policy, task } = policy_task;
        let protected: SmallVec<[&ProtectedFields; 3]> = protected_fields(scopes).collect();
        let request = AuthRequest {
            headers: context.request.headers,
            host: context.host,
            cache: &context.worker.auth_cache,
            protected: &protected,
        };
        let outcome = match (self.pending.take(), self.completion.take()) {
            (Some(pending), Some(completion)) => requirement.resume(pending, completion, request),
            _ => requirement.check(request),
        };
        match outcome {
            AuthOutcome::Pass(pass) => {
                self.results.passes.push((task.scope, pass));
                context.record(policy, task.part, Outcome::Passed);
                Ok(())
            }
            AuthOutcome::Fail(AuthFailure { reason, response }) => {
                context.record(policy, task.part, Outcome::Refused(reason.label()));
                let part = (policy, task.part);
                Err(NextAction::Refuse(PolicyRefusal::of_auth(
                    response, part, &reason,
                )))
            }
            AuthOutcome::Call(call, pending) => {
                self.pending = Some(pending);
                Err(NextAction::Call(call))
            }
            AuthOutcome::Work(work, pending) => {
                self.pending = Some(pending);
                Err(NextAction::Work(work))
            }
        }
    }

    fn check_limit(
        &mut self,
        context: &mut PolicyContext<'_>,
        above: &[PolicyScope],
        policy_task: PolicyTask<'_>,
        limit: &PolicyLimit,
    ) -> TaskResult {
        let PolicyTask { policy, task } = policy_task;
        let result = match &limit.counted {
            Counted::Local(local) => {
                let key = self.attributes(context).key(&local.key);
                let rate_limiter = &context.worker.rate_limiter;
                let taken = rate_limiter.take(context.host, local, &limit.id, &key);
                if let RateLimitOutcome::Admitted {
                    has_evicted: true, ..
                } = taken
                {
                    context.record(policy, task.part, Outcome::Evicted);
                }
                LimitResult::from(taken)
            }
            Counted::Global(global) => match self.call_service(context, above, global)? {
                Some(result) => result,
                None => {
                    context.record(policy, task.part, Outcome::FailureModeAllowed);
                    return Ok(());
                }
            },
        };
        self.apply_limit(context, policy_task, limit, result)
    }

    /// Calls a rate limit service; `None` if it did not answer and the policy allows that.
    fn call_service(
        &mut self,
        context: &PolicyContext<'_>,
        above: &[PolicyScope],
        limit: &GlobalLimit,
    ) -> Result<Option<LimitResult>, NextAction> {
        let Some(completion) = self.completion.take() else {
            let is_open = |descriptor: &&Vec<DescriptorEntry>| !has_protected_header(descriptor, above);
            let descriptors = limit.descriptors.iter().filter(is_open);
            let descriptors = self.attributes(context).descriptors(descriptors);
            let call = rate_limit_service::call(limit, &descriptors);
            return call.map_or(Ok(Some(LimitResult::default())), |call| {
                Err(NextAction::Call(call))
            });
        };
        let decision = match &completion {
            Completion::Reply(reply) => rate_limit_service::parse_reply(reply),
            Completion::Work(_) => None,
        };
        Ok(match (decision, limit.on_failure) {
            (Some(decision), _) => Some(decision.into()),
            (None, OnFailure::Allow) => None,
            (None, OnFailure::Deny) => Some(LimitResult {
                refused: Some(NO_ANSWER),
                ..LimitResult::default()
            }),
        })
    }

    fn apply_limit(
        &mut self,
        context: &mut PolicyContext<'_>,
        policy_task: PolicyTask<'_>,
        limit: &PolicyLimit,
        result: LimitResult,
    ) -> TaskResult {
        let PolicyTask { policy, task } = policy_task;
        let LimitResult {
            quota,
            refused,
            retry_after,
            headers,
            body,
        } = result;
        let outcome = match refused {
            None => Outcome::Passed,
            Some(label) if limit.dry_run => Outcome::WouldRefuse(label),
            Some(label) => Outcome::Refused(label),
        };
        context.record(policy, task.part, outcome);
        if limit.dry_run {
            return Ok(());
        }
        self.results.add_quota(task.scope, quota);
        let pass = Pass {
            identity: None,
            headers,
        };
        self.results.passes.push((task.scope, pass));
        let Some(label) = refused else {
            return Ok(());
        };
        let part = (policy, task.part);
        let refusal = if label == NO_ANSWER {
            PolicyRefusal::new(RefusalCode::Unavailable, part, label)
        } else {
            PolicyRefusal {
                status: limit.status,
                ..PolicyRefusal::new(RefusalCode::ResourceExhausted, part, label)
            }
        };
        Err(NextAction::Refuse(
            refusal.retry_after(retry_after).with_body(body),
        ))
    }

    fn check_concurrency(
        &mut self,
        context: &mut PolicyContext<'_>,
        policy: &PreparedPolicy,
        concurrency: &Concurrency,
    ) -> TaskResult {
        let key = self.attributes(context).key(&concurrency.key);
        let limiter = &mut context.worker.concurrency_limiter;
        match limiter.acquire(context.host, concurrency, &policy.source, &key) {
            Ok(permit) => {
                self.results.permits.push(permit);
                context.record(policy, PolicyPart::Concurrency, Outcome::Passed);
                Ok(())
            }
            Err(error) => {
                context.record(policy, PolicyPart::Concurrency, Outcome::Refused("busy"));
                let part = (policy, PolicyPart::Concurrency);
                let refusal = PolicyRefusal::new(RefusalCode::Unavailable, part, error);
                Err(NextAction::Refuse(refusal.retry_after(Some(RETRY_AFTER))))
            }
        }
    }

    fn attributes<'a>(&'a self, context: &'a PolicyContext<'_>) -> Attributes<'a> {
        Attributes {
            host: context.host,
            request: context.request,
            claims: &self.results,
        }
    }
}

/// Returns true if the descriptor has a header that a scope above protects, such as its API keys.
fn has_protected_header(descriptor: &[DescriptorEntry], above: &[PolicyScope]) -> bool {
    descriptor.iter().any(|entry| match &entry.value {
        EntryValue::Of(KeyPart::Header(name)) => protects_header(protected_fields(above), name),
        EntryValue::Of(_) | EntryValue::Literal(_) => false,
    })
}

// === impl LimitResult ===

impl From<RateLimitOutcome> for LimitResult {
    fn from(outcome: RateLimitOutcome) -> Self {
        match outcome {
            RateLimitOutcome::Admitted {
                quota,
                has_evicted: _,
            } => Self {
                quota: Some(quota),
                ..Self::default()
            },
            RateLimitOutcome::Limited { quota, retry_after } => Self {
                quota: Some(quota),
                refused: Some(LIMITED),
                retry_after: Some(retry_after),
                ..Self::default()
            },
            RateLimitOutcome::Contended => Self {
                refused: Some("contended"),
                retry_after: Some(RETRY_AFTER),
                ..Self::default()
            },
        }
    }
}

impl From<RateLimitDecision> for LimitResult {
    fn from(decision: RateLimitDecision) -> Self {
        let RateLimitDecision {
            is_over,
            quota,
            mut headers,
            body,
        } = decision;
        let reset = quota.map(|quota| quota.reset.as_secs());
        // Some services report the quota twice: in the statuses, and as headers, which would duplicate the filter's
        // own.
        if quota.is_some() {
            let is_set = |name: &str| QUOTA_HEADERS.contains(&name) || (is_over && name == "retry-after");
            headers.response.add.retain(|header| !is_set(&header.name));
        }
        Self {
            quota: quota.map(|quota| Quota {
                limit: quota.limit,
                remaining: quota.remaining,
                reset: quota.reset.as_secs(),
            }),
            refused: is_over.then_some(LIMITED),
            retry_after: reset.filter(|_| is_over),
            headers,
            body,
        }
    }
}
