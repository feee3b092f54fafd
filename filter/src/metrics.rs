//! Counters of policy outcomes: `switchyard.policy=<policy>.route=<route>.branch=<branches>.<result>`.
//!
//! | result | counts requests |
//! |---|---|
//! | `allowed` | that the policy let through, if it does more than mirror |
//! | `limited` | refused by a rate limit |
//! | `would_limit` | that a dry-run rate limit would refuse |
//! | `denied_<reason>` | refused for any other reason, such as `missing` credentials, or `no_answer` of a service |
//! | `unasked` | let through although a required service did not answer |
//! | `crowded` | for which a rate limit evicted the state of another client |
//! | `mirrored` | copied, by the number of copies |
//!
//! Users choose the names of policies, routes and branches, and there may be many. A worker counts by policy, route and
//! branches until it has [`MAX_SERIES`] of these; further ones by policy alone, as route `other`; and after as many
//! again all as `other`.

use crate::abi;
use siphasher::sip::SipHasher13;
use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};
use switchyard_policy::observer::{LIMITED, Outcome, PolicyObserver, PolicyPart};

/// The most series of a kind. Each has several counters, and each of those takes some hundred bytes in Envoy.
const MAX_SERIES: usize = 1_000;
/// The most entries of `Metrics::known`: there may be more than counters, because some share one.
const MAX_KNOWN: usize = 8 * MAX_SERIES;
const OTHERS: &str = "other";
const OTHER_WAYS: Way<'_> = Way {
    route: OTHERS,
    branches: OTHERS,
};

/// The counters of a worker; Envoy merges counters of the same name.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Metric IDs of counters, by series as [`series`] formats it.
    counters: BTreeMap<String, Vec<(Counter, u32)>>,
    /// Metric IDs by a hash of policy, way and counter: most requests are counted without formatting a series.
    known: BTreeMap<u64, u32>,
}

/// The labels of a request: its route, and the branch taken at each switch.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Way<'a> {
    pub(crate) route: &'a str,
    pub(crate) branches: &'a str,
}

/// Counts the outcomes of a request.
pub(crate) struct Counting<'a> {
    pub(crate) metrics: &'a mut Metrics,
    pub(crate) way: Way<'a>,
}

/// A kind of counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counter {
    Allowed,
    Limited,
    WouldLimit,
    Denied(&'static str),
    Unasked,
    Crowded,
    Mirrored,
}

// === impl Metrics ===

impl Metrics {
    fn count(&mut self, source: &str, way: Way<'_>, counter: Counter) {
        let what = hash(&(source, way, counter));
        let known = self.known.get(&what).copied();
        if let Some(id) = known.or_else(|| self.learn(what, (source, way), counter)) {
            // A counter that the host has defined can be incremented without errors.
            abi::increment_metric(id).ok();
        }
    }

    fn learn(&mut self, what: u64, (source, way): (&str, Way<'_>), counter: Counter) -> Option<u32> {
        let id = self.define_in_room((series(source, way), source), counter)?;
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(what, id);
        Some(id)
    }

    fn id(&self, series: &str, counter: Counter) -> Option<u32> {
        let counters = self.counters.get(series)?;
        let (_, id) = counters.iter().find(|(known, _)| *known == counter)?;
        Some(*id)
    }

    /// Returns the metric ID in the narrowest series that exists or has room, and defines it if needed.
    fn define_in_room(&mut self, (exact, source): (String, &str), counter: Counter) -> Option<u32> {
        let of_policy = || series(source, OTHER_WAYS);
        let series = if self.has(&exact, MAX_SERIES) {
            exact
        } else if self.has(&of_policy(), 2 * MAX_SERIES) {
            of_policy()
        } else {
            series(OTHERS, OTHER_WAYS)
        };
        self.id(&series, counter).or_else(|| self.define(series, counter))
    }

    fn has(&self, series: &str, or_fewer_than: usize) -> bool {
        self.counters.contains_key(series) || self.counters.len() < or_fewer_than
    }

    fn define(&mut self, series: String, counter: Counter) -> Option<u32> {
        let id = counter.define(&series)?;
        self.counters.entry(series).or_default().push((counter, id));
        Some(id)
    }
}

/// Hashes the key of a counter. Keys with the same hash are counted as one: users would have to try 2^32 names to find
/// two of their own.
fn hash(what: &impl Hash) -> u64 {
    let mut hasher = SipHasher13::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Formats a series, in the parts that control's bootstrap tells Envoy to make labels of.
fn series(policy: &str, Way { route, branches }: Way<'_>) -> String {
    ["policy=", policy, ".route=", route, ".branch=", branches].concat()
}

// === impl Counting ===

impl PolicyObserver for Counting<'_> {
    fn record(&mut self, source: &str, _part: PolicyPart, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Passed => return,
            Outcome::Refused(LIMITED) => Counter::Limited,
            Outcome::Refused(reason) => Counter::Denied(reason),
            Outcome::WouldRefuse(_) => Counter::WouldLimit,
            Outcome::FailureModeAllowed => Counter::Unasked,
            Outcome::Evicted => Counter::Crowded,
            Outcome::Mirrored => Counter::Mirrored,
        };
        self.metrics.count(source, self.way, counter);
    }

    fn record_allowed(&mut self, source: &str) {
        self.metrics.count(source, self.way, Counter::Allowed);
    }
}

// === impl Counter ===

impl Counter {
    fn define(self, series: &str) -> Option<u32> {
        // Envoy's stats sinks use these as separators between names and values.
        let series = series
            .replace(", ", ">")
            .replace([' ', ':', '|', ';', '#', ','], "_");
        let name = format!("switchyard.{series}.{}", self.name());
        abi::define_counter(&name)
    }

    fn name(self) -> String {
        match self {
            Self::Allowed => "allowed".to_owned(),
            Self::Limited => "limited".to_owned(),
            Self::WouldLimit => "would_limit".to_owned(),
            Self::Denied(reason) => format!("denied_{reason}"),
            Self::Unasked => "unasked".to_owned(),
            Self::Crowded => "crowded".to_owned(),
            Self::Mirrored => "mirrored".to_owned(),
        }
    }
}
