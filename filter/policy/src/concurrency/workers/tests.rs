use super::*;
use crate::host::fake::Fake;
use wasm_bindgen_test::wasm_bindgen_test;

const NOBODY: [u64; 0] = [];
const LONG: Duration = Duration::from_secs(1_000_000);

/// Looks every second for `seconds`, while the second of two workers beats or not. Returns the dead workers.
fn monitor(
    host: &Fake,
    monitor: &mut WorkerMonitor,
    [me, other]: [u64; 2],
    seconds: u64,
    beats: bool,
) -> Vec<u64> {
    let mut dead = Vec::new();
    for _ in 0..seconds {
        host.pass(HEARTBEAT_INTERVAL);
        if beats {
            assert_eq!(add_beat(host, other, &[]), Some(true));
        }
        dead = monitor.observe(host.now(), &Workers::read(host));
        assert_eq!(add_beat(host, me, &[]), Some(true));
    }
    dead
}

fn workers<const N: usize>(all: [(u64, u64); N]) -> Workers {
    Workers(all.map(|(number, beats)| Heartbeat { number, beats }).into())
}

fn two() -> (Fake, WorkerMonitor, [u64; 2]) {
    let host = Fake::default();
    let both = [(); 2].map(|()| join(&host).unwrap());
    let mut monitor = WorkerMonitor::default();
    assert_eq!(monitor.observe(host.now(), &Workers::read(&host)), NOBODY);
    (host, monitor, both)
}

#[wasm_bindgen_test(unsupported = test)]
fn workers_round_trip() {
    for workers in [workers([]), workers([(1, 2)]), workers([(u64::MAX, 7), (1, 2)])] {
        assert_eq!(Workers::from_bytes(&workers.to_bytes()), Some(workers));
    }
    let good = workers([(1, 2)]).to_bytes();
    for length in (0..good.len()).filter(|length| *length != 1) {
        let cut = good.get(..length).unwrap();
        assert_eq!(Workers::from_bytes(cut), None, "{length}");
    }
    assert_eq!(Workers::from_bytes(&[2]), None, "another layout");
}

#[wasm_bindgen_test(unsupported = test)]
fn worker_without_heartbeat_is_dead() {
    let (host, mut seen, both) = two();
    let [me, other] = both;
    assert_eq!(monitor(&host, &mut seen, both, 60, true), NOBODY);
    assert_eq!(monitor(&host, &mut seen, both, 9, false), NOBODY);
    assert_eq!(monitor(&host, &mut seen, both, 1, false), [other]);
    assert_eq!(add_beat(&host, me, &[other]), Some(true));
    assert_eq!(add_beat(&host, other, &[]), Some(false));
    assert!(!Workers::read(&host).has(other));
}

#[wasm_bindgen_test(unsupported = test)]
fn clock_changes_kill_no_worker() {
    let (host, mut seen, both) = two();
    let now = host.now();
    for time in [LONG, now, now + LONG, Duration::ZERO, Duration::MAX, now] {
        host.set_now(time);
        assert_eq!(
            seen.observe(host.now(), &Workers::read(&host)),
            NOBODY,
            "{time:?}"
        );
        add_beat(&host, both[1], &[]);
    }
    // A worker without beats is dead.
    assert_eq!(monitor(&host, &mut seen, both, 11, false), [both[1]]);
}

#[wasm_bindgen_test(unsupported = test)]
fn worker_does_not_remove_itself() {
    let (host, _, [me, other]) = two();
    assert_eq!(add_beat(&host, me, &[me, other]), Some(true));
    let workers = Workers::read(&host);
    assert!(workers.has(me) && !workers.has(other));
}

#[wasm_bindgen_test(unsupported = test)]
fn heartbeat_is_due_before_timeout() {
    let (host, mut monitor, _) = two();
    assert!(!monitor.is_due(host.now() + HEARTBEAT_INTERVAL));
    assert!(monitor.is_due(host.now() + HEARTBEAT_INTERVAL * 2));
    monitor.observe(host.now() + HEARTBEAT_INTERVAL * 2, &Workers::default());
    assert!(!monitor.is_due(host.now() + HEARTBEAT_INTERVAL * 2));
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, number: u64) {
            let mut layout = vec![LAYOUT];
            layout.extend(&bytes);
            for bytes in [bytes, layout] {
                if let Some(workers) = Workers::from_bytes(&bytes) {
                    prop_assert_eq!(workers.to_bytes(), bytes);
                    let _has = workers.has(number);
                }
            }
        }
    }
}
