//! The checks of each part of a policy, and their outcomes.

use super::{
    Around, Asked, Enforcement, Found, Level, Part, Policy, QUOTA_HEADERS, Reason, Refusal, Said, Step, Task,
    cors,
    facts::{Claims, Facts},
    witness::LIMITED,
};
use crate::{
    auth::{self, Answer, Failure, Pass, Requirement, Verdict},
    config::policy::{Concurrency, DescriptorEntry, EntryValue, GlobalLimit, Headers, KeyPart, OnFailure},
    limit::{Quota, Taken},
    policy::{Counted, Limit},
    rate_limit_service::{self, Judgement},
    withheld::withhold_header,
};
use std::borrow::Cow;

/// The `Retry-After`, in seconds, of a request that was contended, or that has too many beside it: the real time is
/// unknown.
const RETRY_AFTER: u64 = 1;

/// The reason of a limit whose service did not answer.
const NO_ANSWER: &str = "no_answer";

/// The outcome of a limit for a request.
#[derive(Default)]
struct Ruling {
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

// === impl Enforcement ===

impl Enforcement {
    /// Answers a CORS preflight, if a level has a CORS policy.
    pub(super) fn ask_cors(&mut self, around: &mut Around<'_>, levels: &[Level]) -> Asked {
        let mut levels = levels.iter().enumerate().rev();
        let with_cors =
            levels.find_map(|(at, level)| Some((at, &*level.policy, level.policy.cors.as_ref()?)));
        let Some((at, policy, cors)) = with_cors else {
            return Ok(());
        };
        let origin = cors::origin(around.request);
        self.found.origin = origin.map(<[u8]>::to_vec);
        if !cors::is_preflight(around.request) {
            return Ok(());
        }
        self.found.answered_by = Some(at);
        let Some(response) = cors.on_preflight(origin) else {
            around.saw(policy, Part::Cors, Said::Refused("origin"));
            let refusal = Refusal::new(Reason::PermissionDenied, (policy, Part::Cors), "origin");
            return Err(Step::Refuse(refusal));
        };
        around.saw(policy, Part::Cors, Said::Passed);
        Err(Step::Answer(response))
    }

    pub(super) fn ask_auth(
        &mut self,
        around: &mut Around<'_>,
        levels: &[Level],
        (policy, task): (&Policy, Task),
        requirement: &Requirement,
    ) -> Asked {
        let request = auth::Request {
            headers: around.request.headers,
            host: around.host,
            memory: &around.worker.memory,
            levels,
        };
        let verdict = match (self.waiting.take(), self.answer.take()) {
            (Some(waiting), Some(answer)) => requirement.resume(waiting, answer, request),
            _ => requirement.check(request),
        };
        match verdict {
            Verdict::Pass(pass) => {
                self.found.passes.push((task.level, pass));
                around.saw(policy, task.part, Said::Passed);
                Ok(())
            }
            Verdict::Fail(Failure { reason, refusal }) => {
                around.saw(policy, task.part, Said::Refused(reason.label()));
                let by = (policy, task.part);
                Err(Step::Refuse(Refusal::of_auth(refusal, by, &reason)))
            }
            Verdict::Ask(call, waiting) => {
                self.waiting = Some(waiting);
                Err(Step::Call(call))
            }
            Verdict::Work(work, waiting) => {
                self.waiting = Some(waiting);
                Err(Step::Work(work))
            }
        }
    }

    pub(super) fn ask_limit(
        &mut self,
        around: &mut Around<'_>,
        above: &[Level],
        (policy, task): (&Policy, Task),
        limit: &Limit,
    ) -> Asked {
        let ruling = match &limit.counted {
            Counted::Here(local) => {
                let key = self.facts(around).key(&local.key);
                let taken = around.worker.limits.take(around.host, local, &limit.id, &key);
                if let Taken::Admitted { is_crowded: true, .. } = taken {
                    around.saw(policy, task.part, Said::Crowded);
                }
                Ruling::from(taken)
            }
            Counted::ByService(global) => match self.ask_service(around, above, global)? {
                Some(ruling) => ruling,
                None => {
                    around.saw(policy, task.part, Said::Unasked);
                    return Ok(());
                }
            },
        };
        self.rule(around, policy, task, (limit, ruling))
    }

