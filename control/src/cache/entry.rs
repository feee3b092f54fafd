//! One name, with the schedule of its lookups and its last value.

use super::lookup::{Fetched, Lookup};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::{sync::Arc, time::Duration};
use switchyard_core::object::Object;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// The delay after a failure, about doubled after each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// A name, and the last value that was sent for it.
#[derive(Debug)]
pub(super) struct Entry<L: Lookup> {
    name: Arc<str>,
    uses: Vec<L::Use>,
    /// The time of the next lookup; `None` while one is in progress.
    due: Option<Instant>,
    /// True after the first lookup.
    is_tried: bool,
    told: Option<Result<L::Value, String>>,
    /// The backoff since the last success; `None` if the last lookup succeeded.
    retries: Option<ExponentialBackoff>,
}

// === impl Entry ===

impl<L: Lookup> Entry<L> {
    pub(super) fn new(name: Arc<str>, now: Instant) -> Self {
        Self {
            name,
            uses: Vec::new(),
            due: Some(now),
            is_tried: false,
            told: None,
            retries: None,
        }
    }

    pub(super) fn set_uses(&mut self, uses: Vec<L::Use>) {
        self.uses = uses;
    }

    pub(super) fn is_tried(&self) -> bool {
        self.is_tried
    }

    pub(super) fn is_failing(&self) -> bool {
        self.retries.is_some()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn started(&mut self) {
        self.due = None;
    }

    /// Records the outcome of a lookup. Returns the object for the graph, if it changed.
    pub(super) fn fetched(
        &mut self,
        lookup: &L,
        fetched: Result<Fetched<L::Value>, L::Error>,
        now: Instant,
    ) -> Option<Object> {
        self.is_tried = true;
        let (wait, value) = match fetched {
            Ok(Fetched { value, max_age }) => {
                self.log(&value);
                self.retries = None;
                // With jitter, so that a resolver or an issuer does not get all requests at once.
                let wait = lookup
                    .refresh(max_age, &self.uses)
                    .mul_f64(0.9 + fastrand::f64() / 10.0);
                (wait, Some(Ok(value)))
            }
            Err(error) => self.failed(&error),
        };
        self.due = Some(now + wait);
        let value = value.filter(|value| self.told.as_ref() != Some(value))?;
        self.told = Some(value.clone());
        Some(L::object(self.name.clone(), value))
    }

    fn log(&self, value: &L::Value) {
        let before = self.told.as_ref().and_then(|told| told.as_ref().ok());
        let value = L::describe(value);
        if self.is_failing() || before.is_none_or(|before| L::describe(before) != value) {
            info!(name = %self.name, "Looked up {}: {value}", L::SUBJECT);
        }
    }

    /// Keeps the last good value.
    fn failed(&mut self, error: &L::Error) -> (Duration, Option<Result<L::Value, String>>) {
        let is_first = self.retries.is_none();
        let has_value = self.told.as_ref().is_some_and(Result::is_ok);
        if !is_first {
            debug!(name = %self.name, %error, "Still cannot look up {}", L::SUBJECT);
        } else if has_value {
            warn!(name = %self.name, %error, "Cannot look up {} again; the last value stays in use", L::SUBJECT);
        } else {
            warn!(name = %self.name, %error, "Cannot look up {}; routes that need it answer 503", L::SUBJECT);
        }
        let retries = self.retries.get_or_insert_with(retries::<L>);
        let wait = retries.next().unwrap_or(L::LONGEST_RETRY);
        let value = (!has_value).then(|| Err(error.to_string()));
        // Between half of the delay and all of it, so that a recovered issuer does not get all requests at once.
        (wait.mul_f64(0.5 + fastrand::f64() / 2.0), value)
    }
}

fn retries<L: Lookup>() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_RETRY)
        .with_max_delay(L::LONGEST_RETRY)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::keys, *};
    use crate::jwks::{FetchError, JwksLookup};

    const LOOKUP: JwksLookup = JwksLookup {
        soonest: Duration::from_secs(60),
    };

    fn failure() -> Result<Fetched<<JwksLookup as Lookup>::Value>, FetchError> {
        Err(FetchError::Status(503))
    }

    fn told(object: Option<Object>) -> Option<Result<String, String>> {
        let Object::Jwks(jwks) = object? else {
            panic!("a set of keys")
        };
        Some(jwks.keys.map(|fetched| fetched.keys[0].kid.clone().unwrap()))
    }

    fn entry(now: Instant) -> Entry<JwksLookup> {
        Entry::new("https://a".into(), now)
    }

    fn wait(entry: &Entry<JwksLookup>, now: Instant) -> Duration {
        entry.due().unwrap() - now
    }

    #[test]
    fn last_good_value_survives_failures() {
        let now = Instant::now();
        let mut entry = entry(now);
        assert!(!entry.is_tried());
        let reason = FetchError::Status(503).to_string();
        assert_eq!(told(entry.fetched(&LOOKUP, failure(), now)), Some(Err(reason)));
        assert!(entry.is_tried() && entry.is_failing());
        assert_eq!(told(entry.fetched(&LOOKUP, failure(), now)), None, "told before");
        assert_eq!(
            told(entry.fetched(&LOOKUP, Ok(keys("a", None)), now)),
            Some(Ok("a".into()))
        );
        assert_eq!(
            told(entry.fetched(&LOOKUP, Ok(keys("a", None)), now)),
            None,
            "told before"
        );
        assert_eq!(told(entry.fetched(&LOOKUP, failure(), now)), None);
        assert!(entry.is_failing());
        assert_eq!(
            told(entry.fetched(&LOOKUP, Ok(keys("b", None)), now)),
            Some(Ok("b".into()))
        );
        assert!(!entry.is_failing());
    }

    #[test]
    fn refresh_interval_follows_max_age_within_bounds() {
        let now = Instant::now();
        for (max_age, stale, want) in [
            (None, None, 300),
            (Some(0), None, 60),
            (Some(600), None, 600),
            (Some(86_400), None, 3600),
            (None, Some(60), 30),
            (Some(600), Some(86_400), 600),
        ] {
            let mut entry = entry(now);
            entry.set_uses(vec![None, stale.map(Duration::from_secs)]);
            entry.fetched(&LOOKUP, Ok(keys("a", max_age)), now);
            let wait = wait(&entry, now);
            let full = Duration::from_secs(want);
            assert!(
                (full * 9 / 10..=full).contains(&wait),
                "{max_age:?} {stale:?}: {wait:?}"
            );
        }
    }

    #[test]
    fn retries_back_off_until_a_success() {
        let now = Instant::now();
        let mut entry = entry(now);
        for want in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
            entry.fetched(&LOOKUP, failure(), now);
            let wait = wait(&entry, now);
            let most = Duration::from_secs(want);
            assert!((most / 2..=most).contains(&wait), "{want}: {wait:?}");
        }
        entry.fetched(&LOOKUP, Ok(keys("a", None)), now);
        entry.fetched(&LOOKUP, failure(), now);
        assert!(wait(&entry, now) <= FIRST_RETRY);
    }
}
