//! Policies prepared for requests.

use crate::{
    auth::{Fault, Requirement, Withheld},
    call::encode,
    config::{
        self,
        policy::{Concurrency, HeaderMatch, Headers, KeyPart, Retry, When},
    },
    enforce::{Stage, cors::Cors, mirror::Mirror, witness::Part},
    hash::hash,
};
use prost::Message;
use std::{collections::BTreeSet, fmt};

/// A [`config::Policy`] in the form that requests use. Its Debug form contains no secrets.
pub struct Policy {
    pub source: String,
    pub cors: Option<Cors>,
    pub auth: Vec<Requirement>,
    /// The headers and parameters that its requirements withhold, whichever check passes.
    pub withheld: Withheld,
    pub limits: Vec<Limit>,
    pub concurrency: Option<Concurrency>,
    pub mirrors: Vec<Mirror>,
    pub headers: Headers,
    pub timeout_ms: Option<u64>,
    pub retry: Option<Retry>,
    /// The parts to check, with their stages.
    pub asks: Vec<(Stage, Part)>,
    /// True if the policy only mirrors: its requests are not counted, because the filter need not see all of them.
    pub only_mirrors: bool,
    looks_at_path: bool,
}

/// A rate limit.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The ID of its counters.
    pub id: String,
    pub when: Option<When>,
    pub dry_run: bool,
    pub status: u16,
    pub counted: Counted,
}

/// The place that counts requests.
#[derive(Clone, Debug)]
pub enum Counted {
    Here(config::policy::LocalLimit),
    ByService(config::policy::GlobalLimit),
}

/// The reason that a policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("auth[{0}].{1}")]
    Auth(usize, Fault),
    #[error("rateLimits[{0}]: neither local nor global")]
    Limit(usize),
}

// === impl Policy ===

impl TryFrom<config::Policy> for Policy {
    type Error = Unfit;

    fn try_from(policy: config::Policy) -> Result<Self, Unfit> {
        let (looks_at_path, only_mirrors) = (policy.looks_at_path(), policy.only_mirrors());
        let config::Policy {
            source,
            cors,
            auth,
            rate_limits,
            concurrency,
            mirror,
            headers,
            timeout_ms,
            retry,
        } = policy;
        let auth = requirements(auth)?;
        let limits = limits(&source, rate_limits)?;
        Ok(Self {
            asks: asks(&auth, &limits, concurrency.as_ref()).collect(),
            withheld: withheld(&auth),
            auth,
            limits,
            source,
            cors: cors.map(Cors::from),
            concurrency,
            mirrors: mirror.into_iter().map(Mirror::from).collect(),
            headers: headers.unwrap_or_default(),
            timeout_ms,
            retry,
            only_mirrors,
            looks_at_path,
        })
    }
}

