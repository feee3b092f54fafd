use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

fn counts(all: &[(u64, u64)]) -> Counts {
    let mut counts = Counts::default();
    for (hash, worker) in all {
        counts.add(*hash, *worker);
    }
    counts
}

#[wasm_bindgen_test(unsupported = test)]
fn counts_round_trip() {
    for counts in [
        counts(&[]),
        counts(&[(1, 2)]),
        counts(&[(1, 2), (1, 2), (1, 3), (2, 2)]),
    ] {
        assert_eq!(Counts::from_bytes(&counts.to_bytes()), Some(counts));
    }
    assert_eq!(counts(&[]).to_bytes(), [1], "not empty, which would read as none");
}

#[wasm_bindgen_test(unsupported = test)]
fn malformed_bytes_are_rejected() {
    let good = counts(&[(1, 2), (1, 3)]).to_bytes();
    for length in (0..good.len()).filter(|length| ![1, 25].contains(length)) {
        let cut = good.get(..length).unwrap();
        assert_eq!(Counts::from_bytes(cut), None, "{length}");
    }
    let other_layout = [&[LAYOUT + 1], good.get(1..).unwrap()].concat();
    let overlong = [&[LAYOUT][..], &[7; 24 * (MAX_COUNTS + 1)]].concat();
    let zero = [&[LAYOUT][..], &[0; 24]].concat();
    for bytes in [other_layout, overlong, zero, [&good[..], b"x"].concat()] {
        assert_eq!(Counts::from_bytes(&bytes), None, "{}", bytes.len());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn limit_applies_across_workers() {
    let mut counts = counts(&[(1, 10), (1, 20), (1, 20), (2, 10)]);
    assert!(!counts.has_room(1, 3));
    assert!(counts.has_room(1, 4));
    assert!(counts.has_room(2, 2));
    assert!(counts.has_room(3, 1));
    assert!(!counts.has_room(3, 0));
    assert!(!counts.remove(2, 20), "of another worker");
    assert!(counts.remove(1, 20));
    assert!(counts.has_room(1, 3));
}

#[wasm_bindgen_test(unsupported = test)]
fn unused_counts_are_removed() {
    let mut counts = counts(&[(1, 10), (1, 10)]);
    assert!(counts.remove(1, 10));
    assert!(counts.remove(1, 10));
    assert!(!counts.remove(1, 10));
    assert_eq!(counts, Counts::default());
}

#[wasm_bindgen_test(unsupported = test)]
fn number_of_keys_is_bounded() {
    let all: Vec<_> = (0..MAX_COUNTS as u64).map(|key| (key, 1)).collect();
    let mut counts = counts(&all);
    assert!(!counts.has_room(u64::MAX, 1));
    assert!(counts.remove(0, 1));
    assert!(counts.has_room(u64::MAX, 1));
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, hash: u64, worker: u64, max: u32) {
            let mut layout = vec![LAYOUT];
            layout.extend(&bytes);
            for bytes in [bytes, layout] {
                if let Some(mut counts) = Counts::from_bytes(&bytes) {
                    prop_assert_eq!(counts.to_bytes(), bytes);
                    let _has_room = counts.has_room(hash, max);
                    counts.add(hash, worker);
                    prop_assert!(counts.remove(hash, worker));
                }
            }
        }
    }
}
