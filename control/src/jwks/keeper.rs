//! When one set is fetched, and what is told of it.

use super::fetch::{FetchError, Fetched};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use switchyard_core::object::{FetchedKeys, Jwks};
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Where an issuer says nothing of it.
const REFRESH: Duration = Duration::from_secs(300);
/// Whatever an issuer says: keys that were withdrawn are trusted no longer.
const LATEST: Duration = Duration::from_secs(3600);
/// After a failure; twice as long after each further one, up to [`REFRESH`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// One set of keys.
#[derive(Debug)]
pub(super) struct Keeper {
    uri: Arc<str>,
    /// After a success, whatever the issuer says: it is not asked all the time.
    soonest: Duration,
    /// The shortest time that somebody trusts it for when it cannot be got again.
    pub(super) stale: Option<Duration>,
    /// None: a fetch is under way.
    due: Option<Instant>,
    /// Whether it was ever asked for to the end.
    tried: bool,
    /// The last that was told.
    told: Option<Result<FetchedKeys, String>>,
    /// Since the last success.
    failures: u32,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(uri: Arc<str>, soonest: Duration, now: Instant) -> Self {
        Self {
            uri,
            soonest,
            stale: None,
            due: Some(now),
            tried: false,
            told: None,
            failures: 0,
        }
    }

    pub(super) fn is_tried(&self) -> bool {
        self.tried
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn started(&mut self) {
        self.due = None;
    }

    /// Takes in what a fetch came to. Answers what is to be told, if that is news.
    pub(super) fn fetched(
        &mut self,
        fetched: Result<Fetched, FetchError>,
        now: Instant,
        clock: SystemTime,
    ) -> Option<Jwks> {
        self.tried = true;
        let (wait, news) = match fetched {
            Ok(fetched) => self.succeeded(fetched, clock),
            Err(error) => self.failed(&error),
        };
        self.due = Some(now + wait);
        let news = news.filter(|news| self.told.as_ref() != Some(news))?;
        self.told = Some(news.clone());
        Some(Jwks {
            uri: self.uri.clone(),
            keys: news,
        })
    }

    fn succeeded(
        &mut self,
        Fetched { keys, max_age }: Fetched,
        clock: SystemTime,
    ) -> (Duration, Option<Result<FetchedKeys, String>>) {
        let before = self.told.as_ref().and_then(|told| told.as_ref().ok());
        if self.failures > 0 || before.is_none_or(|before| before.keys != keys) {
            info!(uri = %self.uri, keys = keys.len(), "Fetched keys of tokens");
        }
        self.failures = 0;
        let fetched = clock.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        (self.interval(max_age), Some(Ok(FetchedKeys { keys, fetched })))
    }

    /// What was once got stays.
    fn failed(&mut self, error: &FetchError) -> (Duration, Option<Result<FetchedKeys, String>>) {
        let is_first = self.failures == 0;
        let wait = FIRST_RETRY * 2_u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let has_keys = self.told.as_ref().is_some_and(Result::is_ok);
        if !is_first {
            debug!(uri = %self.uri, %error, "Still no keys of tokens");
        } else if has_keys {
            warn!(uri = %self.uri, %error, "Cannot fetch keys of tokens again; the last ones go on");
        } else {
            warn!(uri = %self.uri, %error, "Cannot fetch keys of tokens; routes that need them are out of order");
        }
        let news = (!has_keys).then(|| Err(error.to_string()));
        // At another time each, so that an issuer which comes back is not asked by all at once.
        (wait.min(REFRESH).mul_f64(0.5 + fastrand::f64() / 2.0), news)
    }

    fn interval(&self, max_age: Option<Duration>) -> Duration {
        let wanted = max_age.map_or(REFRESH, |age| age.max(self.soonest).min(LATEST));
        // So that one that fails has time to succeed.
        let most = self.stale.map_or(LATEST, |stale| stale / 2);
        wanted.min(most).mul_f64(0.9 + fastrand::f64() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_policy::config::policy::{Algorithm, Key};

    const SOONEST: Duration = Duration::from_secs(60);

    fn key(kid: &str) -> Key {
        Key {
            kid: Some(kid.to_owned()),
            algorithms: vec![Algorithm::RS256],
            spki: "AAAA".to_owned(),
        }
    }

    fn fetched(kid: &str, max_age: Option<u64>) -> Result<Fetched, FetchError> {
        Ok(Fetched {
            keys: vec![key(kid)],
            max_age: max_age.map(Duration::from_secs),
        })
    }

    fn clock(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn told(jwks: Option<Jwks>) -> Option<Result<(String, u64), String>> {
        let keys = jwks?
            .keys
            .map(|FetchedKeys { keys, fetched }| (keys[0].kid.clone().unwrap(), fetched));
        Some(keys)
    }

    fn wait(keeper: &Keeper, now: Instant) -> Duration {
        keeper.due().unwrap() - now
    }

    fn about(wait: Duration, seconds: u64) -> bool {
        let full = Duration::from_secs(seconds);
        (full * 9 / 10..=full).contains(&wait)
    }

    #[test]
    fn the_last_good_keys_stay() {
        let now = Instant::now();
        let mut keeper = Keeper::new("https://a".into(), SOONEST, now);
        let no = || Err(FetchError::Status(503));
        assert!(!keeper.is_tried());
        let reason = FetchError::Status(503).to_string();
        assert_eq!(told(keeper.fetched(no(), now, clock(1))), Some(Err(reason)));
        assert!(keeper.is_tried() && keeper.is_failing());
        assert_eq!(told(keeper.fetched(no(), now, clock(2))), None, "told before");
        assert_eq!(
            told(keeper.fetched(fetched("a", None), now, clock(3))),
            Some(Ok(("a".into(), 3)))
        );
        assert_eq!(told(keeper.fetched(no(), now, clock(4))), None);
        assert!(keeper.is_failing());
        assert_eq!(
            told(keeper.fetched(fetched("b", None), now, clock(5))),
            Some(Ok(("b".into(), 5)))
        );
        assert!(!keeper.is_failing());
    }

    #[test]
    fn the_issuer_says_within_bounds_when_it_is_asked_again() {
        let now = Instant::now();
        for (max_age, stale, want) in [
            (None, None, 300),
            (Some(0), None, 60),
            (Some(600), None, 600),
            (Some(86_400), None, 3600),
            (None, Some(60), 30),
            (Some(600), Some(86_400), 600),
        ] {
            let mut keeper = Keeper::new("https://a".into(), SOONEST, now);
            keeper.stale = stale.map(Duration::from_secs);
            keeper.fetched(fetched("a", max_age), now, clock(0));
            let wait = wait(&keeper, now);
            assert!(about(wait, want), "{max_age:?} {stale:?}: {wait:?}");
        }
    }

    #[test]
    fn an_issuer_that_fails_is_asked_ever_more_seldom() {
        let now = Instant::now();
        let mut keeper = Keeper::new("https://a".into(), SOONEST, now);
        for want in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
            keeper.fetched(Err(FetchError::TimedOut), now, clock(0));
            let wait = wait(&keeper, now);
            let most = Duration::from_secs(want);
            assert!((most / 2..=most).contains(&wait), "{want}: {wait:?}");
        }
        keeper.fetched(fetched("a", None), now, clock(0));
        keeper.fetched(Err(FetchError::TimedOut), now, clock(0));
        assert!(wait(&keeper, now) <= FIRST_RETRY);
    }
}
