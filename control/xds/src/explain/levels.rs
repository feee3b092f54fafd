//! What the levels that a request comes through ask of it, and do with it.

use super::{
    Case, Explanation, Mirror, Outcome, Part, Place, Says, Setting,
    surroundings::Notes,
    words::{self, Kind},
};
use switchyard_core::{
    Name,
    table::{self, Host, PolicyKey, Template, Timeout},
};
use switchyard_policy::{
    config::policy::{Check, Policy, When},
    enforce::{changes::inherited, refusal::PolicyRefusal},
    observer::{self, PolicyPart},
    request::Request,
    route::RouteOverrides,
    scope::PolicyScope,
};

/// What Envoy gives an answer where nobody says it.
const DEFAULT_TIMEOUT: &str = "15s";

/// The levels of a request, the outermost first, and what they said.
pub(super) struct Levels<'a, 'r> {
    pub(super) case: Case<'a>,
    pub(super) levels: &'r [PolicyScope],
    pub(super) notes: &'r Notes,
    /// What the route says itself that it ends at.
    pub(super) overrides: RouteOverrides,
    pub(super) request: Request<'r>,
    /// Whether it is sent on.
    pub(super) forwards: bool,
    /// How many of the levels have a say in what the answer says: none has that is below one which answers.
    pub(super) heard: usize,
}

// === impl Levels ===

impl Levels<'_, '_> {
    /// Tells all parts of all levels, and what comes of them.
    pub(super) fn tell(&self, explanation: &mut Explanation) {
        for (at, level) in self.levels.iter().enumerate() {
            let source = level.policy.source.as_str();
            let Some((key, policy)) = self.written(source) else {
                continue;
            };
            for words::Described { part, what } in words::parts(policy) {
                let place = self.place(key, &part.field());
                let (says, why) = match part {
                    Kind::Asked(part) => self.asked((at, level), policy, part),
                    Kind::Headers => (self.edits(at, level), None),
                    Kind::Timeout => (handed_down(explanation.timeout.as_ref(), &place), None),
                    Kind::Retry => (handed_down(explanation.retry.as_ref(), &place), None),
                };
                explanation.policies.push(Part {
                    level: source.to_owned(),
                    part: part.field(),
                    place,
                    what,
                    says,
                    why,
                });
                if let Kind::Asked(part) = part {
                    explanation.assumed.extend(self.assumed(source, policy, part));
                }
            }
            if self.forwards {
                explanation.mirrors.extend(self.mirrors(level, key, policy));
            }
        }
    }

    /// As the control plane has it: what a policy is called by is its own.
    fn written(&self, source: &str) -> Option<(&PolicyKey, &Policy)> {
        let mut policies = self.case.host_snapshot.table.policies.iter();
        let (key, policy) = policies.find(|(_, policy)| policy.source == source)?;
        Some((key, policy))
    }

    fn place(&self, key: &PolicyKey, field: &str) -> Place {
        match key.level() {
            Some((owner, prefix)) => self.case.level_place(&owner, prefix, field),
            None => Place::default(),
        }
    }

    fn edits(&self, at: usize, level: &PolicyScope) -> Says {
        // What is said of answers is said of refusals, too.
        if self.forwards || at < self.heard && !level.policy.headers.response.is_empty() {
            Says::Applies
        } else {
            Says::NotReached
        }
    }

    fn asked(
        &self,
        (at, level): (usize, &PolicyScope),
        policy: &Policy,
        part: PolicyPart,
    ) -> (Says, Option<String>) {
        let source = level.policy.source.as_str();
        let said = self.notes.said(source, part);
        let says = match (part, said) {
            (_, Some(observer::Outcome::Refused(why))) => return (Says::Refuses, Some(why.to_owned())),
            (_, Some(observer::Outcome::WouldRefuse(why))) => {
                return (Says::WouldRefuse, Some(why.to_owned()));
            }
            (PolicyPart::Cors, _) => match inherited(self.levels, |policy| policy.cors.clone()) {
                Some((innermost, _)) if innermost == at => Says::Applies,
                _ => Says::Overruled,
            },
            _ if !self.is_for(level, when(policy, part)) => Says::IsForOthers,
            (PolicyPart::Mirror(_), _) if self.forwards => Says::Applies,
            (PolicyPart::Mirror(_), _) | (_, None) => Says::NotReached,
            _ if self.notes.asked(source, part).is_some() => Says::Asks,
            (PolicyPart::RateLimit(_) | PolicyPart::Concurrency, _) => Says::Counts,
            (PolicyPart::Auth(_), _) => Says::Passes,
        };
        (says, None)
    }

    fn is_for(&self, level: &PolicyScope, when: Option<&When>) -> bool {
        when.is_none_or(|when| when.applies(self.request, level.path.as_deref()))
    }

    /// What was taken to be so when a part was asked.
    fn assumed(&self, source: &str, policy: &Policy, part: PolicyPart) -> Option<String> {
        if let Some(service) = self.notes.asked(source, part) {
            return Some(format!("{source} {part}: {service} says yes"));
        }
        let PolicyPart::Auth(at) = part else {
            return None;
        };
        let requirement = policy.auth.get(at)?;
        let has_no_keys = |check: &Check| matches!(check, Check::Jwt(jwt) if jwt.keys.is_empty());
        let unknown = requirement.any_of.iter().any(has_no_keys);
        unknown.then(|| {
            format!(
                "{source} {part}: the keys of its jwks.uri are not known here, so no token is good; ask a running \
                 control with --control"
            )
        })
    }

