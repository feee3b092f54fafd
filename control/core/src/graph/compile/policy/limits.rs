//! Rate limits, and how many requests may be under way.

use super::Resolver;
use crate::{
    graph::fault::{FieldPath, PolicyFault},
    ingressroute::policy as written,
};
use std::time::Duration;
use switchyard_policy::config::{
    policy as config,
    value::{COUNT, STATUS, ValueError},
};

const TIMEOUT: Duration = Duration::from_millis(100);
const TOO_MANY_REQUESTS: i64 = 429;

// === impl Resolver ===

impl Resolver<'_, '_> {
    pub(super) fn rate_limit(&mut self, at: &FieldPath<'_>, limit: &written::RateLimit) -> config::RateLimit {
        let written::RateLimit {
            match_,
            requests,
            unit,
            burst,
            key,
            status,
            dry_run,
            global,
        } = limit;
        let (local, global) = match (requests, global) {
            (Some(requests), None) => (Some(self.local(at, *requests, limit)), None),
            (None, Some(_)) if burst.is_some() || !key.is_empty() => {
                self.refuse(at, PolicyFault::BesideGlobal);
                (None, None)
            }
            (None, Some(global)) if unit.is_empty() => (None, Some(self.global(&at.field("global"), global))),
            _ => {
                self.refuse(at, PolicyFault::ExactlyOne("requests with unit, and global"));
                (None, None)
            }
        };
        config::RateLimit {
            when: self.option(&at.field("match"), match_.as_ref(), Self::when),
            dry_run: *dry_run,
            status: self.number(&at.field("status"), status.unwrap_or(TOO_MANY_REQUESTS), STATUS),
            local,
            global,
        }
    }

    fn local(&mut self, at: &FieldPath<'_>, requests: i64, limit: &written::RateLimit) -> config::LocalLimit {
        let units = [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86400)];
        let of = "second, minute, hour and day";
        let per_seconds = if limit.unit.is_empty() {
            self.refuse(&at.field("unit"), ValueError::Empty);
            None
        } else {
            self.choice(&at.field("unit"), &limit.unit, (of, &units))
        };
        let burst = |burst| self.number(&at.field("burst"), burst, COUNT);
        let burst = limit.burst.map(burst);
        let requests = self.number(&at.field("requests"), requests, COUNT);
        config::LocalLimit {
            requests,
            per_seconds: per_seconds.unwrap_or_default(),
            burst: burst.unwrap_or(requests),
            key: self.key(&at.field("key"), &limit.key),
        }
    }

    fn global(&mut self, at: &FieldPath<'_>, limit: &written::GlobalLimit) -> config::GlobalLimit {
        let written::GlobalLimit {
            service,
            domain,
            descriptors,
            timeout,
            on_failure,
        } = limit;
        let most = written::most::DESCRIPTORS;
        config::GlobalLimit {
            cluster: self.grpc_service(&at.field("service"), service),
            domain: self.text(&at.field("domain"), domain),
            descriptors: self.some((&at.field("descriptors"), most), descriptors, Self::descriptor),
            timeout_ms: self.timeout_ms(&at.field("timeout"), timeout, TIMEOUT),
            on_failure: self.on_failure(&at.field("onFailure"), on_failure),
        }
    }

    fn descriptor(
        &mut self,
        at: &FieldPath<'_>,
        written::Descriptor { entries }: &written::Descriptor,
    ) -> Vec<config::DescriptorEntry> {
        let most = written::most::ENTRIES;
        self.some((&at.field("entries"), most), entries, Self::entry)
    }

    fn entry(
        &mut self,
        at: &FieldPath<'_>,
        written::DescriptorEntry { key, value, from }: &written::DescriptorEntry,
    ) -> config::DescriptorEntry {
        let value = match (value, from) {
            (None, Some(from)) => config::EntryValue::Of(self.key_part(&at.field("from"), from)),
            (Some(value), None) => config::EntryValue::Literal(self.text(&at.field("value"), value)),
            _ => {
                self.refuse(at, PolicyFault::ExactlyOne("value and from"));
                config::EntryValue::Literal(String::new())
            }
        };
        config::DescriptorEntry {
            key: self.text(&at.field("key"), key),
            value,
        }
    }

    pub(super) fn concurrency(
        &mut self,
        at: &FieldPath<'_>,
        written::Concurrency { max, key }: &written::Concurrency,
    ) -> config::Concurrency {
        config::Concurrency {
            max: self.number(&at.field("max"), *max, COUNT),
            key: self.key(&at.field("key"), key),
        }
    }
}
