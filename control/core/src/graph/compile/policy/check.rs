//! Values that many fields have.

use super::{Resolver, milliseconds};
use crate::{
    duration,
    graph::{
        compile::{Refused, is_header_value},
        fault::{At, PolicyFault},
    },
};
use std::time::Duration;
use switchyard_policy::{
    config::{
        policy::OnFailure,
        value::{Range, ValueError, check_header, check_method, check_name, check_range},
    },
    header::Use,
};

/// How long a request may wait for a service that decides on it.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

// === impl Resolver ===

impl Resolver<'_, '_> {
    /// A value as it is written, if the filter takes it.
    pub(super) fn checked(
        &mut self,
        at: &At<'_>,
        given: &str,
        check: impl FnOnce(&str) -> Result<(), ValueError>,
    ) -> Result<String, Refused> {
        check(given).map_err(|error| self.refuse(at, error))?;
        Ok(given.to_owned())
    }

    pub(super) fn text(&mut self, at: &At<'_>, given: &str) -> Result<String, Refused> {
        self.checked(at, given, check_name)
    }

    /// Methods are told apart by case, and those that there are have upper case.
    pub(super) fn method(&mut self, at: &At<'_>, given: &str) -> Result<String, Refused> {
        let method = self.checked(at, given, check_method)?;
        Ok(method.to_ascii_uppercase())
    }

    /// The name of a header that is put to these uses, in lower case.
    pub(super) fn header(&mut self, uses: &[Use], at: &At<'_>, given: &str) -> Result<String, Refused> {
        let name = self.checked(at, given, |name| check_header(name, uses))?;
        Ok(name.to_ascii_lowercase())
    }

    pub(super) fn header_value(&mut self, at: &At<'_>, given: &str) -> Result<String, Refused> {
        if !is_header_value(given) {
            return Err(self.refuse(at, PolicyFault::HeaderValue));
        }
        Ok(given.to_owned())
    }

    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        at: &At<'_>,
        given: i64,
        range: Range,
    ) -> Result<T, Refused> {
        check_range(given, range).map_err(|error| self.refuse(at, error))?;
        let (least, most) = range;
        T::try_from(given).map_err(|_| self.refuse(at, ValueError::Range(least, most)))
    }

    pub(super) fn timeout_ms(&mut self, at: &At<'_>, given: &str, default: Duration) -> Result<u64, Refused> {
        if given.is_empty() {
            return Ok(milliseconds(default));
        }
        let parsed = duration::parse(given).ok();
        let parsed = parsed.filter(|duration| (Duration::from_millis(1)..=MAX_TIMEOUT).contains(duration));
        let parsed = parsed.map(milliseconds);
        parsed.ok_or_else(|| self.refuse(at, PolicyFault::Duration(given.to_owned())))
    }

    /// One of several words; the first if none is given.
    pub(super) fn choice<T: Copy>(
        &mut self,
        at: &At<'_>,
        given: &str,
        (of, choices): (&'static str, &[(&str, T)]),
    ) -> Result<T, Refused> {
        let found = match choices {
            [(_, first), ..] if given.is_empty() => Some(*first),
            _ => choices
                .iter()
                .find(|(word, _)| *word == given)
                .map(|(_, choice)| *choice),
        };
        let given = given.to_owned();
        found.ok_or_else(|| self.refuse(at, PolicyFault::Choice { given, of }))
    }

    pub(super) fn on_failure(&mut self, at: &At<'_>, given: &str) -> Result<OnFailure, Refused> {
        let choices = [("deny", OnFailure::Deny), ("allow", OnFailure::Allow)];
        self.choice(at, given, ("deny and allow", &choices))
    }
}
