use super::*;
use crate::{config::policy::KeyPart, host::fake::Fake};
use wasm_bindgen_test::wasm_bindgen_test;

const ID: &str = "default/root virtualhost concurrency";

fn limit(max: u32) -> Concurrency {
    Concurrency {
        max,
        key: vec![KeyPart::ClientIp],
    }
}

fn enter(places: &mut Places, host: &Fake, max: u32) -> Result<Place, NoPlace> {
    places.enter(host, &limit(max), ID, b"key")
}

/// Takes all places that a worker gets.
fn fill(places: &mut Places, host: &Fake, max: u32) -> Vec<Place> {
    std::iter::from_fn(|| enter(places, host, max).ok()).collect()
}

/// Passes time, in which those workers tick.
fn live(host: &Fake, workers: &mut [&mut Places], seconds: u64) {
    for _ in 0..seconds {
        host.pass(TICK);
        for worker in workers.iter_mut() {
            worker.tick(host);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn so_many_are_in_flight_and_no_more_until_one_leaves() {
    let host = Fake::default();
    let mut workers = [Places::default(), Places::default()];
    let [a, b] = &mut workers;
    let first = enter(a, &host, 2).unwrap();
    let second = enter(b, &host, 2).unwrap();
    assert_eq!(enter(a, &host, 2), Err(NoPlace::Full));
    assert_eq!(enter(b, &host, 2), Err(NoPlace::Full));
    leave(&host, first);
    let third = enter(b, &host, 2).unwrap();
    assert_eq!(enter(a, &host, 2), Err(NoPlace::Full));
    for place in [second, third] {
        leave(&host, place);
    }
    assert_eq!(fill(a, &host, 2).len(), 2);
}

#[wasm_bindgen_test(unsupported = test)]
fn keys_and_limits_are_counted_apart() {
    let (host, mut places) = (Fake::default(), Places::default());
    let mut taken = Vec::new();
    for (id, key, want) in [
        ("a", "1", true),
        ("a", "2", true),
        ("b", "1", true),
        ("a", "1", false),
        ("b", "1", false),
        ("b", "2", true),
    ] {
        let place = places.enter(&host, &limit(1), id, key.as_bytes());
        assert_eq!(place.is_ok(), want, "{id} {key}");
        taken.extend(place);
    }
    for place in taken {
        leave(&host, place);
    }
    assert!(places.enter(&host, &limit(1), "a", b"1").is_ok());
}

#[wasm_bindgen_test(unsupported = test)]
fn a_limit_without_key_counts_all_together() {
    let (host, mut places) = (Fake::default(), Places::default());
    let key = Vec::new();
    let all = Concurrency { max: 2, key };
    let admitted = ["1", "2", "3"].map(|key| places.enter(&host, &all, ID, key.as_bytes()));
    assert!(matches!(admitted, [Ok(_), Ok(_), Err(NoPlace::Full)]));
    assert_eq!(host.names(), [format!("in flight {ID}"), "workers".to_owned()]);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_changed_limit_counts_who_is_there() {
    let (host, mut places) = (Fake::default(), Places::default());
    let mut taken = fill(&mut places, &host, 10);
    assert_eq!(enter(&mut places, &host, 5), Err(NoPlace::Full));
    for place in taken.drain(..6) {
        leave(&host, place);
    }
    assert!(enter(&mut places, &host, 5).is_ok());
    assert_eq!(enter(&mut places, &host, 5), Err(NoPlace::Full));
}

#[wasm_bindgen_test(unsupported = test)]
fn nothing_is_kept_of_keys_that_are_not_in_flight() {
    let (host, mut places) = (Fake::default(), Places::default());
    for key in 0..2_000_u32 {
        let place = places.enter(&host, &limit(1), ID, &key.to_le_bytes()).unwrap();
        leave(&host, place);
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
fn places_of_a_worker_that_died_come_back() {
    let host = Fake::default();
    let (mut lives, mut dies) = (Places::default(), Places::default());
    let kept = enter(&mut lives, &host, 3).unwrap();
    assert_eq!(fill(&mut dies, &host, 3).len(), 2);
    drop(dies);
    // Another worker starts in its place, without its state.
    let mut next = Places::default();
    assert_eq!(enter(&mut next, &host, 3), Err(NoPlace::Full));
    live(&host, &mut [&mut lives, &mut next], 9);
    assert_eq!(enter(&mut next, &host, 3), Err(NoPlace::Full), "it may live");
    live(&host, &mut [&mut lives, &mut next], 2);
    assert_eq!(fill(&mut next, &host, 3).len(), 2);
    leave(&host, kept);
    assert_eq!(fill(&mut next, &host, 3).len(), 1);
}

#[wasm_bindgen_test(unsupported = test)]
fn places_of_a_worker_that_was_alone_come_back() {
    let host = Fake::default();
    let mut dies = Places::default();
    assert_eq!(fill(&mut dies, &host, 3).len(), 3);
    let mut next = Places::default();
    assert_eq!(enter(&mut next, &host, 3), Err(NoPlace::Full));
    live(&host, &mut [&mut next], 11);
    assert_eq!(fill(&mut next, &host, 3).len(), 3);
}

#[wasm_bindgen_test(unsupported = test)]
fn requests_that_come_see_to_it_where_none_is_in_flight() {
    let host = Fake::default();
    let mut dies = Places::default();
    let _lost = fill(&mut dies, &host, 3);
    let mut next = Places::default();
    let refused = (0..60).take_while(|_| {
        host.pass(TICK);
        enter(&mut next, &host, 3) == Err(NoPlace::Full)
    });
    assert!((10..=13).contains(&refused.count()));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_request_that_takes_hours_keeps_its_place() {
    let host = Fake::default();
    let (mut a, mut b) = (Places::default(), Places::default());
    let place = enter(&mut a, &host, 1).unwrap();
    assert_eq!(enter(&mut b, &host, 1), Err(NoPlace::Full));
    live(&host, &mut [&mut a, &mut b], 10_000);
    assert_eq!(enter(&mut b, &host, 1), Err(NoPlace::Full));
    leave(&host, place);
    assert!(enter(&mut b, &host, 1).is_ok());
}

#[wasm_bindgen_test(unsupported = test)]
fn a_worker_that_only_hung_counts_on() {
    let host = Fake::default();
    let (mut hangs, mut other) = (Places::default(), Places::default());
    let old = fill(&mut hangs, &host, 2);
    assert_eq!(enter(&mut other, &host, 2), Err(NoPlace::Full));
    live(&host, &mut [&mut other], 11);
    let taken = fill(&mut other, &host, 2);
    assert_eq!(taken.len(), 2, "it was taken for dead");
    for place in taken {
        leave(&host, place);
    }
    // Its old places are not counted, and releasing them has no effect; new ones are counted.
    let new = fill(&mut hangs, &host, 2);
    assert_eq!(new.len(), 2);
    for place in old {
        leave(&host, place);
    }
    live(&host, &mut [&mut hangs, &mut other], 60);
    assert_eq!(enter(&mut other, &host, 2), Err(NoPlace::Full));
    for place in new {
        leave(&host, place);
    }
    assert_eq!(fill(&mut other, &host, 2).len(), 2);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_worker_that_had_nothing_to_do_for_long_is_one_of_them_when_it_has() {
    let host = Fake::default();
    let (mut rests, mut works) = (Places::default(), Places::default());
    leave(&host, enter(&mut rests, &host, 1).unwrap());
    leave(&host, enter(&mut works, &host, 1).unwrap());
    live(&host, &mut [&mut works], 100);
    let place = enter(&mut rests, &host, 1).unwrap();
    assert_eq!(enter(&mut works, &host, 1), Err(NoPlace::Full));
    leave(&host, place);
}

#[wasm_bindgen_test(unsupported = test)]
fn what_cannot_be_counted_gets_no_place_and_what_is_counted_goes_back() {
    let (host, mut places) = (Fake::default(), Places::default());
    host.refuse_sets(usize::MAX);
    assert_eq!(enter(&mut places, &host, 1), Err(NoPlace::Contended));
    host.refuse_sets(0);
    let place = enter(&mut places, &host, 1).unwrap();
    host.refuse_sets(TRIES_TO_LEAVE - 1);
    leave(&host, place);
    let place = enter(&mut places, &host, 1).unwrap();
    leave(&host, place);
    host.refuse_sets(TRIES);
    assert_eq!(enter(&mut places, &host, 1), Err(NoPlace::Contended));
}

#[wasm_bindgen_test(unsupported = test)]
fn bytes_that_count_nothing_are_nothing() {
    for bytes in [&b"x"[..], b"{}", &[0; 400], &[1; 12], &[0xff; 25]] {
        let (host, mut places) = (Fake::default(), Places::default());
        host.put("workers", bytes);
        let first = enter(&mut places, &host, 2).unwrap();
        let set = host
            .names()
            .into_iter()
            .find(|name| name.starts_with("in flight"));
        host.put(&set.unwrap(), bytes);
        host.put("workers", bytes);
        assert_eq!(fill(&mut places, &host, 2).len(), 2);
        places.tick(&host);
        leave(&host, first);
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
        fn a_request_gets_a_place_where_fewer_than_the_most_have_one(events in events()) {
            let host = Fake::default();
            let mut workers = [(); 3].map(|()| Places::default());
            let mut in_flight: Vec<(u8, Place)> = Vec::new();
            for event in events {
                match event {
                    Event::Enter { worker, key } => {
                        let of_key = in_flight.iter().filter(|(other, _)| *other == key).count();
                        let place = workers.get_mut(worker).unwrap().enter(&host, &limit(MAX), ID, &[key]);
                        prop_assert_eq!(place.is_ok(), of_key < MAX as usize);
                        in_flight.extend(place.map(|place| (key, place)));
                    }
                    Event::Leave(which) if !in_flight.is_empty() => {
                        let (_, place) = in_flight.swap_remove(which.index(in_flight.len()));
                        leave(&host, place);
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
    fn never_more_are_in_flight_and_each_place_goes_back() {
        let (host, in_flight, served) = (Fake::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            let mut places = Places::default();
            for number in 0..2_000 {
                let Ok(place) = enter(&mut places, &host, MAX as u32) else {
                    continue;
                };
                let others = in_flight.fetch_add(1, Ordering::SeqCst);
                assert!(others < MAX, "{others}");
                thread::yield_now();
                served.fetch_add(1, Ordering::SeqCst);
                in_flight.fetch_sub(1, Ordering::SeqCst);
                leave(&host, place);
                if number % 100 == 0 {
                    places.tick(&host);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(work);
            }
        });
        assert!(served.into_inner() > 100);
        assert_eq!(fill(&mut Places::default(), &host, MAX as u32).len(), MAX);
    }
}
