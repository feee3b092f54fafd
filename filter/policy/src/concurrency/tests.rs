use super::{workers::HEARTBEAT_INTERVAL, *};
use crate::{config::policy::KeyPart, host::fake::Fake};
use wasm_bindgen_test::wasm_bindgen_test;

const ID: &str = "default/root virtualhost concurrency";

fn limit(max: u32) -> Concurrency {
    Concurrency {
        max,
        key: vec![KeyPart::ClientIp],
    }
}

fn acquire(limiter: &mut ConcurrencyLimiter, host: &Fake, max: u32) -> Result<Permit, AcquireError> {
    limiter.acquire(host, &limit(max), ID, b"key")
}

/// Takes all permits that a worker gets.
fn fill(limiter: &mut ConcurrencyLimiter, host: &Fake, max: u32) -> Vec<Permit> {
    std::iter::from_fn(|| acquire(limiter, host, max).ok()).collect()
}

/// Passes time, in which those workers send heartbeats.
fn live(host: &Fake, workers: &mut [&mut ConcurrencyLimiter], seconds: u64) {
    for _ in 0..seconds {
        host.pass(HEARTBEAT_INTERVAL);
        for worker in workers.iter_mut() {
            worker.heartbeat(host);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn acquire_fails_at_limit_until_release() {
    let host = Fake::default();
    let mut workers = [ConcurrencyLimiter::default(), ConcurrencyLimiter::default()];
    let [a, b] = &mut workers;
    let first = acquire(a, &host, 2).unwrap();
    let second = acquire(b, &host, 2).unwrap();
    assert_eq!(acquire(a, &host, 2), Err(AcquireError::Full));
    assert_eq!(acquire(b, &host, 2), Err(AcquireError::Full));
    first.release(&host);
    let third = acquire(b, &host, 2).unwrap();
    assert_eq!(acquire(a, &host, 2), Err(AcquireError::Full));
    for permit in [second, third] {
        permit.release(&host);
    }
    assert_eq!(fill(a, &host, 2).len(), 2);
}

#[wasm_bindgen_test(unsupported = test)]
fn keys_and_limits_are_counted_separately() {
    let (host, mut limiter) = (Fake::default(), ConcurrencyLimiter::default());
    let mut taken = Vec::new();
    for (id, key, want) in [
        ("a", "1", true),
        ("a", "2", true),
        ("b", "1", true),
        ("a", "1", false),
        ("b", "1", false),
        ("b", "2", true),
    ] {
        let permit = limiter.acquire(&host, &limit(1), id, key.as_bytes());
        assert_eq!(permit.is_ok(), want, "{id} {key}");
        taken.extend(permit);
    }
    for permit in taken {
        permit.release(&host);
    }
    assert!(limiter.acquire(&host, &limit(1), "a", b"1").is_ok());
}

#[wasm_bindgen_test(unsupported = test)]
fn limit_without_key_counts_all_requests() {
    let (host, mut limiter) = (Fake::default(), ConcurrencyLimiter::default());
    let key = Vec::new();
    let all = Concurrency { max: 2, key };
    let admitted = ["1", "2", "3"].map(|key| limiter.acquire(&host, &all, ID, key.as_bytes()));
    assert!(matches!(admitted, [Ok(_), Ok(_), Err(AcquireError::Full)]));
    assert_eq!(host.names(), [format!("in flight {ID}"), "workers".to_owned()]);
}

#[wasm_bindgen_test(unsupported = test)]
fn changed_limit_keeps_counts() {
    let (host, mut limiter) = (Fake::default(), ConcurrencyLimiter::default());
    let mut taken = fill(&mut limiter, &host, 10);
    assert_eq!(acquire(&mut limiter, &host, 5), Err(AcquireError::Full));
    for permit in taken.drain(..6) {
        permit.release(&host);
    }
    assert!(acquire(&mut limiter, &host, 5).is_ok());
    assert_eq!(acquire(&mut limiter, &host, 5), Err(AcquireError::Full));
}

#[wasm_bindgen_test(unsupported = test)]
fn idle_keys_use_no_memory() {
    let (host, mut limiter) = (Fake::default(), ConcurrencyLimiter::default());
    for key in 0..2_000_u32 {
        let permit = limiter.acquire(&host, &limit(1), ID, &key.to_le_bytes()).unwrap();
        permit.release(&host);
    }
    let counts = host
        .names()
        .into_iter()
        .filter(|name| name.starts_with("in flight"));
    let counts: Vec<_> = counts.map(|name| host.value(&name).unwrap()).collect();
    assert_eq!(counts.len(), SETS);
    assert!(counts.iter().all(|value| *value == Counts::default().to_bytes()));
}

#[wasm_bindgen_test(unsupported = test)]
fn permits_of_dead_worker_are_reclaimed() {
    let host = Fake::default();
    let (mut lives, mut dies) = (ConcurrencyLimiter::default(), ConcurrencyLimiter::default());
    let kept = acquire(&mut lives, &host, 3).unwrap();
    assert_eq!(fill(&mut dies, &host, 3).len(), 2);
    drop(dies);
    // Another worker starts in its place, without its state.
    let mut next = ConcurrencyLimiter::default();
    assert_eq!(acquire(&mut next, &host, 3), Err(AcquireError::Full));
    live(&host, &mut [&mut lives, &mut next], 9);
    assert_eq!(
        acquire(&mut next, &host, 3),
        Err(AcquireError::Full),
        "it may live"
    );
    live(&host, &mut [&mut lives, &mut next], 2);
    assert_eq!(fill(&mut next, &host, 3).len(), 2);
    kept.release(&host);
    assert_eq!(fill(&mut next, &host, 3).len(), 1);
}

#[wasm_bindgen_test(unsupported = test)]
fn permits_of_last_worker_are_reclaimed() {
    let host = Fake::default();
    let mut dies = ConcurrencyLimiter::default();
    assert_eq!(fill(&mut dies, &host, 3).len(), 3);
    let mut next = ConcurrencyLimiter::default();
    assert_eq!(acquire(&mut next, &host, 3), Err(AcquireError::Full));
    live(&host, &mut [&mut next], 11);
    assert_eq!(fill(&mut next, &host, 3).len(), 3);
}

#[wasm_bindgen_test(unsupported = test)]
fn new_requests_reclaim_permits_of_dead_worker() {
    let host = Fake::default();
    let mut dies = ConcurrencyLimiter::default();
    let _lost = fill(&mut dies, &host, 3);
    let mut next = ConcurrencyLimiter::default();
    let refused = (0..60).take_while(|_| {
        host.pass(HEARTBEAT_INTERVAL);
        acquire(&mut next, &host, 3) == Err(AcquireError::Full)
    });
    assert!((10..=13).contains(&refused.count()));
}

#[wasm_bindgen_test(unsupported = test)]
fn long_request_keeps_its_permit() {
    let host = Fake::default();
    let (mut a, mut b) = (ConcurrencyLimiter::default(), ConcurrencyLimiter::default());
    let permit = acquire(&mut a, &host, 1).unwrap();
    assert_eq!(acquire(&mut b, &host, 1), Err(AcquireError::Full));
    live(&host, &mut [&mut a, &mut b], 10_000);
    assert_eq!(acquire(&mut b, &host, 1), Err(AcquireError::Full));
    permit.release(&host);
    assert!(acquire(&mut b, &host, 1).is_ok());
}

#[wasm_bindgen_test(unsupported = test)]
fn hung_worker_resumes_counting() {
    let host = Fake::default();
    let (mut hangs, mut other) = (ConcurrencyLimiter::default(), ConcurrencyLimiter::default());
    let old = fill(&mut hangs, &host, 2);
    assert_eq!(acquire(&mut other, &host, 2), Err(AcquireError::Full));
    live(&host, &mut [&mut other], 11);
    let taken = fill(&mut other, &host, 2);
    assert_eq!(taken.len(), 2, "it was taken for dead");
    for permit in taken {
        permit.release(&host);
    }
    // Its old permits are not counted, and releasing them has no effect; new ones are counted.
    let new = fill(&mut hangs, &host, 2);
    assert_eq!(new.len(), 2);
    for permit in old {
        permit.release(&host);
    }
    live(&host, &mut [&mut hangs, &mut other], 60);
    assert_eq!(acquire(&mut other, &host, 2), Err(AcquireError::Full));
    for permit in new {
        permit.release(&host);
    }
    assert_eq!(fill(&mut other, &host, 2).len(), 2);
}

#[wasm_bindgen_test(unsupported = test)]
fn idle_worker_rejoins_on_next_request() {
    let host = Fake::default();
    let (mut rests, mut works) = (ConcurrencyLimiter::default(), ConcurrencyLimiter::default());
    acquire(&mut rests, &host, 1).unwrap().release(&host);
    acquire(&mut works, &host, 1).unwrap().release(&host);
    live(&host, &mut [&mut works], 100);
    let permit = acquire(&mut rests, &host, 1).unwrap();
    assert_eq!(acquire(&mut works, &host, 1), Err(AcquireError::Full));
    permit.release(&host);
}

#[wasm_bindgen_test(unsupported = test)]
fn contended_acquire_fails_and_release_retries() {
    let (host, mut limiter) = (Fake::default(), ConcurrencyLimiter::default());
    host.refuse_sets(usize::MAX);
    assert_eq!(acquire(&mut limiter, &host, 1), Err(AcquireError::Contended));
    host.refuse_sets(0);
    let permit = acquire(&mut limiter, &host, 1).unwrap();
    host.refuse_sets(RELEASE_TRIES - 1);
    permit.release(&host);
    let permit = acquire(&mut limiter, &host, 1).unwrap();
    permit.release(&host);
    host.refuse_sets(TRIES);
    assert_eq!(acquire(&mut limiter, &host, 1), Err(AcquireError::Contended));
}

#[wasm_bindgen_test(unsupported = test)]
fn malformed_counts_are_ignored() {
    for bytes in [&b"x"[..], b"{}", &[0; 400], &[1; 12], &[0xff; 25]] {
        let (host, mut limiter) = (Fake::default(), ConcurrencyLimiter::default());
        host.put("workers", bytes);
        let first = acquire(&mut limiter, &host, 2).unwrap();
        let set = host
            .names()
            .into_iter()
            .find(|name| name.starts_with("in flight"));
        host.put(&set.unwrap(), bytes);
        host.put("workers", bytes);
        assert_eq!(fill(&mut limiter, &host, 2).len(), 2);
        limiter.heartbeat(&host);
        first.release(&host);
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    const MAX: u32 = 3;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Enter {
            worker: usize,
            key: u8,
        },
        /// The index among the requests in flight.
        Leave(prop::sample::Index),
        Second,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let enter = (0..3_usize, 0..3_u8).prop_map(|(worker, key)| Event::Enter { worker, key });
        let leave = any::<prop::sample::Index>().prop_map(Event::Leave);
        let event = prop_oneof![4 => enter, 3 => leave, 1 => Just(Event::Second)];
        prop::collection::vec(event, 0..200)
    }

    proptest! {
        #[test]
        fn acquire_succeeds_below_limit(events in events()) {
            let host = Fake::default();
            let mut workers = [(); 3].map(|()| ConcurrencyLimiter::default());
            let mut in_flight: Vec<(u8, Permit)> = Vec::new();
            for event in events {
                match event {
                    Event::Enter { worker, key } => {
                        let of_key = in_flight.iter().filter(|(other, _)| *other == key).count();
                        let permit = workers.get_mut(worker).unwrap().acquire(&host, &limit(MAX), ID, &[key]);
                        prop_assert_eq!(permit.is_ok(), of_key < MAX as usize);
                        in_flight.extend(permit.map(|permit| (key, permit)));
                    }
                    Event::Leave(which) if !in_flight.is_empty() => {
                        let (_, permit) = in_flight.swap_remove(which.index(in_flight.len()));
                        permit.release(&host);
                    }
                    Event::Leave(_) => {}
                    Event::Second => live(&host, &mut workers.each_mut(), 1),
                }
            }
        }
    }
}

/// Workers as threads.
#[cfg(not(target_arch = "wasm32"))]
mod at_once {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    const WORKERS: usize = 4;
    const MAX: usize = 3;

    #[test]
    fn concurrent_workers_never_exceed_limit() {
        let (host, in_flight, served) = (Fake::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            let mut limiter = ConcurrencyLimiter::default();
            for number in 0..2_000 {
                let Ok(permit) = acquire(&mut limiter, &host, MAX as u32) else {
                    continue;
                };
                let others = in_flight.fetch_add(1, Ordering::SeqCst);
                assert!(others < MAX, "{others}");
                thread::yield_now();
                served.fetch_add(1, Ordering::SeqCst);
                in_flight.fetch_sub(1, Ordering::SeqCst);
                permit.release(&host);
                if number % 100 == 0 {
                    limiter.heartbeat(&host);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(work);
            }
        });
        assert!(served.into_inner() > 100);
        assert_eq!(
            fill(&mut ConcurrencyLimiter::default(), &host, MAX as u32).len(),
            MAX
        );
    }
}
