//! Values that many fields have.

use super::{Resolver, milliseconds};
use crate::{
    duration,
    graph::{
        compile::{Refused, is_header_value, is_token},
        fault::{At, PolicyFault},
    },
};
use std::time::Duration;
use switchyard_policy::{
    config::policy::OnFailure,
    header::{Use, permits},
};

/// How long a request may wait for a service that decides on it.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a header does not have a use.
fn not_permitted(wanted: Use, name: &str) -> PolicyFault {
    let name = name.to_owned();
    match wanted {
        Use::Set => PolicyFault::HeaderReserved(name),
        Use::Remove => PolicyFault::HeaderRequired(name),
        Use::Read => PolicyFault::HeaderInternal(name),
        Use::Trust => PolicyFault::HeaderReplaced(name),
    }
}

// === impl Resolver ===

impl Resolver<'_, '_> {
    /// Not empty, and in headers and logs without harm.
    pub(super) fn text(&mut self, at: &At<'_>, given: &str) -> Result<String, Refused> {
        if given.is_empty() {
            return Err(self.refuse(at, PolicyFault::Empty));
        }
        if given.contains(char::is_control) {
            return Err(self.refuse(at, PolicyFault::HeaderValue));
        }
        Ok(given.to_owned())
    }

    /// Methods are told apart by case, and those that there are have upper case.
    pub(super) fn method(&mut self, at: &At<'_>, given: &str) -> Result<String, Refused> {
        if !is_token(given) {
            return Err(self.refuse(at, PolicyFault::Method(given.to_owned())));
        }
        Ok(given.to_ascii_uppercase())
    }

    pub(super) fn cookie(&mut self, at: &At<'_>, given: &str) -> Result<String, Refused> {
        if !is_token(given) {
            return Err(self.refuse(at, PolicyFault::CookieName(given.to_owned())));
        }
        Ok(given.to_owned())
    }

    /// A header's name, in lower case.
    pub(super) fn header_name(&mut self, at: &At<'_>, given: &str) -> Result<String, Refused> {
        if !is_token(given) {
            return Err(self.refuse(at, PolicyFault::HeaderName(given.to_owned())));
        }
        Ok(given.to_ascii_lowercase())
    }

    /// The name of a header that is put to these uses, in lower case.
    pub(super) fn header_for(&mut self, uses: &[Use], at: &At<'_>, given: &str) -> Result<String, Refused> {
        let name = self.header_name(at, given)?;
        match uses.iter().find(|wanted| !permits(&name, **wanted)) {
            Some(wanted) => Err(self.refuse(at, not_permitted(*wanted, given))),
            None => Ok(name),
        }
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
        (least, most): (i64, i64),
    ) -> Result<T, Refused> {
        let number = T::try_from(given).ok();
        let number = number.filter(|_| (least..=most).contains(&given));
        number.ok_or_else(|| self.refuse(at, PolicyFault::Range(least, most)))
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
