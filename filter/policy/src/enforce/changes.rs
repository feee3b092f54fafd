//! Edits of a request that has met all policies, and of its response.

use super::{context::PolicyContext, results::CheckResults};
use crate::{
    config::policy::Retry,
    edit::Edit,
    names,
    observer::{Outcome, PolicyPart},
    policy::PreparedPolicy,
    protected::protects_header,
    route::RouteOverrides,
    sample::Sample,
    scope::{PolicyScope, protected_fields},
};

/// The edits of the request before it is forwarded.
///
/// They go from the inside out, so that the outermost scope has the last word. The headers that control Envoy come
/// last: no scope can edit these.
pub(super) fn request_edits<'a>(scopes: &'a [PolicyScope], results: &'a CheckResults) -> Vec<Edit<'a>> {
    let CheckResults {
        passes,
        envoy_headers,
        ..
    } = results;
    let protected = protected_fields(scopes).flat_map(|fields| &fields.headers);
    let mut edits: Vec<_> = protected.map(|name| Edit::Remove(name)).collect();
    for (at, scope) in scopes.iter().enumerate().rev() {
        let of_scope = passes.iter().filter(|(scope, _)| *scope == at);
        let of_checks = of_scope.flat_map(|(_, pass)| Edit::all(&pass.headers.request));
        let of_policy = Edit::all(&scope.policy.headers.request);
        // Headers that identify the client to checks above are only for those scopes to set.
        let above = scopes.get(..at).unwrap_or_default();
        let is_allowed = |edit: &Edit<'_>| !protects_header(protected_fields(above), edit.name());
        edits.extend(of_policy.chain(of_checks).filter(is_allowed));
    }
    if let Some(identity) = passes.iter().find_map(|(_, pass)| pass.identity.as_ref()) {
        let name = identity.name.as_ref().map(String::as_bytes);
        edits.push(Edit::put(names::USER, name));
        edits.push(Edit::Set(names::AUTH, identity.scheme.as_str().as_bytes()));
    }
    let envoy_headers = envoy_headers.iter();
    edits.extend(envoy_headers.map(|(name, value)| Edit::Set(name, value.as_bytes())));
    edits
}

/// The edits of the response by the scopes that `responding` has.
pub(super) fn response_edits<'a>(
    scopes: &'a [PolicyScope],
    responding: &'a [PolicyScope],
    results: &'a CheckResults,
) -> Vec<Edit<'a>> {
    let CheckResults {
        quota_scope,
        quota_headers,
        passes,
        origin,
        ..
    } = results;
    let mut edits = Vec::new();
    if let Some(cors) = scopes.iter().rev().find_map(|scope| scope.policy.cors.as_ref()) {
        cors.edit_response(origin.as_deref(), &mut edits);
    }
    for (at, scope) in responding.iter().enumerate().rev() {
        let quota = quota_headers.iter().filter(|_| *quota_scope == Some(at));
        edits.extend(quota.map(|(name, value)| Edit::Set(name, value.as_bytes())));
        let of_scope = passes.iter().filter(|(scope, _)| *scope == at);
        edits.extend(of_scope.flat_map(|(_, pass)| Edit::all(&pass.headers.response)));
        edits.extend(Edit::all(&scope.policy.headers.response));
    }
    edits
}

/// The headers that control Envoy's timeout, retries and mirrors.
pub(super) fn envoy_headers(
    context: &mut PolicyContext<'_>,
    scopes: &[PolicyScope],
    overrides: RouteOverrides,
    sample: Sample,
) -> Vec<(String, String)> {
    let RouteOverrides { timeout, retry } = overrides;
    let mut headers = Vec::new();
    if let Some((_, milliseconds)) = inherited(scopes, |policy| policy.timeout_ms).filter(|_| !timeout) {
        headers.push((
            "x-envoy-upstream-rq-timeout-ms".to_owned(),
            milliseconds.to_string(),
        ));
    }
    if let Some((_, retry)) = inherited(scopes, |policy| policy.retry).filter(|_| !retry) {
        headers.extend(retry_headers(retry));
    }
    headers.extend(mirror_headers(context, scopes, sample));
    headers
}

/// A setting that a leaf may have of its own, from the innermost scope that has it, with the number of the scope.
pub fn inherited<T>(
    scopes: &[PolicyScope],
    setting: impl Fn(&PreparedPolicy) -> Option<T>,
) -> Option<(usize, T)> {
    let mut scopes = scopes.iter().enumerate().rev();
    scopes.find_map(|(at, scope)| Some((at, setting(&scope.policy)?)))
}

/// The headers for Envoy's retries.
fn retry_headers(retry: Retry) -> impl Iterator<Item = (String, String)> {
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
fn mirror_headers(
    context: &mut PolicyContext<'_>,
    scopes: &[PolicyScope],
    sample: Sample,
) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for scope in scopes {
        for (at, mirror) in scope.policy.mirrors.iter().enumerate() {
            if context.matches(mirror.when.as_ref(), scope) && mirror.takes_next(sample) {
                context.record(&scope.policy, PolicyPart::Mirror(at), Outcome::Mirrored);
                headers.push((names::mirror(headers.len()), mirror.cluster.clone()));
            }
        }
    }
    headers
}
