//! Policies prepared for requests.

pub mod cors;
pub mod mirror;

use crate::{
    auth::{AuthRequirement, RequirementError},
    call::encode,
    config::policy::{self as config, Concurrency, HeaderMatch, Headers, KeyPart, Retry, When},
    hash::hash,
    observer::PolicyPart,
    protected::ProtectedFields,
};
use cors::CorsPolicy;
use mirror::RequestMirror;
use prost::Message;
use std::{collections::BTreeSet, fmt};

/// A [`config::Policy`] in the form that requests use. Its Debug form contains no secrets.
pub struct PreparedPolicy {
    pub source: String,
    pub cors: Option<CorsPolicy>,
    pub auth: Vec<AuthRequirement>,
    /// The headers and parameters that its requirements protect, whichever check passes.
    pub protected: ProtectedFields,
    pub limits: Vec<PolicyLimit>,
    pub concurrency: Option<Concurrency>,
    pub mirrors: Vec<RequestMirror>,
    pub headers: Headers,
    pub timeout_ms: Option<u64>,
    pub retry: Option<Retry>,
    /// The parts to check, with their stages.
    pub checks: Vec<(Stage, PolicyPart)>,
    /// True if the policy only mirrors: its requests are not counted, because the filter need not see all of them.
    pub only_mirrors: bool,
    depends_on_path: bool,
}

/// A rate limit.
#[derive(Clone, Debug)]
pub struct PolicyLimit {
    /// The ID of its counters.
    pub id: String,
    pub when: Option<When>,
    pub dry_run: bool,
    pub status: u16,
    pub counted: Counted,
}

/// The counter of a limit: the proxy's own, or that of a service.
#[derive(Clone, Debug)]
pub enum Counted {
    Local(config::LocalLimit),
    Global(config::GlobalLimit),
}

/// A stage of enforcement. In one stage, outer scopes come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Limits that do not depend on the client's identity: they protect what follows.
    Limits,
    Auth,
    LimitsByClaim,
    GlobalLimits,
    Concurrency,
}

/// The reason that a policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("auth[{0}].{1}")]
    Auth(usize, RequirementError),
    #[error("rateLimits[{0}]: neither local nor global")]
    Limit(usize),
}

// === impl PreparedPolicy ===

impl TryFrom<config::Policy> for PreparedPolicy {
    type Error = PolicyError;

    fn try_from(policy: config::Policy) -> Result<Self, PolicyError> {
        let (depends_on_path, only_mirrors) = (policy.depends_on_path(), policy.only_mirrors());
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
            checks: checks(&auth, &limits, concurrency.as_ref()).collect(),
            protected: protected(&auth),
            auth,
            limits,
            source,
            cors: cors.map(CorsPolicy::from),
            concurrency,
            mirrors: mirror.into_iter().map(RequestMirror::from).collect(),
            headers: headers.unwrap_or_default(),
            timeout_ms,
            retry,
            only_mirrors,
            depends_on_path,
        })
    }
}

impl PreparedPolicy {
    /// Returns true if the policy depends on the path as its level sees it.
    #[must_use]
    pub fn depends_on_path(&self) -> bool {
        self.depends_on_path
    }
}

impl fmt::Debug for PreparedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl config::Policy {
    fn depends_on_path(&self) -> bool {
        let limits = self.rate_limits.iter().map(|limit| &limit.when);
        let mirrors = self.mirror.iter().map(|mirror| &mirror.when);
        limits.chain(mirrors).flatten().any(|when| when.prefix.is_some())
    }
}

fn requirements(auth: Vec<config::Requirement>) -> Result<Vec<AuthRequirement>, PolicyError> {
    let ready = |(at, requirement)| {
        AuthRequirement::try_from(requirement).map_err(|error| PolicyError::Auth(at, error))
    };
    auth.into_iter().enumerate().map(ready).collect()
}

fn protected(auth: &[AuthRequirement]) -> ProtectedFields {
    let mut all = ProtectedFields::default();
    for ProtectedFields { headers, parameters } in auth.iter().map(AuthRequirement::protected) {
        all.headers.extend(headers.iter().cloned());
        all.parameters.extend(parameters.iter().cloned());
    }
    all
}

fn checks(
    auth: &[AuthRequirement],
    limits: &[PolicyLimit],
    concurrency: Option<&Concurrency>,
) -> impl Iterator<Item = (Stage, PolicyPart)> {
    let auth = (0..auth.len()).map(|at| (Stage::Auth, PolicyPart::Auth(at)));
    let limits = limits.iter().enumerate();
    let limits = limits.map(|(at, limit)| (limit.stage(), PolicyPart::RateLimit(at)));
    let concurrency = concurrency.map(|_| (Stage::Concurrency, PolicyPart::Concurrency));
    auth.chain(limits).chain(concurrency)
}

/// Prepares limits. Limits of one policy that count the same requests in the same way are numbered in order. So a
/// counter survives all edits except those of what it counts.
fn limits(source: &str, limits: Vec<config::RateLimit>) -> Result<Vec<PolicyLimit>, PolicyError> {
    let mut seen: Vec<u64> = Vec::new();
    let named = limits.into_iter().enumerate();
    let named = named.map(|(at, limit)| {
        let config::RateLimit {
            when,
            dry_run,
            status,
            local,
            global,
        } = limit;
        let counted = match (local, global) {
            (Some(local), None) => Counted::Local(local),
            (None, Some(global)) => Counted::Global(global),
            _ => return Err(PolicyError::Limit(at)),
        };
        let identity = hash(&identity(when.as_ref(), counted.key()));
        let order = 1 + seen.iter().filter(|seen| **seen == identity).count();
        seen.push(identity);
        Ok(PolicyLimit {
            id: format!("{source} {identity:016x} {order}"),
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
fn identity(when: Option<&When>, key: &[KeyPart]) -> Vec<u8> {
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

// === impl Stage ===

impl Stage {
    pub(crate) const ALL: [Self; 5] = [
        Self::Limits,
        Self::Auth,
        Self::LimitsByClaim,
        Self::GlobalLimits,
        Self::Concurrency,
    ];
}

// === impl PolicyLimit ===

impl PolicyLimit {
    /// The stage of the limit. A limit by claim waits for tokens to be verified.
    fn stage(&self) -> Stage {
        match &self.counted {
            Counted::Global(_) => Stage::GlobalLimits,
            Counted::Local(local) if local.key.iter().any(KeyPart::is_claim) => Stage::LimitsByClaim,
            Counted::Local(_) => Stage::Limits,
        }
    }
}

// === impl Counted ===

impl Counted {
    fn key(&self) -> &[KeyPart] {
        match self {
            Self::Local(local) => &local.key,
            Self::Global(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests;
