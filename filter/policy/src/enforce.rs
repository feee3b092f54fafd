//! Enforcement of policies on a request, in this order:
//!
//! 1. A CORS preflight is answered by the innermost level that has `cors`.
//! 2. Local rate limits whose keys have no claim, the outermost level first: they protect the checks that follow.
//! 3. Authentication, the outermost level first, in the order written.
//! 4. Local rate limits by claim, the outermost level first; then limits that a service counts.
//! 5. Concurrency, the outermost level first.
//! 6. Changes of requests that have met all policies: mirrors, headers, timeouts and retries.
//!
//! Levels are not merged. Each is enforced by itself, and each can refuse; so a level below adds to the policies above,
//! and cannot remove them.

mod asks;
pub mod changes;
pub mod cors;
pub mod edit;
pub mod facts;
pub mod mirror;
pub mod refusal;
pub mod witness;

use crate::{
    auth::{Answer, Memory, Pass, Waiting, Work},
    call::Call,
    config::policy::When,
    decide::{Level, Levels, Own},
    host::Host,
    limit::{Limits, Quota},
    places::{self, Place, Places},
    policy::Policy,
    request::Request,
    sample::Sample,
};
use edit::Edit;
use refusal::{Reason, Refusal, Response};
use smallvec::SmallVec;
use witness::{Part, Said, Witness};

/// A request on its way through its policies.
#[derive(Debug)]
pub struct Enforcement {
    levels: Levels,
    own: Own,
    /// The sample of requests that the filter sees, of which this is one.
    sample: Sample,
    /// The tasks in order, and the index of the first that has not passed.
    plan: Plan,
    next: usize,
    /// The state of the requirement that the request waits at, and the answer that it waited for.
    waiting: Option<Waiting>,
    answer: Option<Answer>,
    found: Found,
}

/// A part of a policy to check.
#[derive(Clone, Copy, Debug)]
struct Task {
    /// The index of the level.
    level: usize,
    part: Part,
}

/// Tasks in order, stored inline as [`Levels`] are.
type Plan = SmallVec<[Task; 4]>;

/// A stage of enforcement. In one stage, outer levels come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Limits that do not depend on the client's identity: they protect what follows.
    Limits,
    Auth,
    LimitsByClaim,
    LimitsByService,
    Concurrency,
}

/// Results of the checks so far.
#[derive(Debug, Default)]
struct Found {
    /// The quota of the limit with the least remaining, the outermost level that has a limit, and the response headers
    /// for the quota.
    quota: Option<Quota>,
    quota_level: Option<usize>,
    quota_headers: Vec<(&'static str, String)>,
    /// The level that answers instead of the upstream.
    answered_by: Option<usize>,
    places: Vec<Place>,
    /// Passed checks with their header edits, by level.
    passes: Vec<(usize, Pass)>,
    /// The origin of the page that sends the request.
    origin: Option<Vec<u8>>,
    /// Headers that control Envoy.
    steering: Vec<(String, String)>,
}

/// The next step for a request.
#[derive(Debug)]
pub enum Step {
    /// All policies are met. The [`Enforcement`] has the edits of the request.
    Done,
    /// The request is refused.
    Refuse(Refusal),
    /// The filter answers the request itself: it is a CORS preflight.
    Answer(Response),
    /// The request waits for a callout.
    Call(Call),
    /// The request waits until this is done, slice by slice.
    Work(Work),
}

/// The state that a worker keeps between requests.
pub struct Worker {
    pub limits: Limits,
    pub places: Places,
    pub memory: Memory,
}

/// The context of a request: its host, its worker and its observer.
pub struct Around<'a> {
    pub request: Request<'a>,
    pub host: &'a dyn Host,
    pub worker: &'a mut Worker,
    pub witness: &'a mut dyn Witness,
}

/// The headers for a [`Quota`]: its limit, what remains and the reset, by the draft standard of 2022
/// (draft-ietf-httpapi-ratelimit-headers-05), which other proxies implement.
const QUOTA_HEADERS: [&str; 3] = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];

/// The result of a task; `Err` is the step that keeps the request from the next task.
type Asked = Result<(), Step>;

// === impl Step ===

impl Step {
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

// === impl Stage ===

impl Stage {
    const ALL: [Self; 5] = [
        Self::Limits,
        Self::Auth,
        Self::LimitsByClaim,
        Self::LimitsByService,
        Self::Concurrency,
    ];
}

// === impl Enforcement ===

impl Enforcement {
    /// Creates the enforcement of a request that has yet to meet all levels.
    #[must_use]
    pub fn new(levels: Levels, own: Own) -> Self {
        Self {
            plan: plan(&levels),
            levels,
            own,
            sample: Sample::ALL,
            next: 0,
            waiting: None,
            answer: None,
            found: Found::default(),
        }
    }