    /// Asks a rate limit service; `None` if it did not answer and the policy allows that.
    fn ask_service(
        &mut self,
        around: &Around<'_>,
        above: &[Level],
        limit: &GlobalLimit,
    ) -> Result<Option<Ruling>, Step> {
        let Some(answer) = self.answer.take() else {
            let is_open = |descriptor: &&Vec<DescriptorEntry>| !tells_what_is_withheld(descriptor, above);
            let descriptors = limit.descriptors.iter().filter(is_open);
            let descriptors = self.facts(around).descriptors(descriptors);
            let call = rate_limit_service::ask(limit, &descriptors);
            return call.map_or(Ok(Some(Ruling::default())), |call| Err(Step::Call(call)));
        };
        let judgement = match &answer {
            Answer::Reply(reply) => rate_limit_service::read(reply),
            Answer::Work(_) => None,
        };
        Ok(match (judgement, limit.on_failure) {
            (Some(judgement), _) => Some(judgement.into()),
            (None, OnFailure::Allow) => None,
            (None, OnFailure::Deny) => Some(Ruling {
                refused: Some(NO_ANSWER),
                ..Ruling::default()
            }),
        })
    }

    fn rule(
        &mut self,
        around: &mut Around<'_>,
        policy: &Policy,
        task: Task,
        (limit, ruling): (&Limit, Ruling),
    ) -> Asked {
        let Ruling {
            quota,
            refused,
            retry_after,
            headers,
            body,
        } = ruling;
        let said = match refused {
            None => Said::Passed,
            Some(label) if limit.dry_run => Said::WouldRefuse(label),
            Some(label) => Said::Refused(label),
        };
        around.saw(policy, task.part, said);
        if limit.dry_run {
            return Ok(());
        }
        self.found.note(task.level, quota);
        let pass = Pass {
            identity: None,
            headers,
        };
        self.found.passes.push((task.level, pass));
        let Some(label) = refused else {
            return Ok(());
        };
        let by = (policy, task.part);
        let refusal = if label == NO_ANSWER {
            Refusal::new(Reason::Unavailable, by, label)
        } else {
            Refusal {
                status: limit.status,
                ..Refusal::new(Reason::ResourceExhausted, by, label)
            }
        };
        Err(Step::Refuse(refusal.retry_after(retry_after).saying(body)))
    }

    pub(super) fn ask_concurrency(
        &mut self,
        around: &mut Around<'_>,
        policy: &Policy,
        concurrency: &Concurrency,
    ) -> Asked {
        let key = self.facts(around).key(&concurrency.key);
        let places = &mut around.worker.places;
        match places.enter(around.host, concurrency, &policy.source, &key) {
            Ok(place) => {
                self.found.places.push(place);
                around.saw(policy, Part::Concurrency, Said::Passed);
                Ok(())
            }
            Err(no_place) => {
                around.saw(policy, Part::Concurrency, Said::Refused("busy"));
                let refusal = Refusal::new(Reason::Unavailable, (policy, Part::Concurrency), no_place);
                Err(Step::Refuse(refusal.retry_after(Some(RETRY_AFTER))))
            }
        }
    }

    fn facts<'a>(&'a self, around: &'a Around<'_>) -> Facts<'a> {
        Facts {
            host: around.host,
            request: around.request,
            claims: &self.found,
        }
    }
}

/// Returns true if a service would be told a header that a level above withholds, such as its API keys.
fn tells_what_is_withheld(descriptor: &[DescriptorEntry], above: &[Level]) -> bool {
    descriptor.iter().any(|entry| match &entry.value {
        EntryValue::Of(KeyPart::Header(name)) => withhold_header(above, name),
        EntryValue::Of(_) | EntryValue::Literal(_) => false,
    })
}

// === impl Ruling ===

impl From<Taken> for Ruling {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Admitted { quota, is_crowded: _ } => Self {
                quota: Some(quota),
                ..Self::default()
            },
            Taken::Limited { quota, retry_after } => Self {
                quota: Some(quota),
                refused: Some(LIMITED),
                retry_after: Some(retry_after),
                ..Self::default()
            },
            Taken::Contended => Self {
                refused: Some("contended"),
                retry_after: Some(RETRY_AFTER),
                ..Self::default()
            },
        }
    }
}

impl From<Judgement> for Ruling {
    fn from(judgement: Judgement) -> Self {
        let Judgement {
            is_over,
            quota,
            mut headers,
            body,
        } = judgement;
        let reset = quota.map(|quota| quota.reset.as_secs());
        // Some services report the quota twice: in the statuses, and as headers, which would duplicate the filter's
        // own.
        if quota.is_some() {
            let is_told = |name: &str| QUOTA_HEADERS.contains(&name) || (is_over && name == "retry-after");
            headers.response.add.retain(|header| !is_told(&header.name));
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

// === impl Claims ===

/// The claims of every token that was verified, the outermost first.
impl Claims for Found {
    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        let identities = self.passes.iter().filter_map(|(_, pass)| pass.identity.as_ref());
        let mut claims = identities.filter_map(|identity| identity.claims.as_ref());
        claims.find_map(|claims| claims.text(name)).map(Cow::Owned)
    }
}