impl Policy {
    /// Returns true if the policy depends on the path as its level sees it.
    #[must_use]
    pub fn looks_at_path(&self) -> bool {
        self.looks_at_path
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl config::Policy {
    fn looks_at_path(&self) -> bool {
        let limits = self.rate_limits.iter().map(|limit| &limit.when);
        let mirrors = self.mirror.iter().map(|mirror| &mirror.when);
        limits.chain(mirrors).flatten().any(|when| when.prefix.is_some())
    }
}

fn requirements(auth: Vec<config::policy::Requirement>) -> Result<Vec<Requirement>, Unfit> {
    let ready =
        |(at, requirement)| Requirement::try_from(requirement).map_err(|fault| Unfit::Auth(at, fault));
    auth.into_iter().enumerate().map(ready).collect()
}

fn withheld(auth: &[Requirement]) -> Withheld {
    let mut all = Withheld::default();
    for Withheld { headers, parameters } in auth.iter().map(Requirement::withheld) {
        all.headers.extend(headers.iter().cloned());
        all.parameters.extend(parameters.iter().cloned());
    }
    all
}

fn asks(
    auth: &[Requirement],
    limits: &[Limit],
    concurrency: Option<&Concurrency>,
) -> impl Iterator<Item = (Stage, Part)> {
    let auth = (0..auth.len()).map(|at| (Stage::Auth, Part::Auth(at)));
    let limits = limits.iter().enumerate();
    let limits = limits.map(|(at, limit)| (limit.stage(), Part::RateLimit(at)));
    let places = concurrency.map(|_| (Stage::Concurrency, Part::Concurrency));
    auth.chain(limits).chain(places)
}

/// Prepares limits. Limits of one policy that count the same requests in the same way are numbered in order. So a
/// counter survives all edits except those of what it counts.
fn limits(source: &str, limits: Vec<config::policy::RateLimit>) -> Result<Vec<Limit>, Unfit> {
    let mut seen: Vec<u64> = Vec::new();
    let named = limits.into_iter().enumerate();
    let named = named.map(|(at, limit)| {
        let config::policy::RateLimit {
            when,
            dry_run,
            status,
            local,
            global,
        } = limit;
        let counted = match (local, global) {
            (Some(local), None) => Counted::Here(local),
            (None, Some(global)) => Counted::ByService(global),
            _ => return Err(Unfit::Limit(at)),
        };
        let what = hash(&what(when.as_ref(), counted.key()));
        let order = 1 + seen.iter().filter(|seen| **seen == what).count();
        seen.push(what);
        Ok(Limit {
            id: format!("{source} {what:016x} {order}"),
            when,
            dry_run,
            status,
            counted,
        })
    });
    named.collect()
}

/// The bytes that identify what a limit counts. Releases of the filter that differ in them hand out fresh buckets, so
/// they are encoded by names and numbers, without a hash of Rust's. The order of methods and headers makes no
/// difference.
fn what(when: Option<&When>, key: &[KeyPart]) -> Vec<u8> {
    let no_condition = When::default();
    let When {
        methods,
        prefix,
        headers,
    } = when.unwrap_or(&no_condition);
    let methods: BTreeSet<_> = methods.iter().collect();
    let headers: BTreeSet<_> = headers.iter().collect();
    let header = |HeaderMatch { name, value }: &HeaderMatch| CountedHeader {
        name: name.clone(),
        value: value.clone(),
    };
    let part = |part: &KeyPart| {
        let (kind, name) = part.kind_and_name();
        CountedPart {
            kind: kind.to_owned(),
            name: name.into_owned(),
        }
    };
    encode(&CountedRequests {
        methods: methods.into_iter().cloned().collect(),
        prefix: prefix.clone(),
        headers: headers.into_iter().map(header).collect(),
        key: key.iter().map(part).collect(),
    })
}

/// The condition and the key of a limit, as in the names of its buckets.
#[derive(Clone, PartialEq, Message)]
struct CountedRequests {
    #[prost(string, repeated, tag = "1")]
    methods: Vec<String>,
    #[prost(string, optional, tag = "2")]
    prefix: Option<String>,
    #[prost(message, repeated, tag = "3")]
    headers: Vec<CountedHeader>,
    #[prost(message, repeated, tag = "4")]
    key: Vec<CountedPart>,
}

/// A [`HeaderMatch`].
#[derive(Clone, PartialEq, Message)]
struct CountedHeader {
    #[prost(string, required, tag = "1")]
    name: String,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// A [`KeyPart`].
#[derive(Clone, PartialEq, Message)]
struct CountedPart {
    #[prost(string, required, tag = "1")]
    kind: String,
    #[prost(string, required, tag = "2")]
    name: String,
}

// === impl Limit ===

impl Limit {
    /// The stage of the limit. A limit by claim waits for tokens to be verified.
    fn stage(&self) -> Stage {
        match &self.counted {
            Counted::ByService(_) => Stage::LimitsByService,
            Counted::Here(local) if local.key.iter().any(KeyPart::is_claim) => Stage::LimitsByClaim,
            Counted::Here(_) => Stage::Limits,
        }
    }
}

// === impl Counted ===

impl Counted {
    fn key(&self) -> &[KeyPart] {
        match self {
            Self::Here(local) => &local.key,
            Self::ByService(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests;
