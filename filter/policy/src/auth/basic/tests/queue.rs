//! The queue: the passwords that are verified, and their order.

use super::*;
use crate::auth::{
    FailureResponse,
    passwords::queue::{MAX_AT_NAME, MAX_OF_CLIENT, MAX_WAITING},
};

const ATTACKER: &str = "198.51.100.1";
const USER: &str = "192.0.2.1";

/// Distinct addresses.
fn address(n: usize) -> &'static str {
    Box::leak(format!("203.0.{}.{}", n / 250, n % 250).into_boxed_str())
}

fn guesses(worker: &Worker, name: &str, count: usize) -> Vec<Work> {
    let guess = |n| worker.works(&shown(name, &format!("guess {n}")));
    (0..count).filter_map(guess).collect()
}

fn displaced(works: &[Work]) -> usize {
    works
        .iter()
        .filter(|work| work.outcome() == Some(Verification::Displaced))
        .count()
}

#[wasm_bindgen_test(unsupported = test)]
fn full_client_queue_answers_429_with_retry_after() {
    let worker = Worker::new(ALICE);
    let works: Vec<_> = (0..MAX_WAITING)
        .filter_map(|n| worker.works(&shown(&format!("name{n}"), "guess")))
        .collect();
    assert_eq!(works.len(), MAX_OF_CLIENT);
    let AuthOutcome::Fail(AuthFailure { reason, response }) = worker.check(&shown("alice", "one more"))
    else {
        panic!("let in");
    };
    assert_eq!(reason, FailureReason::Busy);
    assert_eq!(response, FailureResponse::TooMany { retry_after: 5 });
    // A request that waits already has a place.
    assert!(worker.works(&shown("name0", "guess")).is_some());
}

