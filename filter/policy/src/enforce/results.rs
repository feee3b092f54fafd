//! Results of the checks of a request, which determine its edits.

use super::attributes::ClaimSource;
use crate::{auth::Pass, concurrency::Permit, limit::gcra::Quota};
use std::borrow::Cow;

/// The headers for a [`Quota`]: its limit, what remains and the reset, by the draft standard of 2022
/// (draft-ietf-httpapi-ratelimit-headers-05), which other proxies implement.
pub(super) const QUOTA_HEADERS: [&str; 3] = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];

/// Results of the checks so far.
#[derive(Debug, Default)]
pub(super) struct CheckResults {
    /// The quota of the limit with the least remaining, the outermost scope that has a limit, and the response headers
    /// for the quota.
    quota: Option<Quota>,
    pub(super) quota_scope: Option<usize>,
    pub(super) quota_headers: Vec<(&'static str, String)>,
    /// The scope that answers instead of the upstream.
    pub(super) replied_by: Option<usize>,
    pub(super) permits: Vec<Permit>,
    /// Passed checks with their header edits, by scope.
    pub(super) passes: Vec<(usize, Pass)>,
    /// The origin of the page that sends the request.
    pub(super) origin: Option<Vec<u8>>,
    /// Headers that control Envoy.
    pub(super) envoy_headers: Vec<(String, String)>,
}

// === impl CheckResults ===

impl CheckResults {
    /// Adds the quota of a limit; the one with the least remaining is reported.
    pub(super) fn add_quota(&mut self, scope: usize, quota: Option<Quota>) {
        let scopes = self.quota_scope.into_iter().chain(quota.map(|_| scope));
        self.quota_scope = scopes.min();
        let quotas = self.quota.into_iter().chain(quota);
        self.quota = quotas.min_by_key(|quota| quota.remaining);
    }

    pub(super) fn set_quota_headers(&mut self) {
        let Some(Quota {
            limit,
            remaining,
            reset,
        }) = self.quota
        else {
            return;
        };
        let values = [limit.to_string(), remaining.to_string(), reset.to_string()];
        self.quota_headers = QUOTA_HEADERS.into_iter().zip(values).collect();
    }
}

/// The claims of every token that was verified, the outermost first.
impl ClaimSource for CheckResults {
    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        let identities = self.passes.iter().filter_map(|(_, pass)| pass.identity.as_ref());
        let mut claims = identities.filter_map(|identity| identity.claims.as_ref());
        claims.find_map(|claims| claims.text(name)).map(Cow::Owned)
    }
}