    fn mirrors(&self, level: &PolicyScope, key: &PolicyKey, policy: &Policy) -> Vec<Mirror> {
        let mirrors = policy.mirror.iter().enumerate();
        let copies = mirrors.filter(|(_, mirror)| self.is_for(level, mirror.when.as_ref()));
        copies
            .map(|(at, mirror)| {
                let (service, port) = words::service(&mirror.cluster);
                Mirror {
                    service,
                    port,
                    percent: mirror.percent,
                    place: self.place(key, &format!("mirror[{at}]")),
                }
            })
            .collect()
    }

    /// What a policy keeps the request by.
    pub(super) fn refusal(&self, refusal: &PolicyRefusal) -> Outcome {
        let (level, part) = refusal.policy.rsplit_once(' ').unwrap_or((&refusal.policy, ""));
        let place = self.written(level).map(|(key, _)| self.place(key, part));
        Outcome::Refuse {
            status: refusal.status,
            why: refusal.details.clone(),
            level: level.to_owned(),
            part: part.to_owned(),
            place: place.unwrap_or_default(),
        }
    }

    /// How long the answer may take, to requests of a leaf.
    pub(super) fn timeout(
        &self,
        host: &Host,
        (owner, prefix): (&Name, &str),
        template: Option<&Template>,
    ) -> Setting {
        if self.overrides.timeout
            && let Some(template) = template
        {
            return self.case.timeout_of(host, (owner, prefix), template);
        }
        let said = inherited(self.levels, |policy| policy.timeout_ms);
        let said = said.map(|(at, limit)| self.setting(at, "timeoutPolicy", words::timeout(limit)));
        said.unwrap_or_else(default_timeout)
    }

    /// How they are tried again, if they are.
    pub(super) fn retry(
        &self,
        host: &Host,
        (owner, prefix): (&Name, &str),
        template: Option<&Template>,
    ) -> Option<Setting> {
        if self.overrides.retry
            && let Some(template) = template
        {
            return self.case.retry_of(host, (owner, prefix), template);
        }
        let (at, retry) = inherited(self.levels, |policy| policy.retry)?;
        Some(self.setting(at, "retryPolicy", words::of_retry(retry)))
    }

    fn setting(&self, at: usize, field: &str, value: String) -> Setting {
        let source = self.levels.get(at).map(|level| level.policy.source.as_str());
        let written = source.and_then(|source| self.written(source));
        Setting {
            value,
            place: written.map(|(key, _)| self.place(key, field)),
        }
    }
}

/// What a level says for those below it counts where nobody says it in its stead.
fn handed_down(said: Option<&Setting>, place: &Place) -> Says {
    match said {
        None => Says::NotReached,
        Some(setting) if setting.place.as_ref() == Some(place) => Says::Applies,
        Some(_) => Says::Overruled,
    }
}

fn when(policy: &Policy, part: PolicyPart) -> Option<&When> {
    match part {
        PolicyPart::RateLimit(at) => policy.rate_limits.get(at)?.when.as_ref(),
        PolicyPart::Mirror(at) => policy.mirror.get(at)?.when.as_ref(),
        PolicyPart::Cors | PolicyPart::Auth(_) | PolicyPart::Concurrency => None,
    }
}

fn default_timeout() -> Setting {
    Setting {
        value: DEFAULT_TIMEOUT.to_owned(),
        place: None,
    }
}

// === impl Case ===

impl Case<'_> {
    /// How long the answer may take, as a route says itself; or as the virtualhost says, in whose routes it is.
    pub(super) fn timeout_of(self, host: &Host, at: (&Name, &str), template: &Template) -> Setting {
        let Some(timeout) = template.timeout else {
            return default_timeout();
        };
        let value = match timeout {
            Timeout::Infinite => words::timeout(0),
            Timeout::After(limit) => format!("{limit:?}"),
        };
        let is_own = |own: &Template| own.timeout.is_some();
        Setting {
            value,
            place: Some(self.said_by(host, at, "timeoutPolicy", is_own)),
        }
    }

    /// How requests are tried again, likewise.
    pub(super) fn retry_of(self, host: &Host, at: (&Name, &str), template: &Template) -> Option<Setting> {
        let table::Retry {
            count,
            per_try_timeout,
        } = template.retry?;
        let per_try_timeout_ms =
            per_try_timeout.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let retry = switchyard_policy::config::policy::Retry {
            count,
            per_try_timeout_ms,
        };
        Some(Setting {
            value: words::of_retry(retry),
            place: Some(self.said_by(host, at, "retryPolicy", |own| own.retry.is_some())),
        })
    }

    fn said_by(
        self,
        host: &Host,
        (owner, prefix): (&Name, &str),
        field: &str,
        is_own: impl Fn(&Template) -> bool,
    ) -> Place {
        if self.host_snapshot.own_template(owner, prefix).is_some_and(is_own) {
            self.level_place(owner, Some(prefix), field)
        } else {
            self.level_place(&host.root, None, field)
        }
    }
}