#[wasm_bindgen_test(unsupported = test)]
fn ipv6_network_shares_one_queue_limit() {
    let mut worker = Worker::new(ALICE);
    let mut works = Vec::new();
    for n in 0..2 * MAX_OF_CLIENT {
        let address = Box::leak(format!("2001:db8:1:2::{n:x}").into_boxed_str());
        works.extend(worker.at(address).works(&shown(&format!("name{n}"), "guess")));
    }
    assert_eq!(works.len(), MAX_OF_CLIENT);
    assert!(
        worker
            .at("2001:db8:1:3::1")
            .works(&shown("alice", "guess"))
            .is_some()
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn queue_verifies_one_password_at_a_time() {
    let worker = Worker::new(ALICE);
    let works = guesses(&worker, "alice", 4);
    for want in 0..4 {
        assert_eq!(worker.next_done(&works), [want]);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn user_is_ranked_before_second_guess_of_other_client() {
    for name in ["alice", "mallory"] {
        let mut worker = Worker::new(ALICE);
        let mut works = guesses(worker.at(ATTACKER), name, MAX_OF_CLIENT);
        works.extend(worker.at(USER).works(&shown("alice", "wonderland")));
        // Guesses at the same name fill its places: the last of them goes.
        let is_same = usize::from(name == "alice");
        assert_eq!(
            (works.len(), displaced(&works)),
            (MAX_OF_CLIENT + 1, is_same),
            "{name}"
        );
        while worker.next_done(&works) != [0] {}
        assert_eq!(worker.next_done(&works), [MAX_OF_CLIENT], "{name}");
        assert_eq!(
            works.last().and_then(Work::outcome),
            Some(Verification::Right),
            "{name}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn client_with_failures_is_ranked_last() {
    let mut worker = Worker::new(ALICE);
    worker.at(ATTACKER);
    assert!(worker.finish(&shown("mallory", "guess")).1.is_err());
    let mut works = guesses(worker.at(ATTACKER), "mallory", 1);
    works.extend(worker.at(USER).works(&shown("alice", "wonderland")));
    assert_eq!(worker.next_done(&works), [1]);
    drop(works);
    // That is forgotten.
    worker.now += Duration::from_secs(601);
    let mut works = guesses(worker.at(ATTACKER), "other", 1);
    works.extend(worker.at(USER).works(&shown("alice", "another")));
    assert_eq!(worker.next_done(&works), [0]);
}

#[wasm_bindgen_test(unsupported = test)]
fn guesses_at_one_name_do_not_fill_queue() {
    let mut worker = Worker::new(ALICE);
    let mut works = Vec::new();
    for n in 0..MAX_WAITING {
        works.extend(worker.at(address(n)).works(&shown("mallory", &n.to_string())));
    }
    assert_eq!(works.len(), MAX_AT_NAME);
    assert!(worker.at(USER).works(&shown("alice", "wonderland")).is_some());
}

#[wasm_bindgen_test(unsupported = test)]
fn familiar_login_is_ranked_before_guesses() {
    for name in ["alice", ""] {
        let mut worker = Worker::new(ALICE);
        assert!(worker.at(USER).finish(&shown("alice", "wonderland")).1.is_ok());
        // The result that the password is right has expired.
        worker.now += Duration::from_secs(3600);
        let mut works = Vec::new();
        for n in 0..2 * MAX_WAITING {
            let name = if name.is_empty() {
                n.to_string()
            } else {
                name.to_owned()
            };
            works.extend(worker.at(address(n)).works(&shown(&name, &n.to_string())));
        }
        let full = if name.is_empty() { MAX_WAITING } else { MAX_AT_NAME };
        assert_eq!((works.len(), displaced(&works)), (full, 0));
        // Nobody else gets in.
        assert!(worker.at(ATTACKER).works(&shown(name, "one more")).is_none());
        works.extend(worker.at(USER).works(&shown("alice", "wonderland")));
        assert_eq!((works.len(), displaced(&works)), (full + 1, 1));
        assert!(worker.cache.verify(|| false));
        assert_eq!(works.last().and_then(Work::outcome), Some(Verification::Right));
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn account_gets_one_familiar_attempt_at_a_time() {
    let mut worker = Worker::new(ALICE);
    assert!(
        worker
            .at(ATTACKER)
            .finish(&shown("alice", "wonderland"))
            .1
            .is_ok()
    );
    let mut works = guesses(worker.at(ATTACKER), "alice", 2);
    works.extend(worker.at(USER).works(&shown("bob", "guess")));
    assert_eq!(worker.next_done(&works), [0]);
    assert_eq!(worker.next_done(&works), [2]);
    drop(works);
    // The password was wrong, so the name is no longer familiar.
    let mut works = Vec::new();
    works.extend(worker.at(ATTACKER).works(&shown("alice", "another guess")));
    works.extend(worker.at(address(1)).works(&shown("carol", "guess")));
    assert_eq!(worker.next_done(&works), [1]);
}

#[wasm_bindgen_test(unsupported = test)]
fn disconnected_client_frees_entry_and_counts_as_failure() {
    let mut worker = Worker::new(ALICE);
    let mut works = guesses(worker.at(ATTACKER), "alice", MAX_OF_CLIENT);
    assert!(!worker.cache.verify(|| true), "the first is begun");
    assert!(worker.works(&shown("alice", "one more")).is_none());
    let shared = worker.works(&shown("alice", "guess 0"));
    works.remove(0);
    assert!(
        worker.works(&shown("alice", "one more")).is_none(),
        "another waits for it"
    );
    drop(shared);
    assert!(worker.works(&shown("alice", "one more")).is_some());
    drop(works);
    let mut works = guesses(worker.at(ATTACKER), "mallory", 1);
    works.extend(worker.at(USER).works(&shown("alice", "wonderland")));
    assert_eq!(worker.next_done(&works), [1]);
}

/// Neither the answer nor the order tells.
#[wasm_bindgen_test(unsupported = test)]
fn queue_does_not_reveal_known_names() {
    let order = |name: &str| {
        let mut worker = Worker::new(ALICE);
        let mut works = Vec::new();
        for n in 0..20 {
            let at_name = if n % 2 == 0 { name } else { "nobody" };
            works.extend(worker.at(address(n % 3)).works(&shown(at_name, &n.to_string())));
        }
        let first: Vec<_> = (0..8).map(|_| worker.next_done(&works)).collect();
        (works.len(), displaced(&works), first)
    };
    assert_eq!(order("alice"), order("mallory"));
}
