use super::*;
use crate::{config::policy::KeyPart, host::fake::Fake};
use std::time::Duration;
use wasm_bindgen_test::wasm_bindgen_test;

const MINUTE: u32 = 60;
const HOUR: u32 = 3_600;
const DAY: u32 = 86_400;

fn limit(requests: u32, per_seconds: u32, burst: u32) -> LocalLimit {
    LocalLimit {
        requests,
        per_seconds,
        burst,
        key: Vec::new(),
    }
}

fn by_client(requests: u32, per_seconds: u32, burst: u32) -> LocalLimit {
    LocalLimit {
        key: vec![KeyPart::ClientIp],
        ..limit(requests, per_seconds, burst)
    }
}

/// One worker, and its proxy.
#[derive(Default)]
struct Worker {
    limits: RateLimiter,
    host: Fake,
}

impl Worker {
    fn take(&self, limit: &LocalLimit) -> RateLimitOutcome {
        self.limits.take(&self.host, limit, "id", b"key")
    }

    fn is_admitted(&self, limit: &LocalLimit) -> bool {
        is_admitted(self.take(limit))
    }

    /// The number of requests that are admitted at once.
    fn drain(&self, limit: &LocalLimit) -> usize {
        (0..10_000).take_while(|_| self.is_admitted(limit)).count()
    }
}

