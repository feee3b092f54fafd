//! Edits of a request that has met all policies, and of its response.

use super::{Around, Edit, Enforcement, Found, Part, Said, is_for};
use crate::{
    config::policy::Retry,
    decide::{Level, Own},
    names,
    policy::Policy,
    request::Request,
    sample::Sample,
    withheld::{withhold_header, without_withheld},
};

// === impl Enforcement ===

impl Enforcement {
    /// The edits of the request before it is forwarded.
    ///
    /// They go from the inside out, so that the outermost level has the last word. The headers that control Envoy come
    /// last: no level can edit these.
    #[must_use]
    pub fn request_edits(&self) -> Vec<Edit<'_>> {
        let Found { passes, steering, .. } = &self.found;
        let withheld = self.policies().flat_map(|policy| policy.withheld.headers.iter());
        let mut edits: Vec<_> = withheld.map(|name| Edit::Remove(name)).collect();
        for (at, level) in self.levels.iter().enumerate().rev() {
            let of_level = passes.iter().filter(|(level, _)| *level == at);
            let told = of_level.flat_map(|(_, pass)| Edit::all(&pass.headers.request));
            let asked = Edit::all(&level.policy.headers.request).chain(told);
            // Headers that identify the client to checks above are only for those levels to set.
            let above = self.levels.get(..at).unwrap_or_default();
            edits.extend(asked.filter(|edit| !withhold_header(above, edit.name())));
        }
        if let Some(identity) = passes.iter().find_map(|(_, pass)| pass.identity.as_ref()) {
            let name = identity.name.as_ref().map(String::as_bytes);
            edits.push(Edit::put(names::USER, name));
            edits.push(Edit::Set(names::AUTH, identity.scheme.as_str().as_bytes()));
        }
        let steering = steering.iter();
        edits.extend(steering.map(|(name, value)| Edit::Set(name, value.as_bytes())));
        edits
    }

    /// The target for the upstream, without the keys in the query; `None` if it does not change.
    #[must_use]
    pub fn target(&self, request: Request<'_>) -> Option<Vec<u8>> {
        without_withheld(&self.levels, || request.headers.target())
    }

    /// The edits of the response, whether it is the upstream's or the filter's.
    ///
    /// No level edits the quota headers or the local response of a level above it.
    #[must_use]
    pub fn answer_edits(&self) -> Vec<Edit<'_>> {
        let Found {
            quota_level,
            quota_headers,
            passes,
            origin,
            ..
        } = &self.found;
        let mut edits = Vec::new();
        if let Some(cors) = self.policies().rev().find_map(|policy| policy.cors.as_ref()) {
            cors.on_answer(origin.as_deref(), &mut edits);
        }
        for (at, level) in self.heard().iter().enumerate().rev() {
            let limits = quota_headers.iter().filter(|_| *quota_level == Some(at));
            edits.extend(limits.map(|(name, value)| Edit::Set(name, value.as_bytes())));
            let of_level = passes.iter().filter(|(level, _)| *level == at);
            edits.extend(of_level.flat_map(|(_, pass)| Edit::all(&pass.headers.response)));
            edits.extend(Edit::all(&level.policy.headers.response));
        }
        edits
    }

    /// The levels that edit the response: if a level answers instead of the upstream, those below it do not.
    #[must_use]
    pub fn heard(&self) -> &[Level] {
        let count = self
            .found
            .answered_by
            .map_or(self.levels.len(), |level| level + 1);
        self.levels.get(..count).unwrap_or(&self.levels)
    }

    /// The policies, the outermost first.
    fn policies(&self) -> impl DoubleEndedIterator<Item = &Policy> {
        self.levels.iter().map(|level| &*level.policy)
    }

    /// Adds the headers that control Envoy's timeout, retries and mirrors.
    pub(super) fn steer(&mut self, around: &mut Around<'_>, levels: &[Level]) {
        let Own { timeout, retry } = self.own;
        let steering = &mut self.found.steering;
        if let Some((_, milliseconds)) = inherited(levels, |policy| policy.timeout_ms).filter(|_| !timeout) {
            steering.push((
                "x-envoy-upstream-rq-timeout-ms".to_owned(),
                milliseconds.to_string(),
            ));
        }
        if let Some((_, retry)) = inherited(levels, |policy| policy.retry).filter(|_| !retry) {
            steering.extend(retries(retry));
        }
        steering.extend(copies(around, levels, self.sample));
    }
}

/// A setting that a leaf may have of its own, from the innermost level that has it, with the number of the level.
pub fn inherited<T>(levels: &[Level], says: impl Fn(&Policy) -> Option<T>) -> Option<(usize, T)> {
    let mut levels = levels.iter().enumerate().rev();
    levels.find_map(|(at, level)| Some((at, says(&level.policy)?)))
}

/// The headers for Envoy's retries.
fn retries(retry: Retry) -> impl Iterator<Item = (String, String)> {
    let Retry {
        count,
        per_try_timeout_ms,
    } = retry;
    let per_try = per_try_timeout_ms
        .map(|milliseconds| ("x-envoy-upstream-rq-per-try-timeout-ms", milliseconds.to_string()));
    [
        ("x-envoy-retry-on", "5xx".to_owned()),
        ("x-envoy-max-retries", count.to_string()),
    ]
    .into_iter()
    .chain(per_try)
    .map(|(name, value)| (name.to_owned(), value))
}

/// A header for each mirror that the request is copied to.
fn copies(around: &mut Around<'_>, levels: &[Level], asked: Sample) -> Vec<(String, String)> {
    let mut copies = Vec::new();
    for level in levels {
        for (at, mirror) in level.policy.mirrors.iter().enumerate() {
            if is_for(mirror.when.as_ref(), around, level) && mirror.takes_next(asked) {
                around.saw(&level.policy, Part::Mirror(at), Said::Copied);
                copies.push((names::mirror(copies.len()), mirror.cluster.clone()));
            }
        }
    }
    copies
}
