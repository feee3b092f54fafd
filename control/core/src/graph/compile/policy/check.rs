//! Values that many fields have.

use super::{Resolver, milliseconds};
use crate::{
    duration,
    graph::{
        compile::is_header_value,
        fault::{FieldPath, PolicyFault},
    },
};
use std::time::Duration;
use switchyard_policy::{
    config::{
        policy::OnFailure,
        value::{Range, ValueError, check_header, check_name, check_range, check_token},
    },
    header::Use,
};

/// How long a request may wait for a service that decides on it.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

// === impl Resolver ===

impl Resolver<'_, '_> {
    /// A value; or a stand-in for one that is refused.
    pub(in crate::graph::compile) fn or_refuse<T: Default>(
        &mut self,
        at: &FieldPath<'_>,
        value: Result<T, impl Into<PolicyFault>>,
    ) -> T {
        value.unwrap_or_else(|fault| {
            self.refuse(at, fault);
            T::default()
        })
    }

    /// A value as it is written, if the filter takes it.
    pub(super) fn checked(
        &mut self,
        at: &FieldPath<'_>,
        given: &str,
        check: impl FnOnce(&str) -> Result<(), ValueError>,
    ) -> String {
        self.or_refuse(at, check(given).map(|()| given.to_owned()))
    }

    pub(super) fn text(&mut self, at: &FieldPath<'_>, given: &str) -> String {
        self.checked(at, given, check_name)
    }

    /// Methods are told apart by case, and those that there are have upper case.
    pub(super) fn method(&mut self, at: &FieldPath<'_>, given: &str) -> String {
        self.checked(at, given, |name| check_token(name, ValueError::Method))
            .to_ascii_uppercase()
    }

    /// The name of a header that is put to these uses, in lower case.
    pub(super) fn header(&mut self, uses: &[Use], at: &FieldPath<'_>, given: &str) -> String {
        self.checked(at, given, |name| check_header(name, uses))
            .to_ascii_lowercase()
    }

    pub(super) fn header_value(&mut self, at: &FieldPath<'_>, given: &str) -> String {
        let value = is_header_value(given).then(|| given.to_owned());
        self.or_refuse(at, value.ok_or(PolicyFault::HeaderValue))
    }

    pub(super) fn number<T: TryFrom<i64> + Default>(
        &mut self,
        at: &FieldPath<'_>,
        given: i64,
        (least, most): Range,
    ) -> T {
        let checked = check_range(given, (least, most));
        let fits = |()| T::try_from(given).map_err(|_| ValueError::Range(least, most));
        self.or_refuse(at, checked.and_then(fits))
    }

    pub(super) fn timeout_ms(&mut self, at: &FieldPath<'_>, given: &str, default: Duration) -> u64 {
        if given.is_empty() {
            return milliseconds(default);
        }
        let parsed = duration::parse(given).ok();
        let parsed = parsed.filter(|duration| (Duration::from_millis(1)..=MAX_TIMEOUT).contains(duration));
        let parsed = parsed.map(milliseconds);
        self.or_refuse(at, parsed.ok_or_else(|| PolicyFault::Duration(given.to_owned())))
    }

    /// One of several words; the first if none is given.
    pub(super) fn choice<T: Copy>(
        &mut self,
        at: &FieldPath<'_>,
        given: &str,
        (of, choices): (&'static str, &[(&str, T)]),
    ) -> Option<T> {
        let is_meant = |word: &str| given.is_empty() || word == given;
        let found = choices.iter().find(|(word, _)| is_meant(word));
        let given = given.to_owned();
        let found = found.map(|(_, choice)| Some(*choice));
        self.or_refuse(at, found.ok_or(PolicyFault::Choice { given, of }))
    }

    pub(super) fn on_failure(&mut self, at: &FieldPath<'_>, given: &str) -> OnFailure {
        let choices = [("deny", OnFailure::Deny), ("allow", OnFailure::Allow)];
        self.choice(at, given, ("deny and allow", &choices))
            .unwrap_or_default()
    }
}