fn is_admitted(taken: RateLimitOutcome) -> bool {
    matches!(taken, RateLimitOutcome::Admitted { .. })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[wasm_bindgen_test(unsupported = test)]
fn outcome_reports_remaining_quota() {
    let worker = Worker::default();
    let limit = limit(5, MINUTE, 3);
    for (remaining, reset) in [(2, 12), (1, 24), (0, 36)] {
        let quota = Quota {
            limit: 3,
            remaining,
            reset,
        };
        let has_evicted = false;
        assert_eq!(
            worker.take(&limit),
            RateLimitOutcome::Admitted { quota, has_evicted }
        );
    }
    let refused = |reset, retry_after| RateLimitOutcome::Limited {
        quota: Quota {
            limit: 3,
            remaining: 0,
            reset,
        },
        retry_after,
    };
    assert_eq!(worker.take(&limit), refused(36, 12));
    worker.host.pass(Duration::from_millis(1));
    assert_eq!(worker.take(&limit), refused(36, 12), "rounded up");
    worker.host.pass(Duration::from_millis(11_998));
    assert_eq!(worker.take(&limit), refused(25, 1), "rounded up");
    worker.host.pass(Duration::from_millis(1));
    assert!(worker.is_admitted(&limit));
}

#[wasm_bindgen_test(unsupported = test)]
fn keys_and_limits_are_counted_separately() {
    let (host, limits) = (Fake::default(), RateLimiter::default());
    let limit = by_client(1, MINUTE, 1);
    for (id, key, want) in [
        ("a", "1", true),
        ("a", "2", true),
        ("b", "1", true),
        ("a", "1", false),
        ("a", "2", false),
        ("b", "1", false),
        ("b", "2", true),
    ] {
        let taken = limits.take(&host, &limit, id, key.as_bytes());
        assert_eq!(is_admitted(taken), want, "{id} {key}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn limit_without_key_has_one_bucket() {
    let (host, limits) = (Fake::default(), RateLimiter::default());
    let limit = limit(2, MINUTE, 2);
    let admitted = ["1", "2", "3"].map(|key| is_admitted(limits.take(&host, &limit, "id", key.as_bytes())));
    assert_eq!(admitted, [true, true, false]);
    assert_eq!(host.names(), ["limit id"], "and there is nothing to hash");
}

#[wasm_bindgen_test(unsupported = test)]
fn workers_share_a_bucket() {
    let host = Fake::default();
    let limit = by_client(2, MINUTE, 2);
    let admitted = [(); 3].map(|()| is_admitted(RateLimiter::default().take(&host, &limit, "id", b"key")));
    assert_eq!(admitted, [true, true, false]);
}

#[wasm_bindgen_test(unsupported = test)]
fn changed_limit_keeps_its_used_quota() {
    let old = limit(100, MINUTE, 100);
    for new in [
        limit(50, MINUTE, 50),
        limit(100, MINUTE, 10),
        limit(50, HOUR, 50),
        limit(7, DAY, 3),
        limit(200, MINUTE, 200),
        limit(u32::MAX, 1, u32::MAX),
        limit(1, u32::MAX, u32::MAX),
    ] {
        let worker = Worker::default();
        assert_eq!(worker.drain(&old), 100);
        assert!(!worker.is_admitted(&new), "{new:?}");
        assert!(!worker.is_admitted(&old), "a worker that does not know yet");
        assert!(!worker.is_admitted(&new), "{new:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn changed_limit_scales_its_buckets() {
    for (new, want) in [
        (limit(50, MINUTE, 50), 30),
        (limit(50, HOUR, 50), 30),
        (limit(200, MINUTE, 200), 120),
        (limit(100, MINUTE, 10), 6),
    ] {
        let worker = Worker::default();
        let old = limit(100, MINUTE, 100);
        assert!((0..40).all(|_| worker.is_admitted(&old)));
        assert_eq!(worker.drain(&new), want, "{new:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn slower_limit_refills_slower_while_refusing() {
    let worker = Worker::default();
    assert_eq!(worker.drain(&limit(100, 1, 100)), 100);
    let hourly = limit(10, HOUR, 10);
    for _ in 0..359 {
        assert!(!worker.is_admitted(&hourly));
        worker.host.pass(seconds(1));
    }
    assert!(!worker.is_admitted(&hourly));
    worker.host.pass(seconds(1));
    assert_eq!(worker.drain(&hourly), 1);
}

#[wasm_bindgen_test(unsupported = test)]
fn clock_set_back_recovers() {
    let worker = Worker::default();
    let limit = limit(60, MINUTE, 10);
    let now = worker.host.now();
    assert_eq!(worker.drain(&limit), 10);
    worker.host.set_now(now - seconds(86_400));
    assert!(!worker.is_admitted(&limit));
    worker.host.pass(seconds(1));
    assert_eq!(worker.drain(&limit), 1, "nobody waits for a day");
    worker.host.set_now(Duration::ZERO);
    assert!(!worker.is_admitted(&limit));
    worker.host.pass(seconds(3));
    assert_eq!(worker.drain(&limit), 3);
    worker.host.set_now(Duration::MAX);
    let _taken = worker.take(&limit);
}

#[wasm_bindgen_test(unsupported = test)]
fn extreme_numbers_are_counted() {
    let (worker, max) = (Worker::default(), u32::MAX);
    let daily = limit(max, DAY, max);
    for _ in 0..1_000 {
        assert!(worker.is_admitted(&daily));
    }
    let worker = Worker::default();
    let centuries = limit(1, max, max);
    assert!(worker.is_admitted(&centuries));
    assert_eq!(worker.drain(&limit(0, 0, 0)), 0, "as one a second, once");
    let worker = Worker::default();
    assert_eq!(worker.drain(&limit(1, max, 1)), 1);
    worker.host.pass(seconds(u64::from(max) - 1));
    assert_eq!(worker.drain(&limit(1, max, 1)), 0);
    worker.host.pass(seconds(1));
    assert_eq!(worker.drain(&limit(1, max, 1)), 1);
}

#[wasm_bindgen_test(unsupported = test)]
fn memory_is_bounded_and_emptiest_buckets_are_kept() {
    let (host, limits) = (Fake::default(), RateLimiter::default());
    let limit = by_client(10, MINUTE, 10);
    let take = |key: u32| limits.take(&host, &limit, "id", &key.to_le_bytes());
    for _ in 0..10 {
        assert!(is_admitted(take(0)));
    }
    let has_evicted = |taken| {
        matches!(
            taken,
            RateLimitOutcome::Admitted {
                has_evicted: true,
                ..
            }
        )
    };
    let room = u32::try_from(SETS * set::BUCKETS).unwrap();
    let evicted = (1..=2 * room).filter(|key| has_evicted(take(*key))).count();
    assert!(evicted >= room as usize, "{evicted}");
    let sets = host
        .names()
        .into_iter()
        .filter(|name| name.starts_with("limits "));
    let sizes: Vec<_> = sets.map(|name| host.value(&name).unwrap().len()).collect();
    assert_eq!(sizes.len(), SETS);
    assert!(sizes.iter().all(|size| *size <= 521), "{sizes:?}");
    assert!(!is_admitted(take(0)));
    // Once they are full again, none is given up.
    host.pass(seconds(6));
    assert!((1..=100).all(|key| !has_evicted(take(key))));
}

#[wasm_bindgen_test(unsupported = test)]
fn contended_request_is_not_admitted() {
    let worker = Worker::default();
    let limit = limit(10, MINUTE, 10);
    worker.host.refuse_sets(TRIES);
    assert_eq!(worker.take(&limit), RateLimitOutcome::Contended);
    worker.host.refuse_sets(TRIES - 1);
    assert_eq!(worker.drain(&limit), 10);
    // The workers cannot agree on a secret.
    let worker = Worker::default();
    worker.host.refuse_sets(usize::MAX);
    assert_eq!(
        worker.take(&by_client(10, MINUTE, 10)),
        RateLimitOutcome::Contended
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn malformed_value_is_ignored() {
    let limit = limit(3, MINUTE, 3);
    for bytes in [&b"x"[..], b"{}", &[0; 400], &[1; 12], &[0xff; 9]] {
        let worker = Worker::default();
        worker.host.put("limit id", bytes);
        assert_eq!(worker.drain(&limit), 3, "{bytes:?}");
    }
    // A set with invalid numbers: buckets are empty at most, and for no longer than that.
    let worker = Worker::default();
    let (window, bucket) = ([0xff; 8], [[0; 8], [0xff; 8]].concat());
    worker
        .host
        .put("limit id", &[&[1][..], &window, &bucket].concat());
    assert_eq!(worker.drain(&limit), 0);
    worker.host.pass(seconds(60));
    assert_eq!(worker.drain(&limit), 3);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    /// A textbook token bucket, in whole numbers: a token has as many parts as there are nanoseconds in the period, and
    /// each nanosecond adds as many parts as there are requests in a period.
    struct Ideal {
        requests: u128,
        token: u128,
        most: u128,
        parts: u128,
        at: u128,
    }

    impl Ideal {
        fn new(requests: u128, period: u128, burst: u32) -> Self {
            let most = period * u128::from(burst);
            Self {
                requests,
                token: period,
                most,
                parts: most,
                at: 0,
            }
        }

        fn is_admitted(&mut self, now: Duration) -> bool {
            let grown = self.parts + (now.as_nanos() - self.at) * self.requests;
            self.parts = grown.min(self.most);
            self.at = now.as_nanos();
            let is_there = self.parts >= self.token;
            if is_there {
                self.parts -= self.token;
            }
            is_there
        }
    }

    const NANOSECONDS: u128 = 1_000_000_000;

    fn limits() -> impl Strategy<Value = LocalLimit> {
        let requests = prop_oneof![1_u32..20, 1_u32..2_000_000, Just(u32::MAX), any::<u32>()];
        let units = prop_oneof![Just(1), Just(MINUTE), Just(HOUR), Just(DAY), 1_u32..100];
        let bursts = prop_oneof![1_u32..5, 1_u32..200];
        (requests.prop_map(|requests| requests.max(1)), units, bursts)
            .prop_map(|(requests, unit, burst)| limit(requests, unit, burst))
    }

    /// Pauses between requests, in intervals of the limit: many of about one, and some long ones.
    fn pauses() -> impl Strategy<Value = Vec<f64>> {
        let pause = prop_oneof![4 => Just(0.0), 4 => 0.0..0.5_f64, 4 => 0.9..1.1_f64, 1 => 0.0..300.0_f64];
        prop::collection::vec(pause, 1..400)
    }

    fn arrivals(limit: &LocalLimit, pauses: &[f64]) -> Vec<Duration> {
        let interval = f64::from(limit.per_seconds) * 1e9 / f64::from(limit.requests);
        let mut now = Fake::default().now();
        let pass = |pause: &f64| {
            now += Duration::from_nanos((pause * interval) as u64);
            now
        };
        pauses.iter().map(pass).collect()
    }

    /// Returns true for each request that is admitted.
    fn admitted(limit: &LocalLimit, arrivals: &[Duration]) -> Vec<bool> {
        let worker = Worker::default();
        let admit = |now: &Duration| {
            worker.host.set_now(*now);
            worker.is_admitted(limit)
        };
        arrivals.iter().map(admit).collect()
    }

    fn ideally(mut bucket: Ideal, arrivals: &[Duration]) -> Vec<bool> {
        arrivals.iter().map(|now| bucket.is_admitted(*now)).collect()
    }

    proptest! {
        #[test]
        fn never_admits_more_than_ideal_bucket(limit in limits(), pauses in pauses()) {
            let arrivals = arrivals(&limit, &pauses);
            let period = u128::from(limit.per_seconds) * NANOSECONDS;
            let ideal = ideally(Ideal::new(limit.requests.into(), period, limit.burst), &arrivals);
            let admitted = admitted(&limit, &arrivals);
            let mut spare = 0;
            for (admitted, ideal) in admitted.iter().zip(&ideal) {
                spare += i32::from(*ideal) - i32::from(*admitted);
                prop_assert!(spare >= 0, "{limit:?}");
            }
        }

        /// The ideal bucket has the interval in whole nanoseconds; if that is exact, the limit's own numbers as well.
        #[test]
        fn admits_the_same_as_ideal_bucket(limit in limits(), pauses in pauses()) {
            let arrivals = arrivals(&limit, &pauses);
            let period = u128::from(limit.per_seconds) * NANOSECONDS;
            let interval = period.div_ceil(limit.requests.into());
            let ideal = ideally(Ideal::new(1, interval, limit.burst), &arrivals);
            prop_assert_eq!(admitted(&limit, &arrivals), ideal);
        }

        /// `Retry-After` is exact: a second less would be refused.
        #[test]
        fn request_after_retry_after_is_admitted(limit in limits(), pauses in pauses()) {
            let worker = Worker::default();
            for now in arrivals(&limit, &pauses) {
                worker.host.set_now(now);
                if let RateLimitOutcome::Limited { retry_after, quota } = worker.take(&limit) {
                    prop_assert!(retry_after >= 1 && quota.remaining == 0);
                    worker.host.set_now(now + seconds(retry_after - 1));
                    prop_assert!(!worker.is_admitted(&limit) || retry_after == 1);
                    worker.host.set_now(now + seconds(retry_after));
                    prop_assert!(worker.is_admitted(&limit));
                    break;
                }
            }
        }

        /// As many requests are admitted as remain, and after `reset` the bucket is full.
        #[test]
        fn remaining_requests_are_admitted(limit in limits(), pauses in pauses()) {
            let worker = Worker::default();
            for now in arrivals(&limit, &pauses) {
                worker.host.set_now(now);
                let _taken = worker.take(&limit);
            }
            if let RateLimitOutcome::Admitted { quota, .. } = worker.take(&limit) {
                prop_assert_eq!(worker.drain(&limit), quota.remaining as usize);
            }
            if let RateLimitOutcome::Limited { quota, .. } = worker.take(&limit) {
                worker.host.pass(seconds(quota.reset));
                prop_assert_eq!(worker.drain(&limit), limit.burst as usize);
            }
        }
    }
}

/// Workers as threads, each with its own state.
#[cfg(not(target_arch = "wasm32"))]
mod workers {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Instant,
    };

    const WORKERS: usize = 4;

    fn at_once(work: impl Fn() + Sync) {
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(&work);
            }
        });
    }

    /// Tries until it can be counted.
    fn take(limits: &RateLimiter, host: &Fake, limit: &LocalLimit, key: u32) -> RateLimitOutcome {
        let take = || limits.take(host, limit, "id", &key.to_le_bytes());
        let mut tries = std::iter::repeat_with(take);
        tries.find(|taken| *taken != RateLimitOutcome::Contended).unwrap()
    }

    #[test]
    fn workers_together_admit_exactly_the_limit() {
        for limit in [limit(1_000, DAY, 1_000), by_client(1_000, DAY, 1_000)] {
            let (host, admitted) = (Fake::default(), AtomicUsize::new(0));
            at_once(|| {
                let limits = RateLimiter::default();
                for _ in 0..1_000 {
                    if is_admitted(take(&limits, &host, &limit, 0)) {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            assert_eq!(admitted.into_inner(), 1_000);
        }
    }

    #[test]
    fn workers_do_not_lose_buckets_of_others() {
        let host = Fake::default();
        let limit = by_client(10, DAY, 10);
        let admitted: Vec<_> = (0..500).map(|_| AtomicUsize::new(0)).collect();
        at_once(|| {
            let limits = RateLimiter::default();
            for (key, admitted) in (0..).zip(&admitted) {
                for _ in 0..5 {
                    if is_admitted(take(&limits, &host, &limit, key)) {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        assert!(admitted.into_iter().all(|admitted| admitted.into_inner() == 10));
    }

    #[test]
    fn workers_never_exceed_limit_while_time_passes() {
        let (host, admitted) = (Fake::default(), AtomicUsize::new(0));
        let limit = limit(10_000, 1, 50);
        let (started, from) = (Instant::now(), host.now());
        at_once(|| {
            let limits = RateLimiter::default();
            for _ in 0..20_000 {
                // A late worker sets the clock back a little.
                host.set_now(from + started.elapsed());
                if is_admitted(take(&limits, &host, &limit, 0)) {
                    admitted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let allowed = 50.0 + started.elapsed().as_secs_f64() * 10_000.0;
        let admitted = admitted.into_inner();
        assert!(admitted as f64 <= allowed, "{admitted} of {allowed}");
        assert!(admitted > 50, "{admitted}");
    }
}
