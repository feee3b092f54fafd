//! Timeouts and retries, of levels and of routes with services.

use super::{
    Compiler, Refused,
    policy::{Resolver, milliseconds},
};
use crate::{
    duration::{self, DurationError},
    graph::fault::{FieldPath, PolicyFault},
    ingressroute::{self, RetryPolicy, TimeoutPolicy},
    path,
    table::{Retry, Timeout},
};
use std::{sync::Arc, time::Duration};

/// The timeout and the retries of a level.
pub(super) type Timeouts = (Option<Timeout>, Option<Retry>);

/// A duration as Envoy counts it: in whole milliseconds, rounded up because 0 means no limit. None: 0, or not a duration.
fn whole_milliseconds(text: &str) -> Result<Option<Duration>, DurationError> {
    match duration::parse(text) {
        Ok(parsed) => Ok(Some(Duration::from_millis(milliseconds(parsed))).filter(|d| !d.is_zero())),
        Err(DurationError::Syntax) => Ok(None),
        Err(error @ DurationError::TooLong) => Err(error),
    }
}

// === impl Resolver ===

impl Resolver<'_, '_> {
    pub(super) fn timeouts(
        &mut self,
        timeout: Option<&TimeoutPolicy>,
        retry: Option<&RetryPolicy>,
    ) -> Timeouts {
        let top = FieldPath::ROOT;
        let timeout = self.option(&top.field("timeoutPolicy"), timeout, Self::timeout);
        let retry = self.option(&top.field("retryPolicy"), retry, Self::retry);
        (timeout.flatten(), retry)
    }

    /// Blank leaves Envoy's 15 s. What does not parse is infinite, as in Contour. So is `0s`: Contour's documentation says
    /// so, and manifests were written to that; that its code took `0s` for blank was an accident.
    fn timeout(&mut self, at: &FieldPath<'_>, TimeoutPolicy { request }: &TimeoutPolicy) -> Option<Timeout> {
        if request.trim().is_empty() {
            return None;
        }
        let limit = self.duration(&at.field("request"), request);
        Some(limit.map_or(Timeout::Infinite, Timeout::After))
    }

    fn retry(&mut self, at: &FieldPath<'_>, policy: &RetryPolicy) -> Retry {
        let RetryPolicy {
            count,
            per_try_timeout,
        } = policy;
        let count = count.unwrap_or(1).clamp(1, i64::from(u32::MAX));
        Retry {
            count: u32::try_from(count).unwrap_or(1),
            per_try_timeout: self.duration(&at.field("perTryTimeout"), per_try_timeout),
        }
    }

    fn duration(&mut self, at: &FieldPath<'_>, given: &str) -> Option<Duration> {
        let duration = whole_milliseconds(given).map_err(|error| {
            let given = given.to_owned();
            PolicyFault::DurationRange { given, error }
        });
        self.or_refuse(at, duration)
    }
}

// === impl Compiler ===

impl Compiler<'_> {
    /// The timeouts of a route with services, which keeps them to itself.
    pub(super) fn leaf_timeouts(
        &mut self,
        index: usize,
        route: &ingressroute::Route,
    ) -> Result<Timeouts, Refused> {
        let bound: Arc<str> = path::normalise(&route.match_).unwrap_or_default().into();
        let mut resolver = self.route_resolver(index, &bound, route);
        let timeouts = resolver.timeouts(route.timeout_policy.as_ref(), route.retry_policy.as_ref());
        resolver.unless_refused(timeouts)
    }
}
