//! Timeouts and retries, of levels and of routes with services.

use super::{
    Compiler, Refused,
    policy::{Resolver, milliseconds},
};
use crate::{
    duration::{self, DurationError},
    graph::fault::{At, PolicyFault},
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
    ) -> Result<Timeouts, Refused> {
        let timeout = self.option(&At::top("timeoutPolicy"), timeout, Self::timeout);
        let retry = self.option(&At::top("retryPolicy"), retry, Self::retry);
        Ok((timeout?.flatten(), retry?))
    }

    /// Blank leaves Envoy's 15 s. What does not parse is infinite, as in Contour. So is `0s`: Contour's documentation says
    /// so, and manifests were written to that; that its code took `0s` for blank was an accident.
    fn timeout(&mut self, at: &At<'_>, policy: &TimeoutPolicy) -> Result<Option<Timeout>, Refused> {
        let TimeoutPolicy { request } = policy;
        if request.trim().is_empty() {
            return Ok(None);
        }
        let limit = self.duration(&at.field("request"), request)?;
        Ok(Some(limit.map_or(Timeout::Infinite, Timeout::After)))
    }

    fn retry(&mut self, at: &At<'_>, policy: &RetryPolicy) -> Result<Retry, Refused> {
        let RetryPolicy {
            count,
            per_try_timeout,
        } = policy;
        let count = count.unwrap_or(1).clamp(1, i64::from(u32::MAX));
        Ok(Retry {
            count: u32::try_from(count).unwrap_or(1),
            per_try_timeout: self.duration(&at.field("perTryTimeout"), per_try_timeout)?,
        })
    }

    fn duration(&mut self, at: &At<'_>, given: &str) -> Result<Option<Duration>, Refused> {
        whole_milliseconds(given).map_err(|error| {
            let given = given.to_owned();
            self.refuse(at, PolicyFault::DurationRange { given, error })
        })
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
        resolver.timeouts(route.timeout_policy.as_ref(), route.retry_policy.as_ref())
    }
}
