use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test(unsupported = test)]
fn parameters_are_removed_in_every_encoding() {
    let names = ["key".to_owned(), "a b".to_owned()].into();
    for (target, want) in [
        ("/p?key=x", Some("/p")),
        ("/p?key", Some("/p")),
        ("/p?key=x&a=%20&b", Some("/p?a=%20&b")),
        ("/p?a=1&key=x&b=2&%6Bey=y&c", Some("/p?a=1&b=2&c")),
        ("/p?a%20b=1&&c=?key=x", Some("/p?&c=?key=x")),
        ("/p?keys=x&Key=y&=key", None),
        ("/p?%zzkey=x&%6=y&ke%79%", None),
        ("/p;key=x", None),
        ("/key", None),
        ("", None),
    ] {
        let got = without_parameters(target.as_bytes(), &names);
        assert_eq!(
            got.map(|target| String::from_utf8(target).unwrap()).as_deref(),
            want,
            "{target}"
        );
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn removed_parameters_do_not_reappear(target: Vec<u8>, name in "[a-z%]{1,3}") {
            let names = [name.clone()].into();
            let left = without_parameters(&target, &names).unwrap_or(target);
            prop_assert_eq!(parameter(&left, &name).count(), 0);
            prop_assert_eq!(without_parameters(&left, &names), None);
        }

        #[test]
        fn only_named_parameters_are_removed(pairs in prop::collection::vec("(key|k%65y|other|%)=[a-z%]{0,3}", 1..6)) {
            let kept: Vec<_> = pairs.iter().filter(|pair| !pair.starts_with('k')).cloned().collect();
            let target = format!("/?{}", pairs.join("&"));
            let want = if kept.is_empty() { "/".to_owned() } else { format!("/?{}", kept.join("&")) };
            let got = without_parameters(target.as_bytes(), &["key".to_owned()].into()).unwrap_or(target.into());
            prop_assert_eq!(got, want.into_bytes());
        }
    }
}
