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

use crate::{
    observer::{LIMITED, Outcome, PolicyObserver, PolicyPart},
    proxy::Proxy,
};
use siphasher::sip::SipHasher13;
use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

/// The most series of a kind. Each has several counters, and each of those takes some hundred bytes in Envoy.
const MAX_SERIES: usize = 1_000;
/// The most entries of `Metrics::known`: there may be more than counters, because some share one.
const MAX_KNOWN: usize = 8 * MAX_SERIES;
const OTHERS: &str = "other";
const OTHER_LABELS: MetricLabels<'_> = MetricLabels {
    route: OTHERS,
    branches: OTHERS,
};

/// The counters of a worker; Envoy merges counters of the same name.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Metric IDs of counters, by series as [`series`] formats it.
    counters: BTreeMap<String, Vec<(Counter, u32)>>,
    /// Metric IDs by a hash of policy, labels and counter: most requests are counted without formatting a series.
    known: BTreeMap<u64, u32>,
}

/// The labels of a request: its route, and the branch taken at each switch.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct MetricLabels<'a> {
    pub(super) route: &'a str,
    pub(super) branches: &'a str,
}

/// Counts the outcomes of a request.
pub(super) struct Counting<'a, P> {
    pub(super) metrics: &'a mut Metrics,
    pub(super) labels: MetricLabels<'a>,
    pub(super) proxy: &'a P,
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
    fn count(&mut self, proxy: &impl Proxy, source: &str, labels: MetricLabels<'_>, counter: Counter) {
        let key = hash(&(source, labels, counter));
        let known = self.known.get(&key).copied();
        let id = known.or_else(|| {
            let id = self.define_in_room(proxy, source, labels, counter)?;
            self.remember(key, id);
            Some(id)
        });
        if let Some(id) = id {
            proxy.increment_counter(id);
        }
    }

    fn remember(&mut self, key: u64, id: u32) {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(key, id);
    }

    /// Returns the metric ID in the narrowest series that exists or has room, and defines it if needed.
    fn define_in_room(
        &mut self,
        proxy: &impl Proxy,
        source: &str,
        labels: MetricLabels<'_>,
        counter: Counter,
    ) -> Option<u32> {
        let exact = series(source, labels);
        let of_policy = || series(source, OTHER_LABELS);
        let series = if self.has(&exact, MAX_SERIES) {
            exact
        } else if self.has(&of_policy(), 2 * MAX_SERIES) {
            of_policy()
        } else {
            series(OTHERS, OTHER_LABELS)
        };
        self.id(&series, counter).or_else(|| {
            let id = counter.define(proxy, &series)?;
            self.counters.entry(series).or_default().push((counter, id));
            Some(id)
        })
    }

    fn id(&self, series: &str, counter: Counter) -> Option<u32> {
        let counters = self.counters.get(series)?;
        let (_, id) = counters.iter().find(|(known, _)| *known == counter)?;
        Some(*id)
    }

    fn has(&self, series: &str, or_fewer_than: usize) -> bool {
        self.counters.contains_key(series) || self.counters.len() < or_fewer_than
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
fn series(policy: &str, MetricLabels { route, branches }: MetricLabels<'_>) -> String {
    ["policy=", policy, ".route=", route, ".branch=", branches].concat()
}

// === impl Counting ===

impl<P: Proxy> PolicyObserver for Counting<'_, P> {
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
        self.metrics.count(self.proxy, source, self.labels, counter);
    }

    fn record_allowed(&mut self, source: &str) {
        self.metrics
            .count(self.proxy, source, self.labels, Counter::Allowed);
    }
}

// === impl Counter ===

impl Counter {
    fn define(self, proxy: &impl Proxy, series: &str) -> Option<u32> {
        // Envoy's stats sinks use these as separators between names and values.
        let series = series
            .replace(", ", ">")
            .replace([' ', ':', '|', ';', '#', ','], "_");
        let name = format!("switchyard.{series}.{}", self.name());
        proxy.define_counter(&name)
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
