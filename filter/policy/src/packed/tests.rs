use super::*;
use std::collections::BTreeMap;
use wasm_bindgen_test::wasm_bindgen_test;

/// Packs sections as a sender does.
fn pack(flags: Flags, sections: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let count = bucket_count(sections.len());
    let bucket = |at| {
        let entries = sections.iter().filter(|(key, _)| bucket_of(key, count) == at);
        encode_bucket(entries.map(|(key, json)| (key.as_str(), json.as_slice()))).unwrap()
    };
    let buckets: Vec<_> = (0..count).map(bucket).collect();
    assemble(flags, &buckets).unwrap()
}

fn numbered(count: usize) -> BTreeMap<String, Vec<u8>> {
    let section = |n: usize| (format!("host-{n}.com/"), n.to_string().into_bytes());
    (0..count).map(section).collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn exactly_the_packed_sections_are_found() {
    for count in [0, 1, 8, 9, 1000] {
        let sections = numbered(count);
        let packed = Packed::new(pack(Flags::default(), &sections)).unwrap();
        for (key, json) in &sections {
            let want = Section {
                hash: hash(json),
                json,
            };
            assert_eq!(packed.find(key), Some(want), "{key} of {count}");
        }
        assert_eq!(packed.find("host.com/"), None);
        assert_eq!(packed.find(""), None);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn flags_round_trip() {
    for expose_branch in [false, true] {
        let flags = Flags { expose_branch };
        assert_eq!(Packed::new(pack(flags, &BTreeMap::new())).unwrap().flags(), flags);
    }
}

/// Control and filter may be of different releases: each has to find what the other wrote.
#[wasm_bindgen_test(unsupported = test)]
fn encoding_is_stable() {
    assert_eq!(hash(b""), 0xefd0_1f60_ba99_2926);
    assert_eq!(hash(b"a.com/"), 0xb89f_0fc5_d710_5753);
    let sections = BTreeMap::from([("k".to_owned(), b"{}".to_vec())]);
    let mut want = b"SWYD\x01\x01\0\0\x01\0\0\0\x13\0\0\0\x01\0\0\0\x02\0\0\0".to_vec();
    want.extend(hash(b"{}").to_le_bytes());
    want.extend(b"k{}");
    assert_eq!(pack(Flags { expose_branch: true }, &sections), want);
}

#[wasm_bindgen_test(unsupported = test)]
fn bucket_count_is_a_power_of_two() {
    for (sections, want) in [(0, 1), (1, 1), (8, 1), (9, 2), (10_000, 2048)] {
        assert_eq!(bucket_count(sections), want, "{sections}");
    }
    let mut sizes = vec![0_usize; 1024];
    for n in 0..8192 {
        let bucket = bucket_of(&format!("host-{n}.example.com/"), 1024);
        *sizes.get_mut(to_usize(bucket).unwrap()).unwrap() += 1;
    }
    assert!(sizes.iter().max() < Some(&30), "{sizes:?}");
}

#[wasm_bindgen_test(unsupported = test)]
fn malformed_bytes_are_rejected() {
    let good = pack(Flags::default(), &numbered(20));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        *bytes.get_mut(at).unwrap() = byte;
        bytes
    };
    for (bytes, want) in [
        (Vec::new(), PackedError::Magic),
        (b"SWYD".to_vec(), PackedError::Magic),
        (with(0, b'{'), PackedError::Magic),
        (with(4, 2), PackedError::Version(2)),
        (with(5, 2), PackedError::Flags),
        (with(8, 3), PackedError::Length),
        (with(11, 0x80), PackedError::Length),
        (
            good.iter().copied().take(good.len() - 1).collect(),
            PackedError::Length,
        ),
        (good.iter().copied().chain([0]).collect(), PackedError::Length),
        (b"SWYD\x01\0\0\0\0\0\0\0".to_vec(), PackedError::Length),
    ] {
        assert_eq!(Packed::new(bytes).err(), Some(want), "{want}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn unpackable_sections_are_rejected() {
    for count in [0, 3] {
        let buckets = vec![Vec::new(); count];
        assert_eq!(
            assemble(Flags::default(), &buckets),
            Err(PackError::Buckets(count))
        );
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_sections_round_trip(sections: BTreeMap<String, Vec<u8>>, expose_branch: bool, other: String) {
            let packed = Packed::new(pack(Flags { expose_branch }, &sections)).unwrap();
            for key in sections.keys().chain([&other]) {
                prop_assert_eq!(packed.find(key).map(|section| section.json.to_vec()), sections.get(key).cloned());
            }
        }

        #[test]
        fn damaged_bytes_do_not_panic(at in 0_usize..400, byte: u8, key in "host-[0-9]{1,2}.com/") {
            let mut bytes = pack(Flags::default(), &numbered(20));
            if let Some(damaged) = bytes.get_mut(at) {
                *damaged = byte;
            }
            if let Ok(packed) = Packed::new(bytes) {
                let _found = packed.find(&key);
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn section_kinds_have_distinct_keys() {
    let sections: Vec<_> = [
        ("a.com/".to_owned(), "switch"),
        (route_key("a.com/"), "route"),
        (policy_key("a.com/"), "policy"),
    ]
    .into();
    let entries = sections.iter().map(|(key, json)| (key.as_str(), json.as_bytes()));
    let packed =
        Packed::new(assemble(Flags::default(), &[encode_bucket(entries).unwrap()]).unwrap()).unwrap();
    for (key, json) in &sections {
        assert_eq!(packed.find(key).unwrap().json, json.as_bytes(), "{key}");
    }
    let kinds = sections.iter().map(|(key, _)| SectionKey::parse(key));
    let wanted = [
        SectionKey::Switch("a.com/"),
        SectionKey::Route("a.com/"),
        SectionKey::Policy("a.com/"),
    ];
    assert!(kinds.eq(wanted));
}
