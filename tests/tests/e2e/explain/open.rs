//! The parts that an explanation leaves open: limits that others may have used up, calls to services, and mirrors of a
//! share of the requests.

use super::{
    holds::Sight,
    requests::{Answer, Outcome as Seen},
};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use switchyard_tests::gatekeeper::Told;
use switchyard_xds::explain::{Explanation, Mirror, Outcome, Part, Says};

/// A call to a service: the service's name, and the protocol.
type Question = (String, Protocol);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Http,
    Authorization,
    RateLimit,
}

/// The number of copies that each Service gets.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    /// The copies that are sent regardless of sampling.
    certain: BTreeMap<String, usize>,
    most: BTreeMap<String, usize>,
}

// === impl Sight ===

impl Sight<'_> {
    /// Returns true if the request was rejected by a part whose result the explanation leaves open.
    pub(super) fn is_left_open(&self, explanation: &Explanation, answer: &Answer) -> Result<bool> {
        let Some(part) = self.kept_by(explanation) else {
            return Ok(false);
        };
        match part.says {
            Says::Counts => ensure!(
                [429, 503].contains(&answer.status),
                "a limit answered {}",
                answer.status
            ),
            Says::Asks if is_limit(part) => ensure!(
                self.asked.is_over() && answer.status == 429,
                "a service that counts answered {}",
                answer.status
            ),
            // The other alternative, whose result is known, affects the status.
            Says::Asks if part.what.contains(", or ") => ensure!(
                [400, 401, 403].contains(&answer.status),
                "neither let it through, and {} was answered",
                answer.status
            ),
            Says::Asks => ensure!(answer.status == 403, "a service answered {}", answer.status),
            _ => return Ok(false),
        }
        ensure!(self.attempts == 0, "an upstream was asked, though {part:?}");
        Ok(true)
    }

    /// Checks that the explained services were called, up to the first that rejects the request.
    pub(super) fn is_asked(&self, explanation: &Explanation) -> Result<()> {
        let asks = explanation.policies.iter().filter(|part| part.says == Says::Asks);
        let (limits, checks): (Vec<_>, Vec<_>) = asks.partition(|part| is_limit(part));
        let kept_by = self.kept_by(explanation);
        let explained = match (kept_by, checks.first()) {
            // Local limits come before all services.
            (Some(part), _) if part.says == Says::Counts && is_limit(part) => Vec::new(),
            (_, Some(first)) if !self.asked.is_let_through() => {
                // The service rejects the request, and no further one is called.
                ensure!(
                    kept_by == Some(*first),
                    "{first:?} says no, and it was kept by {kept_by:?}"
                );
                vec![*first]
            }
            _ => {
                let last = limits.iter().position(|part| kept_by == Some(*part));
                let limits = last.and_then(|last| limits.get(..=last)).unwrap_or(&limits);
                let is_over = |part: &&&Part| self.asked.is_over() && !part.what.ends_with(", on trial");
                let over = limits.iter().find(is_over);
                ensure!(
                    over.is_none_or(|over| kept_by == Some(*over)),
                    "{over:?} says that there are too many, and it was kept by {kept_by:?}"
                );
                [&checks, limits].concat()
            }
        };
        let mut explained = explained.into_iter().map(question).collect::<Result<Vec<_>>>()?;
        let told = self.questions.iter();
        let mut asked: Vec<Question> = told
            .map(|(service, told)| (service.clone(), Protocol::of(told)))
            .collect();
        explained.sort();
        asked.sort();
        ensure!(asked == explained, "asked were {asked:?}, not {explained:?}");
        let is_internal = |name: &String| name.starts_with("x-switchyard-");
        let internal = self.questions.iter().flat_map(|(_, told)| told.headers.keys());
        let internal: Vec<_> = internal.filter(|name| is_internal(name)).collect();
        ensure!(internal.is_empty(), "a service was told {internal:?}");
        Ok(())
    }

    /// The kinds of open parts that the case covers.
    pub(super) fn kinds(&self, explanation: &Explanation) -> Vec<String> {
        let keeper = self.kept_by(explanation);
        let kept_by = keeper.map(|part| part.says);
        let jwt = explanation
            .policies
            .iter()
            .any(|part| part.what.starts_with("jwt") && part.says == Says::Passes);
        let counted = self.attempts > 0 && self.questions.iter().any(|(_, told)| told.count.is_some());
        let kinds = [
            (
                !self.questions.is_empty() && self.asked.is_let_through(),
                "let through by a service",
            ),
            (self.attempts > 1, "tried again"),
            (kept_by == Some(Says::Asks), "kept by a service"),
            (counted, "let through by a service that counts"),
            (
                kept_by == Some(Says::Asks) && keeper.is_some_and(is_limit),
                "kept by a service that counts",
            ),
            (kept_by == Some(Says::Counts), "kept by a limit"),
            (jwt, "known by a token"),
        ];
        let kinds = kinds.into_iter().filter(|(is_one, _)| *is_one);
        kinds.map(|(_, kind)| kind.to_owned()).collect()
    }

    /// The part that rejected the request, according to the log.
    fn kept_by<'e>(&self, explanation: &'e Explanation) -> Option<&'e Part> {
        let by = self.logged("policy");
        let mut parts = explanation.policies.iter();
        parts.find(|part| by == format!("{} {}", part.level, part.part))
    }

    /// The copies to expect of a request with this explanation.
    pub(super) fn copies(&self, explanation: &Explanation) -> Copies {
        match self.seen {
            Seen::Answer(answer) if answer.backend().is_some() => Copies::of(&explanation.mirrors),
            Seen::Answer(_) | Seen::Closed => Copies::default(),
        }
    }
}

