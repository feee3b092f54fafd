//! Rate limits, and how many requests may be under way.

use super::Resolver;
use crate::{
    graph::{
        compile::Refused,
        fault::{At, PolicyFault},
    },
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
    pub(super) fn rate_limits(
        &mut self,
        at: &At<'_>,
        limits: &[written::RateLimit],
    ) -> Result<Vec<config::RateLimit>, Refused> {
        self.each((at, written::most::RATE_LIMITS), limits, Self::rate_limit)
    }

    fn rate_limit(&mut self, at: &At<'_>, limit: &written::RateLimit) -> Result<config::RateLimit, Refused> {
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
        let when = self.option(&at.field("match"), match_.as_ref(), Self::when);
        let status = status.unwrap_or(TOO_MANY_REQUESTS);
        let status = self.number(&at.field("status"), status, STATUS);
        let (local, global) = match (requests, global) {
            (Some(requests), None) => (Some(self.local(at, *requests, limit)), None),
            (None, Some(_)) if burst.is_some() || !key.is_empty() => {
                return Err(self.refuse(at, PolicyFault::BesideGlobal));
            }
            (None, Some(global)) if unit.is_empty() => (None, Some(self.global(&at.field("global"), global))),
            _ => return Err(self.refuse(at, PolicyFault::ExactlyOne("requests with unit, and global"))),
        };
        Ok(config::RateLimit {
            when: when?,
            dry_run: *dry_run,
            status: status?,
            local: local.transpose()?,
            global: global.transpose()?,
        })
    }

    fn local(
        &mut self,
        at: &At<'_>,
        requests: i64,
        limit: &written::RateLimit,
    ) -> Result<config::LocalLimit, Refused> {
        let units = [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86400)];
        let of = "second, minute, hour and day";
        let per_seconds = if limit.unit.is_empty() {
            Err(self.refuse(&at.field("unit"), ValueError::Empty))
        } else {
            self.choice(&at.field("unit"), &limit.unit, (of, &units))
        };
        let burst = limit
            .burst
            .map(|burst| self.number(&at.field("burst"), burst, COUNT));
        let requests = self.number(&at.field("requests"), requests, COUNT);
        let key = self.key(&at.field("key"), &limit.key);
        let requests = requests?;
        Ok(config::LocalLimit {
            requests,
            per_seconds: per_seconds?,
            burst: burst.unwrap_or(Ok(requests))?,
            key: key?,
        })
    }

    fn global(&mut self, at: &At<'_>, limit: &written::GlobalLimit) -> Result<config::GlobalLimit, Refused> {
        let written::GlobalLimit {
            service,
            domain,
            descriptors,
            timeout,
            on_failure,
        } = limit;
        let cluster = self.grpc_service(&at.field("service"), service);
        let domain = self.text(&at.field("domain"), domain);
        let most = written::most::DESCRIPTORS;
        let descriptors = self.some((&at.field("descriptors"), most), descriptors, Self::descriptor);
        let timeout_ms = self.timeout_ms(&at.field("timeout"), timeout, TIMEOUT);
        let on_failure = self.on_failure(&at.field("onFailure"), on_failure);
        Ok(config::GlobalLimit {
            cluster: cluster?,
            domain: domain?,
            descriptors: descriptors?,
            timeout_ms: timeout_ms?,
            on_failure: on_failure?,
        })
    }

    fn descriptor(
        &mut self,
        at: &At<'_>,
        descriptor: &written::Descriptor,
    ) -> Result<Vec<config::DescriptorEntry>, Refused> {
        let written::Descriptor { entries } = descriptor;
        let most = written::most::ENTRIES;
        self.some((&at.field("entries"), most), entries, Self::entry)
    }

    fn entry(
        &mut self,
        at: &At<'_>,
        entry: &written::DescriptorEntry,
    ) -> Result<config::DescriptorEntry, Refused> {
        let written::DescriptorEntry { key, value, from } = entry;
        let key = self.text(&at.field("key"), key);
        let value = match (value, from) {
            (Some(value), None) => self
                .text(&at.field("value"), value)
                .map(config::EntryValue::Literal),
            (None, Some(from)) => self.key_part(&at.field("from"), from).map(config::EntryValue::Of),
            _ => Err(self.refuse(at, PolicyFault::ExactlyOne("value and from"))),
        };
        Ok(config::DescriptorEntry {
            key: key?,
            value: value?,
        })
    }

    pub(super) fn concurrency(
        &mut self,
        at: &At<'_>,
        concurrency: &written::Concurrency,
    ) -> Result<config::Concurrency, Refused> {
        let written::Concurrency { max, key } = concurrency;
        let max = self.number(&at.field("max"), *max, COUNT);
        let key = self.key(&at.field("key"), key);
        Ok(config::Concurrency { max: max?, key: key? })
    }
}