    /// Sets the sample that the request belongs to.
    #[must_use]
    pub fn of(self, sample: Sample) -> Self {
        Self { sample, ..self }
    }

    /// Advances the request as far as it comes without waiting.
    pub fn advance(&mut self, around: &mut Around<'_>) -> Step {
        let levels = std::mem::take(&mut self.levels);
        let asked = self.ask_all(around, &levels);
        self.levels = levels;
        self.found.tell_quota();
        let step = asked.err().unwrap_or(Step::Done);
        if matches!(step, Step::Refuse(_)) {
            for place in self.take_places() {
                places::leave(around.host, place);
            }
        }
        step
    }

    /// Stores the answer that the request waited for; [`Self::advance`] then goes on.
    pub fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// Takes the places that the request holds while in flight: release them when it has ended, however it did.
    #[must_use]
    pub fn take_places(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.found.places)
    }

    fn ask_all(&mut self, around: &mut Around<'_>, levels: &[Level]) -> Asked {
        self.ask_cors(around, levels)?;
        while let Some(task) = self.plan.get(self.next).copied() {
            let asked = self.ask(around, levels, task);
            if let Err(Step::Refuse(_)) = asked {
                self.found.answered_by = Some(task.level);
            }
            asked?;
            self.next += 1;
        }
        self.steer(around, levels);
        for Level { policy, path: _ } in levels.iter().filter(|level| !level.policy.only_mirrors) {
            around.witness.let_through(&policy.source);
        }
        Ok(())
    }

    fn ask(&mut self, around: &mut Around<'_>, levels: &[Level], task: Task) -> Asked {
        let Some(level) = levels.get(task.level) else {
            return Ok(());
        };
        let policy = &level.policy;
        match task.part {
            Part::Auth(at) => {
                let requirement = policy.auth.get(at);
                requirement.map_or(Ok(()), |requirement| {
                    let levels = levels.get(..=task.level).unwrap_or_default();
                    self.ask_auth(around, levels, (policy, task), requirement)
                })
            }
            Part::RateLimit(at) => {
                let limit = policy.limits.get(at);
                let limit = limit.filter(|limit| is_for(limit.when.as_ref(), around, level));
                let above = levels.get(..task.level).unwrap_or_default();
                limit.map_or(Ok(()), |limit| {
                    self.ask_limit(around, above, (policy, task), limit)
                })
            }
            Part::Concurrency => {
                let concurrency = policy.concurrency.as_ref();
                concurrency.map_or(Ok(()), |concurrency| {
                    self.ask_concurrency(around, policy, concurrency)
                })
            }
            Part::Cors | Part::Mirror(_) => Ok(()),
        }
    }
}

/// The tasks of all levels, in order.
fn plan(levels: &[Level]) -> Plan {
    let mut plan = Plan::new();
    for now in Stage::ALL {
        for (level, Level { policy, path: _ }) in levels.iter().enumerate() {
            let asks = policy.asks.iter().filter(|(stage, _)| *stage == now);
            plan.extend(asks.map(|(_, part)| Task { level, part: *part }));
        }
    }
    plan
}

fn is_for(when: Option<&When>, around: &Around<'_>, level: &Level) -> bool {
    when.is_none_or(|when| when.applies(around.request, level.path.as_deref()))
}

// === impl Worker ===

impl Worker {
    #[must_use]
    pub fn new(host: &dyn Host) -> Self {
        let entropy = [host.random(), host.random()].map(u64::to_le_bytes);
        Self {
            limits: Limits::default(),
            places: Places::default(),
            memory: Memory::new(entropy.as_flattened()),
        }
    }
}

// === impl Found ===

impl Found {
    /// Notes the quota of a limit; the one with the least remaining is reported.
    fn note(&mut self, level: usize, quota: Option<Quota>) {
        let levels = self.quota_level.into_iter().chain(quota.map(|_| level));
        self.quota_level = levels.min();
        let quotas = self.quota.into_iter().chain(quota);
        self.quota = quotas.min_by_key(|quota| quota.remaining);
    }

    fn tell_quota(&mut self) {
        let Some(Quota {
            limit,
            remaining,
            reset,
        }) = self.quota
        else {
            return;
        };
        let values = [limit.to_string(), remaining.to_string(), reset.to_string()];
        self.quota_headers = QUOTA_HEADERS.into_iter().zip(values).collect();
    }
}

// === impl Around ===

impl Around<'_> {
    fn saw(&mut self, policy: &Policy, part: Part, said: Said) {
        self.witness.saw(&policy.source, part, said);
    }
}

#[cfg(test)]
mod tests;
