//! A policy, made ready for requests.

use crate::{
    auth::{Fault, Requirement, Withheld},
    config::{
        self,
        policy::{Concurrency, HeaderMatch, Headers, KeyPart, Retry, When},
    },
    enforce::{Stage, cors::Cors, mirror::Mirror, witness::Part},
    hash::hash,
    maps::Set,
    protobuf::Writer,
};
use std::fmt;

/// What [`config::Policy`] says, in the form in which requests ask for it. Its Debug form tells no secret.
pub struct Policy {
    pub source: String,
    pub cors: Option<Cors>,
    pub auth: Vec<Requirement>,
    /// By its requirements, whichever way they are met.
    pub withheld: Withheld,
    pub limits: Vec<Limit>,
    pub concurrency: Option<Concurrency>,
    pub mirrors: Vec<Mirror>,
    pub headers: Headers,
    pub timeout_ms: Option<u64>,
    pub retry: Option<Retry>,
    /// What it asks, and when.
    pub asks: Vec<(Stage, Part)>,
    /// It does not count requests, for it need not be asked about all of them.
    pub only_mirrors: bool,
    looks_at_path: bool,
}

/// A rate limit.
#[derive(Clone, Debug)]
pub struct Limit {
    /// What its counters go by.
    pub id: String,
    pub when: Option<When>,
    pub dry_run: bool,
    pub status: u16,
    pub counted: Counted,
}

/// Where requests are counted.
#[derive(Clone, Debug)]
pub enum Counted {
    Here(config::policy::LocalLimit),
    ByService(config::policy::GlobalLimit),
}

/// A policy that makes no sense.
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
    /// Whether what it asks depends on the path as its level sees it.
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

/// Limits of one policy that count the same requests in the same way are told apart by their order. So a counter outlives
/// all edits but those of what is counted.
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

/// What a limit counts: other bytes where that is something else. Releases of the filter that differ in them hand out
/// fresh buckets, so they are written out, by names and numbers, and no hash of Rust's. In which order methods and headers
/// stand makes no difference.
fn what(when: Option<&When>, key: &[KeyPart]) -> Vec<u8> {
    let mut what = Writer::default();
    if let Some(When {
        methods,
        prefix,
        headers,
    }) = when
    {
        for method in methods.iter().collect::<Set<_>>().iter() {
            what = what.bytes(1, method);
        }
        if let Some(prefix) = prefix {
            what = what.bytes(2, prefix);
        }
        for HeaderMatch { name, value } in headers.iter().collect::<Set<_>>().iter() {
            let name = Writer::default().bytes(1, name);
            let header = value.iter().fold(name, |header, value| header.bytes(2, value));
            what = what.message(3, header);
        }
    }
    for part in key {
        let (kind, name) = part.kind_and_name();
        what = what.message(4, Writer::default().bytes(1, kind).bytes(2, name));
    }
    what.into_bytes()
}

// === impl Limit ===

impl Limit {
    /// One whose key has a claim waits for tokens to be verified.
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
