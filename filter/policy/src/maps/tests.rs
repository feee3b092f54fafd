use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

/// Of so many entries, put in in that order.
fn map(keys: impl IntoIterator<Item = u32>) -> Map<u32, u32> {
    keys.into_iter().map(|key| (key, key + 1)).collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn runs_stay_short_and_few_whichever_way_entries_come() {
    const COUNT: u32 = 10_000;
    let scattered = (0..COUNT).map(|n| n * 7_919 % COUNT);
    for map in [map(0..COUNT), map((0..COUNT).rev()), map(scattered)] {
        assert!(
            map.iter()
                .map(|(key, value)| (*key, *value))
                .eq((0..COUNT).map(|key| (key, key + 1)))
        );
        assert!(map.runs.iter().all(|run| (1..=RUN).contains(&run.len())));
        assert!(map.runs.len() <= 10_000 / (RUN / 2));
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn nothing_is_left_of_entries_that_are_gone() {
    let mut map = map(0..1_000);
    for key in 0..1_000 {
        assert_eq!((map.remove(&key), map.remove(&key)), (Some(key + 1), None));
        assert_eq!(map.len(), 999 - usize::try_from(key).unwrap());
    }
    assert!(map.is_empty() && map.runs.is_empty());
}

#[wasm_bindgen_test(unsupported = test)]
fn what_is_changed_is_there_from_then_on() {
    let mut map = map(0..100);
    map.update(7, |value| *value *= 10);
    map.update(100, |value| *value += 5);
    assert_eq!(
        (map.get(&7), map.get(&100), map.len()),
        (Some(&80), Some(&5), 101)
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn equal_are_those_with_the_same_entries() {
    let mut other = map((0..1_000).rev());
    assert_ne!(map(0..1_000).runs, other.runs);
    assert_eq!(map(0..1_000), other);
    other.insert(500, 0);
    assert_ne!(map(0..1_000), other);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_set_has_each_once_and_in_order() {
    let mut set = Set::from([3, 1, 2, 3]);
    set.extend([0, 2]);
    assert!(set.iter().eq(&[0, 1, 2, 3]));
    assert_eq!(set.len(), 4);
    assert!(set.contains(&3) && !set.contains(&4) && !set.is_empty());
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;
    use std::{
        collections::BTreeMap,
        ops::Bound::{Excluded, Unbounded},
    };

    #[derive(Clone, Copy, Debug)]
    enum Action {
        Insert(u16, u32),
        Remove(u16),
    }

    fn actions() -> impl Strategy<Value = Vec<Action>> {
        let insert = (0..400_u16, any::<u32>()).prop_map(|(key, value)| Action::Insert(key, value));
        let remove = (0..400_u16).prop_map(Action::Remove);
        prop::collection::vec(prop_oneof![2 => insert, 1 => remove], 0..1_000)
    }

    proptest! {
        /// Against the standard library's.
        #[test]
        fn it_is_a_map(actions in actions(), changed: u32) {
            let (mut map, mut want) = (Map::new(), BTreeMap::new());
            for action in actions {
                match action {
                    Action::Insert(key, value) => {
                        prop_assert_eq!(map.insert(key, value), want.insert(key, value));
                    }
                    Action::Remove(key) => prop_assert_eq!(map.remove(&key), want.remove(&key)),
                }
            }
            for key in 0..=400 {
                prop_assert_eq!(map.get(&key), want.get(&key));
                prop_assert_eq!(map.entry(&key), want.get_key_value(&key));
                prop_assert_eq!(map.contains_key(&key), want.contains_key(&key));
                prop_assert_eq!(map.after(&key), want.range((Excluded(key), Unbounded)).next());
            }
            if let Some(value) = map.get_mut(&200) {
                *value = changed;
                want.insert(200, changed);
            }
            prop_assert_eq!((map.len(), map.is_empty()), (want.len(), want.is_empty()));
            prop_assert!(map.keys().eq(want.keys()) && map.values().eq(want.values()));
            prop_assert!(map.into_iter().eq(want));
        }
    }
}
