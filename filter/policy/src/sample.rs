//! The requests that the filter is asked about.
//!
//! Entering the filter costs more than anything that it does for a mirror. So where all that a route asks is that a few of
//! its requests are copied, the proxy draws more than enough of them by chance, and switches the filter on for no others; the
//! filter copies so many of those that it comes out even. The proxy says by the name of the route how many it draws: the route
//! and the filter's configuration are told apart, and what is copied is to be right whichever comes first.

use crate::config::Policy;

/// Of how many in a million requests the filter is asked. At least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sample(u32);

const MILLION: u32 = 1_000_000;
/// Between the name of a route and the number of those in a million that are drawn for it. No prefix that paths match has a `#`.
const MARK: &str = "#sample-";

// === impl Sample ===

impl Sample {
    pub const ALL: Self = Self(MILLION);
    /// More are not worth a second route.
    const MOST: Self = Self(MILLION / 2);

    /// What is enough for policies that hold for the same requests, on a route that has the timeouts and retries that they hand
    /// down.
    pub fn of<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let samples = policies.into_iter().filter_map(Self::of_policy);
        samples.max().unwrap_or(Self::ALL)
    }

    /// None: it needs no filter.
    fn of_policy(policy: &Policy) -> Option<Self> {
        let all = policy.is_for_all().then_some(Self::ALL);
        let mirrors = policy.mirror.iter();
        mirrors
            .map(|mirror| Self::of_percent(mirror.percent))
            .chain(all)
            .max()
    }

    /// What is enough for copies of so many of a hundred requests: of 10,000 requests, that is then one percent too many or too few at
    /// four standard deviations.
    ///
    /// Where the filter is asked about a share `q` of `n` requests, and copies `p / q` of those, evenly, the variance of the copies
    /// is `n p^2 (1 - q) / q`. For `n` of 10,000 and a deviation of 25, `q` is `p^2 / (p^2 + 1/16)`.
    fn of_percent(percent: u8) -> Self {
        let share = millionths(percent);
        let square = u64::from(percent.min(100)).pow(2);
        let even = (u64::from(MILLION) * square).div_ceil(square + 625);
        let even = u32::try_from(even).unwrap_or(MILLION);
        let sample = Self(even.max(share).max(1));
        if sample > Self::MOST { Self::ALL } else { sample }
    }

    /// In a million.
    #[must_use]
    pub fn per_million(self) -> u32 {
        self.0
    }

    /// What the proxy calls the route of that name for the requests that it draws.
    #[must_use]
    pub fn route_name(self, name: &str) -> String {
        match self {
            Self::ALL => name.to_owned(),
            Self(count) => format!("{name}{MARK}{count}"),
        }
    }

    /// Of the requests on a route by what the proxy calls it, of which the name of the route is left.
    #[must_use]
    pub fn take_from(route_name: &mut String) -> Self {
        let (name, sample) = Self::split(route_name);
        let len = name.len();
        route_name.truncate(len);
        sample
    }

    /// The name of a route, by what the proxy calls it.
    #[must_use]
    pub fn split(route_name: &str) -> (&str, Self) {
        let split = route_name.rsplit_once(MARK).and_then(|(name, count)| {
            let count: u32 = count.parse().ok()?;
            (1..=MILLION).contains(&count).then_some((name, Self(count)))
        });
        split.unwrap_or((route_name, Self::ALL))
    }
}

/// Of a hundred. More than all are all.
pub(crate) fn millionths(percent: u8) -> u32 {
    u32::from(percent.min(100)) * (MILLION / 100)
}

// === impl Policy ===

impl Policy {
    /// Whether the filter is needed on a route that has the timeouts and retries that the policy hands down.
    #[must_use]
    pub fn needs_filter(&self) -> bool {
        self.is_for_all() || !self.mirror.is_empty()
    }

    /// Whether it does no more with a request than to copy it: as far as it goes, others need not be looked at.
    pub(crate) fn only_mirrors(&self) -> bool {
        !self.is_for_all() && self.needs_filter()
    }

    /// Whether the filter has to see every request for it.
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