fn is_limit(part: &Part) -> bool {
    part.part.starts_with("rateLimits")
}

/// The service that a part calls, from its description: `external by a/guard/80 over grpc, ...`, `as a/meter/80 counts
/// in ...`.
fn question(part: &Part) -> Result<Question> {
    let (before, between) = if is_limit(part) {
        ("as ", " counts in ")
    } else {
        ("external by ", " over ")
    };
    let (_, words) = part.what.split_once(before).context("no service")?;
    let (service, rest) = words.split_once(between).context("no protocol")?;
    let (service, _port) = service.rsplit_once('/').context("no port")?;
    let protocol = match rest {
        _ if is_limit(part) => Protocol::RateLimit,
        rest if rest.starts_with("grpc") => Protocol::Authorization,
        _ => Protocol::Http,
    };
    Ok((service.to_owned(), protocol))
}

// === impl Protocol ===

impl Protocol {
    fn of(told: &Told) -> Self {
        match (&told.check, &told.count) {
            (Some(_), _) => Self::Authorization,
            (None, Some(_)) => Self::RateLimit,
            (None, None) => Self::Http,
        }
    }
}

// === impl Copies ===

impl Copies {
    fn of(mirrors: &[Mirror]) -> Self {
        let mut copies = Self::default();
        for Mirror { service, percent, .. } in mirrors {
            if *percent == 100 {
                *copies.certain.entry(service.clone()).or_default() += 1;
            }
            if *percent > 0 {
                *copies.most.entry(service.clone()).or_default() += 1;
            }
        }
        copies
    }

    /// Checks that all certain copies have arrived, and none that are not explained.
    pub(super) fn are(&self, came: &[(String, Told)]) -> Result<()> {
        self.are_no_more_than(came)?;
        for (service, count) in &self.certain {
            let came = came.iter().filter(|(other, _)| other == service).count();
            ensure!(came >= *count, "{service} has got {came} copies, not {count}");
        }
        Ok(())
    }

    /// Checks that no unexplained copies have arrived.
    pub(super) fn are_no_more_than(&self, came: &[(String, Told)]) -> Result<()> {
        for (service, _) in came {
            let most = self.most.get(service).copied().unwrap_or_default();
            let came = came.iter().filter(|(other, _)| other == service).count();
            ensure!(
                came <= most,
                "{service} has got {came} copies, and {most} at most are explained"
            );
        }
        Ok(())
    }

    /// Returns true if some copies are sent regardless of sampling.
    pub(super) fn is_certain(&self) -> bool {
        !self.certain.is_empty()
    }
}

/// Checks that a copy has the path of the forwarded request and is marked as a copy.
pub(super) fn is_copy(told: &Told, explanation: &Explanation) -> Result<()> {
    let Outcome::Forward { path, .. } = &explanation.outcome else {
        anyhow::bail!("a copy of what is not sent on: {told:?}");
    };
    ensure!(told.path == *path, "a copy was asked for {}", told.path);
    let says = told.headers.get("x-switchyard-mirrored").map(String::as_str);
    ensure!(says == Some("true"), "{told:?}");
    let Told { headers, .. } = told;
    let known = ["x-switchyard-mirrored", "x-switchyard-user", "x-switchyard-auth"];
    let internal = headers.keys().filter(|name| name.starts_with("x-switchyard-"));
    let unknown: Vec<_> = internal.filter(|name| !known.contains(&name.as_str())).collect();
    ensure!(unknown.is_empty(), "a copy says {unknown:?}");
    Ok(())
}
