use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

const NOW: u64 = 1_800_000_000 * CLOCK_SLACK;
const WINDOW: u64 = 60 * CLOCK_SLACK;

/// A set with the buckets of the keys 0, 1, 2..., each so many seconds from full.
fn set(missing: &[u64]) -> BucketSet {
    let mut set = BucketSet::new(WINDOW);
    for (hash, seconds) in (0..).zip(missing) {
        set.put(hash, NOW + seconds * CLOCK_SLACK, NOW);
    }
    set
}

fn missing(set: &BucketSet, hash: u64) -> u64 {
    set.full_at(hash).saturating_sub(NOW)
}

#[wasm_bindgen_test(unsupported = test)]
fn set_round_trips() {
    for set in [set(&[]), set(&[1]), set(&[3; BUCKETS]), BucketSet::new(u64::MAX)] {
        assert_eq!(BucketSet::from_bytes(&set.to_bytes()), Some(set));
    }
    assert_eq!(set(&[3; BUCKETS]).to_bytes().len(), 521);
}

#[wasm_bindgen_test(unsupported = test)]
fn malformed_bytes_are_rejected() {
    let good = set(&[1, 2]).to_bytes();
    for length in (0..good.len()).filter(|length| ![9, 25].contains(length)) {
        let cut = good.get(..length).unwrap();
        assert_eq!(BucketSet::from_bytes(cut), None, "{length}");
    }
    let other_layout = [&[LAYOUT + 1], good.get(1..).unwrap()].concat();
    let overlong = [good.as_slice(), &[7; 16 * BUCKETS]].concat();
    for bytes in [other_layout, overlong, [&good[..], b"x"].concat()] {
        assert_eq!(BucketSet::from_bytes(&bytes), None, "{bytes:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn fullest_bucket_is_evicted() {
    let mut all = set(&[5; BUCKETS]);
    let mut put = |hash, missing| all.put(hash, NOW + missing, NOW);
    assert!(!put(3, 7), "its own place is there");
    assert!(put(100, 9 * CLOCK_SLACK));
    assert!(put(101, 9 * CLOCK_SLACK));
    assert_eq!(missing(&all, 3), 0, "was the fullest");
    assert_eq!(missing(&all, 100), 9 * CLOCK_SLACK);
    assert_eq!(all.buckets.len(), BUCKETS);
}

#[wasm_bindgen_test(unsupported = test)]
fn full_buckets_are_dropped_without_eviction() {
    let mut all = set(&[5; BUCKETS]);
    let later = NOW + 5 * CLOCK_SLACK;
    assert!(!all.put(100, later + 1, later));
    assert_eq!(all.buckets.len(), 1);
}

#[wasm_bindgen_test(unsupported = test)]
fn changed_window_scales_buckets() {
    for (window, want) in [
        (WINDOW / 2, [0, 15, 30]),
        (WINDOW * 60, [0, 1_800, 3_600]),
        (WINDOW, [0, 30, 60]),
    ] {
        let mut all = set(&[0, 30, 60]);
        assert_eq!(all.adjust(window, NOW), window != WINDOW);
        let got = [0, 1, 2].map(|hash| missing(&all, hash));
        assert_eq!(got, want.map(|seconds| seconds * CLOCK_SLACK), "{window}");
        assert!(!all.adjust(window, NOW), "it is done");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn alternating_windows_fill_no_bucket() {
    let mut all = set(&[60]);
    for _ in 0..1_000 {
        assert!(all.adjust(WINDOW / 7, NOW));
        assert_eq!(missing(&all, 0), WINDOW / 7);
        assert!(all.adjust(WINDOW, NOW));
        assert_eq!(missing(&all, 0), WINDOW);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn clock_set_back_leaves_bucket_empty() {
    let mut all = set(&[60, 10]);
    let now = NOW - 3_600 * CLOCK_SLACK;
    assert!(all.adjust(WINDOW, now));
    assert_eq!([0, 1].map(|hash| all.full_at(hash)), [now + WINDOW; 2]);
    // A difference within the clock slack of workers adjusts nothing.
    let mut all = set(&[60, 10]);
    assert!(!all.adjust(WINDOW, NOW - CLOCK_SLACK));
    assert_eq!(all, set(&[60, 10]));
}

#[wasm_bindgen_test(unsupported = test)]
fn extreme_windows_do_not_panic() {
    for old in [0, 1, u64::MAX] {
        for new in [1, u64::MAX] {
            let mut all = BucketSet::new(old);
            all.buckets = [0, NOW, u64::MAX]
                .map(|full_at| TokenBucket {
                    hash: full_at,
                    full_at,
                })
                .to_vec();
            let _is_changed = all.adjust(new, NOW);
            assert!(
                all.buckets
                    .iter()
                    .all(|bucket| bucket.full_at.saturating_sub(NOW) <= new)
            );
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, [window, now, hash, full_at]: [u64; 4]) {
            let mut layout = vec![LAYOUT];
            layout.extend(&bytes);
            for bytes in [bytes, layout] {
                if let Some(mut set) = BucketSet::from_bytes(&bytes) {
                    prop_assert_eq!(set.to_bytes(), bytes);
                    let _is_changed = set.adjust(window, now);
                    set.put(hash, full_at, now);
                    prop_assert_eq!(set.full_at(hash), full_at);
                    prop_assert!(set.buckets.len() <= BUCKETS);
                }
            }
        }

        #[test]
        fn evicted_bucket_is_the_fullest(missing in prop::collection::vec(1_u64..60, BUCKETS..=BUCKETS)) {
            let mut all = set(&missing);
            prop_assert!(all.put(1_000, NOW + WINDOW, NOW));
            let (kept, gone): (Vec<_>, Vec<_>) = (0..).zip(&missing).partition(|(hash, _)| all.full_at(*hash) > 0);
            prop_assert_eq!(gone.len(), 1);
            prop_assert!(kept.iter().all(|(_, kept)| gone.iter().all(|(_, gone)| gone <= kept)));
        }
    }
}
