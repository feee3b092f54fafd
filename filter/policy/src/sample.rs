//! Sampling of the requests that the filter sees.
//!
//! Entering the filter costs more than anything that it does for a mirror. So if a route needs the filter only to copy
//! a few of its requests, the proxy draws more than enough of them by chance, and enables the filter for no others; the
//! filter copies as many of those as the percentage requires. The name of the route says how many the proxy draws: the
//! route and the filter's configuration are sent separately, and the copies are to be right whichever arrives first.

use crate::config::Policy;
use serde::Serialize;

/// The number of requests in a million that the filter sees, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Sample(u32);

const MILLION: u32 = 1_000_000;
/// The separator between the name of a route and the sample per million. No prefix that paths match has a `#`.
const MARK: &str = "#sample-";

// === impl Sample ===

impl Sample {
    pub const ALL: Self = Self(MILLION);
    /// The largest sample that is worth a second route.
    const MOST: Self = Self(MILLION / 2);

    /// The sample that policies of the same requests need, on a route that has the timeouts and retries that they hand
    /// down.
    pub fn of<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let samples = policies.into_iter().filter_map(Self::of_policy);
        samples.max().unwrap_or(Self::ALL)
    }

    /// The sample that a policy needs; `None` if it needs no filter.
    fn of_policy(policy: &Policy) -> Option<Self> {
        let all = policy.is_for_all().then_some(Self::ALL);
        let mirrors = policy.mirror.iter();
        mirrors
            .map(|mirror| Self::of_percent(mirror.percent))
            .chain(all)
            .max()
    }

    /// The sample for copies of `percent` of the requests. Of 10,000 requests, it gives one percent too many or too few
    /// at four standard deviations.
    ///
    /// If the filter sees a share `q` of `n` requests, and copies `p / q` of those, evenly, the variance of the copies
    /// is `n p^2 (1 - q) / q`. For `n` of 10,000 and a deviation of 25, `q` is `p^2 / (p^2 + 1/16)`.
    fn of_percent(percent: u8) -> Self {
        let share = millionths(percent);
        let square = u64::from(percent.min(100)).pow(2);
        let even = (u64::from(MILLION) * square).div_ceil(square + 625);
        let even = u32::try_from(even).unwrap_or(MILLION);
        let sample = Self(even.max(share).max(1));
        if sample > Self::MOST { Self::ALL } else { sample }
    }

    /// The sample per million requests.
    #[must_use]
    pub fn per_million(self) -> u32 {
        self.0
    }

    /// The name of a route for the requests that the proxy draws.
    #[must_use]
    pub fn route_name(self, name: &str) -> String {
        match self {
            Self::ALL => name.to_owned(),
            Self(count) => format!("{name}{MARK}{count}"),
        }
    }

    /// Takes the sample from a route's name, and leaves the plain name.
    #[must_use]
    pub fn take_from(route_name: &mut String) -> Self {
        let (name, sample) = Self::split(route_name);
        let len = name.len();
        route_name.truncate(len);
        sample
    }

    /// Splits a route's name into the plain name and the sample.
    #[must_use]
    pub fn split(route_name: &str) -> (&str, Self) {
        let split = route_name.rsplit_once(MARK).and_then(|(name, count)| {
            let count: u32 = count.parse().ok()?;
            (1..=MILLION).contains(&count).then_some((name, Self(count)))
        });
        split.unwrap_or((route_name, Self::ALL))
    }
}

/// Converts a percentage to millionths; more than 100 counts as 100.
pub(crate) fn millionths(percent: u8) -> u32 {
    u32::from(percent.min(100)) * (MILLION / 100)
}

// === impl Policy ===

impl Policy {
    /// Returns true if the filter is needed on a route that has the timeouts and retries that the policy hands down.
    #[must_use]
    pub fn needs_filter(&self) -> bool {
        self.is_for_all() || !self.mirror.is_empty()
    }

    /// Returns true if the policy only mirrors: as far as it goes, the filter need not see the other requests.
    pub(crate) fn only_mirrors(&self) -> bool {
        !self.is_for_all() && self.needs_filter()
    }

    /// Returns true if the filter has to see every request for the policy.
    fn is_for_all(&self) -> bool {
        let Self {
            source: _,
            cors,
            auth,
            rate_limits,
            concurrency,
            mirror: _,
            headers,
            timeout_ms: _,
            retry: _,
        } = self;
        let may_refuse =
            cors.is_some() || !auth.is_empty() || !rate_limits.is_empty() || concurrency.is_some();
        may_refuse || headers.is_some()
    }
}

#[cfg(test)]
mod tests;
