//! What a request meets on its way, in this order:
//!
//! 1. A page's question whether it may send a request (a CORS preflight) is answered where the innermost `cors` is.
//! 2. Local rate limits whose keys have no claim, the outermost level first: they protect the checks that follow.
//! 3. Authentication, the outermost level first, in the order written.
//! 4. Local rate limits by claim, the outermost level first; then those that a service counts.
//! 5. Concurrency, the outermost level first.
//! 6. What is done to requests that have met all of it: copies, headers, timeouts and retries.
//!
//! Nothing is merged. Each level is asked by itself, and each can refuse; so a level below adds to what those above ask,
//! and has no way to take it away.

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
    /// The filter was asked about the request as one of these.
    sample: Sample,
    /// What is asked, in order, and the first of it that has not said yes.
    plan: Plan,
    next: usize,
    /// What it waited at, and what for.
    waiting: Option<Waiting>,
    answer: Option<Answer>,
    found: Found,
}

/// One thing that is asked.
#[derive(Clone, Copy, Debug)]
struct Task {
    /// By number.
    level: usize,
    part: Part,
}

/// As [`Levels`], in little memory.
type Plan = SmallVec<[Task; 4]>;

/// When something is asked. What two levels ask in one stage, the outer one asks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Limits that need to know nothing of who asks: they protect what follows.
    Limits,
    Auth,
    LimitsByClaim,
    LimitsByService,
    Concurrency,
}

/// What was found out on the way.
#[derive(Debug, Default)]
struct Found {
    /// Of the limit that leaves the least; the outermost level that has a limit; and what answers say of it.
    quota: Option<Quota>,
    quota_level: Option<usize>,
    quota_headers: Vec<(&'static str, String)>,
    /// The level that answers in the upstream's place.
    answered_by: Option<usize>,
    places: Vec<Place>,
    /// What checks that were passed have to say, by level.
    passes: Vec<(usize, Pass)>,
    /// The origin of the page that sends the request.
    origin: Option<Vec<u8>>,
    /// Headers that steer the proxy.
    steering: Vec<(String, String)>,
}

/// How far a request has come.
#[derive(Debug)]
pub enum Step {
    /// It has met all. The [`Enforcement`] says what is to be changed of it.
    Done,
    /// It is not sent on.
    Refuse(Refusal),
    /// It is answered in the upstream's place: a page has asked whether it may send another.
    Answer(Response),
    /// It waits for an answer.
    Call(Call),
    /// It waits until this is done, bit by bit.
    Work(Work),
}

/// What a worker keeps from one request to the next.
pub struct Worker {
    pub limits: Limits,
    pub places: Places,
    pub memory: Memory,
}

/// What a request is in, and who is told of it.
pub struct Around<'a> {
    pub request: Request<'a>,
    pub host: &'a dyn Host,
    pub worker: &'a mut Worker,
    pub witness: &'a mut dyn Witness,
}

/// What is said of a [`Quota`]: its limit, what remains and the reset, as the draft standard of 2022 has it
/// (draft-ietf-httpapi-ratelimit-headers-05), which proxies speak.
const QUOTA_HEADERS: [&str; 3] = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];

/// What keeps a request from the next thing that is asked.
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
    /// A request that has yet to meet all of it.
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

    /// The same, of a request that is one of these.
    #[must_use]
    pub fn of(self, sample: Sample) -> Self {
        Self { sample, ..self }
    }

    /// As far as the request comes without anything that takes time.
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

    /// What came of what it waited for, before it goes on.
    pub fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// What the request holds while it is under way: to be given back when it has ended, however it did.
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

/// What the levels ask, in order.
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
    /// What a limit of that level leaves counts if none leaves less.
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
