use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

fn refusal(text: &[u8]) -> String {
    parse(text).unwrap_err().to_string()
}

#[wasm_bindgen_test(unsupported = test)]
fn what_is_no_json_is_refused_with_its_place() {
    for (text, want) in [
        (&b""[..], "EOF while parsing a value at line 1 column 1"),
        (b"{", "EOF while parsing a list or an object at line 1 column 2"),
        (b"[1", "EOF while parsing a list or an object at line 1 column 3"),
        (b"\"a", "EOF while parsing a string at line 1 column 3"),
        (b"{} \n x", "trailing characters at line 2 column 2"),
        (b"[1,]", "expected value at line 1 column 4"),
        (b"[1 2]", "expected `,` or `]` at line 1 column 4"),
        (b"{\"a\": 1,}", "key must be a string at line 1 column 9"),
        (b"{\"a\": 1 \"b\": 2}", "expected `,` or `}` at line 1 column 9"),
        (b"{\"a\" 1}", "expected `:` at line 1 column 6"),
        (b"\n\nnul", "expected value at line 3 column 1"),
        (b"\xef\xbb\xbf{}", "expected value at line 1 column 1"),
        (b"\"\xff\"", "invalid UTF-8 at line 1 column 2"),
        (
            b"\"a\nb\"",
            "control character while parsing a string at line 1 column 3",
        ),
        (b"01", "trailing characters at line 1 column 2"),
    ] {
        assert_eq!(refusal(text), want, "{}", String::from_utf8_lossy(text));
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn values_do_not_lie_deeper_than_the_stack_reaches() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    parse(nested(MAX_DEPTH).as_bytes()).unwrap();
    for depth in [MAX_DEPTH + 2, 1_000_000] {
        assert!(refusal(nested(depth).as_bytes()).starts_with("recursion limit exceeded"));
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn what_is_written_of_a_value_is_known() {
    let text = r#" {"a": [ 1, -2.50e+3 ], "b\u00e9\ud83d\ude00\n": {"c":null} } "#;
    let Json::Object(object) = parse(text.as_bytes()).unwrap() else {
        panic!("no object");
    };
    assert_eq!(object.written, text.trim());
    let (Some(Json::List(list)), false) = object.find("a") else {
        panic!("no list");
    };
    assert_eq!(list.written, "[ 1, -2.50e+3 ]");
    assert!(matches!(
        list.items[..],
        [Json::Number("1"), Json::Number("-2.50e+3")]
    ));
    let (Some(Json::Object(inner)), false) = object.find("b\u{e9}\u{1f600}\n") else {
        panic!("no object");
    };
    assert_eq!(inner.written, r#"{"c":null}"#);
    assert_eq!(object.doubled(), None);
    let Json::Object(object) = parse(br#"{"b": 1, "a": 2, "c": 3, "\u0062": 4}"#).unwrap() else {
        panic!("no object");
    };
    assert_eq!(object.doubled(), Some("b"));
    assert!(matches!(object.find("b"), (Some(Json::Number("1")), true)));
}

/// Beside what everybody reads JSON with.
#[cfg(not(target_arch = "wasm32"))]
mod beside_serde {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn same(json: &Json<'_>, value: &Value) -> bool {
        match (json, value) {
            (Json::Null, Value::Null) => true,
            (Json::Bool(got), Value::Bool(want)) => got == want,
            (Json::Number(got), Value::Number(want)) => {
                let (float, want_float) = (got.parse::<f64>().unwrap(), want.as_f64().unwrap());
                // serde_json reads floats nearly right.
                (float - want_float).abs() <= want_float.abs() * 1e-12
                    && got.parse::<u64>().ok() == want.as_u64()
            }
            (Json::Text(got), Value::String(want)) => got == want,
            (Json::List(got), Value::Array(want)) => {
                got.items.len() == want.len() && got.items.iter().zip(want).all(|(got, want)| same(got, want))
            }
            (Json::Object(got), Value::Object(want)) => {
                let has = |name: &str, want: &Value| {
                    let last = got.fields.iter().rev().find(|(field, _)| field == name);
                    last.is_some_and(|(_, got)| same(got, want))
                };
                want.iter().all(|(name, want)| has(name, want))
                    && got.fields.iter().all(|(name, _)| want.contains_key(&**name))
            }
            _ => false,
        }
    }

    fn agree(text: &[u8]) -> bool {
        match (parse(text), serde_json::from_slice::<Value>(text)) {
            (Ok(got), Ok(want)) => same(&got, &want),
            (Err(_), Err(_)) => true,
            // A number that no float can hold is still a number here.
            (Ok(_), Err(error)) => error.to_string().starts_with("number out of range"),
            (Err(_), Ok(_)) => false,
        }
    }

    /// Pieces of JSON, and of what is nearly JSON.
    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"a\"",
            "\"a\":",
            "\\",
            "\\u",
            "\\n",
            "\\ud83d",
            "\\ude00",
            "0041",
            "null",
            "true",
            "false",
            "nul",
            "0",
            "-",
            "1",
            "01",
            "-0",
            ".5",
            "1.5",
            "1e9",
            "1e999",
            "E-2",
            "+1",
            " ",
            "\n",
            "\t",
            "\u{b}",
            "\u{7f}",
            "\u{1}",
            "\u{e9}",
            "\u{feff}",
            "18446744073709551616",
            "[]",
            "{}",
        ])
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_same_is_json(pieces in prop::collection::vec(piece(), 0..12)) {
            let text = pieces.concat();
            prop_assert!(agree(text.as_bytes()), "{text}");
        }

        #[test]
        fn the_same_bytes_are_json(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut text = serde_json::to_vec_pretty(&value).unwrap();
            let at = at.index(text.len());
            *text.get_mut(at).unwrap() = byte;
            prop_assert!(agree(&text), "{}", String::from_utf8_lossy(&text));
        }

        #[test]
        fn values_read_back(value in value()) {
            let text = serde_json::to_string(&value).unwrap();
            prop_assert!(agree(text.as_bytes()), "{text}");
        }
    }
}
