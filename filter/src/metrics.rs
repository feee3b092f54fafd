//! Counters of what policies say: `switchyard.policy.<source>.<what>`.
//!
//! | what | counts requests |
//! |---|---|
//! | `allowed` | that the policy let through |
//! | `limited` | too many for a rate limit |
//! | `would_limit` | that a rate limit that is tried out would refuse |
//! | `denied_<reason>` | refused for any other reason, such as `missing` credentials, or `no_answer` of a service |
//! | `unasked` | let through because a service that has to be asked did not answer |
//! | `crowded` | for which a rate limit had to forget what it knew of another client |
//! | `mirrored` | copied, by as many copies |
//!
//! Sources are what people write, and there may be many: after [`MAX_SOURCES`] a worker counts further ones as `other`.

use crate::abi;
use switchyard_policy::{
    enforce::witness::{LIMITED, Part, Said, Witness},
    maps::Map,
};

/// Each has several counters, and each of those is some hundred bytes to Envoy.
const MAX_SOURCES: usize = 1_000;
const OTHERS: &str = "other";

/// The counters of a worker; to Envoy, those of one name are one.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// What the host calls a counter, by source.
    counters: Map<String, Vec<(Counter, u32)>>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    fn count(&mut self, source: &str, counter: Counter) {
        let is_known = self.counters.contains_key(source) || self.counters.len() < MAX_SOURCES;
        let source = if is_known { source } else { OTHERS };
        let counters = self.counters.get(source).into_iter().flatten();
        let mut known = counters.filter(|(known, _)| *known == counter);
        let id = known.next().map(|(_, id)| *id);
        if let Some(id) = id.or_else(|| self.define(source, counter)) {
            // The host has nothing better to say of a counter that it has given a number.
            abi::increment_metric(id).ok();
        }
    }

    fn define(&mut self, source: &str, counter: Counter) -> Option<u32> {
        let id = counter.define(source)?;
        match self.counters.get_mut(source) {
            Some(counters) => counters.push((counter, id)),
            None => _ = self.counters.insert(source.to_owned(), vec![(counter, id)]),
        }
        Some(id)
    }
}

impl Witness for Metrics {
    fn saw(&mut self, source: &str, _part: Part, said: Said) {
        let counter = match said {
            Said::Passed => return,
            Said::Refused(LIMITED) => Counter::Limited,
            Said::Refused(reason) => Counter::Denied(reason),
            Said::WouldRefuse(_) => Counter::WouldLimit,
            Said::Unasked => Counter::Unasked,
            Said::Crowded => Counter::Crowded,
            Said::Copied => Counter::Mirrored,
        };
        self.count(source, counter);
    }

    fn let_through(&mut self, source: &str) {
        self.count(source, Counter::Allowed);
    }
}

// === impl Counter ===

impl Counter {
    fn define(self, source: &str) -> Option<u32> {
        // These are between names and values in what Envoy tells others.
        let source = source.replace([' ', ':', '|', ';', '#', ','], "_");
        let name = format!("switchyard.policy.{source}.{}", self.name());
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
