use super::*;
use crate::manifests::Positions;
use serde_json::json;

fn one(text: &str) -> Node {
    let Documents { documents, error } = documents(text, false);
    assert_eq!(error, None, "{text}");
    let [document] = &documents[..] else {
        panic!("one document: {text}")
    };
    document.clone()
}

fn refusal(text: &str) -> SyntaxError {
    documents(text, false)
        .error
        .unwrap_or_else(|| panic!("{text} reads well"))
}

#[test]
fn field_position_falls_back_to_the_enclosing_field() {
    let text =
        "spec:\n  routes:\n  - match: /\n  - match: /b\n    services:\n    - name: s\n  \"a.b/c\": 1\n";
    let positions = Positions::of(&one(text));
    for (field, line) in [
        ("spec.routes[0].match", 3),
        ("spec.routes[1].services[0].name", 6),
        ("spec.routes[1].services[0].port", 6),
        ("spec.routes[1].services[9].port", 5),
        ("spec.routes[7]", 2),
        ("spec.a.b/c", 7),
        ("metadata.name", 1),
        ("", 1),
    ] {
        assert_eq!(positions.find(field).line, line, "{field}");
    }
}

#[test]
fn span_starts_at_the_value() {
    for (text, want) in [
        ("a: blue\n", "blue"),
        ("b: 1\r\na:   'blue'\r\n", "'blue'"),
        ("{a: \"blue\", b: 1}", "\"blue\""),
        ("\u{feff}\u{e4}: 1\na: blue\n", "blue"),
        ("a: &x !!str blue\n", "&x !!str blue"),
    ] {
        let start = one(text).get("a").unwrap().span.start;
        let found: String = text.chars().skip(start).take(want.chars().count()).collect();
        assert_eq!(found, want, "{text:?}");
    }
}

#[test]
fn merge_keys_add_missing_fields() {
    let document = one("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 0}\nd: {<<: *a}\n");
    let value = document.to_value();
    assert_eq!(value["c"], json!({"x": 0, "y": 2, "z": 4}));
    assert_eq!(value["d"], json!({"x": 1, "y": 2}));
}

#[test]
fn documents_before_the_error_are_read() {
    let Documents { documents, error } = documents("a: 1\n---\n# nothing\n---\nb: 2\n---\nc: [1\n", false);
    let values: Vec<_> = documents.iter().map(Node::to_value).collect();
    assert_eq!(values, [json!({"a": 1}), json!(null), json!({"b": 2})]);
    assert!(error.unwrap().position.line >= 7);
}

#[test]
fn hostile_or_ambiguous_yaml_is_rejected() {
    let bomb = |level: usize| {
        format!(
            "a{}: &a{0} [{}]\n",
            level,
            vec![format!("*a{}", level - 1); 9].join(", ")
        )
    };
    let bombs: String = (1..30).map(bomb).collect();
    for (text, part) in [
        ("[".repeat(100_000), ""),
        (format!("{}x", "- ".repeat(5000)), "values are nested more than"),
        (format!("a0: &a0 x\n{bombs}"), "aliases expand to more than"),
        ("a: &a [*a]\n".to_owned(), ""),
        ("a: 1\na: 2\n".to_owned(), "duplicate key \"a\""),
        ("? [a]\n: 1\n".to_owned(), "a key must be a scalar"),
        ("a: {<<: 1}\n".to_owned(), "<< must refer to a mapping"),
        ("a: *nowhere\n".to_owned(), ""),
        ("a: [1\n".to_owned(), "not YAML"),
    ] {
        let error = refusal(&text);
        assert!(error.message.contains(part), "{error:?}");
        assert!(error.position.line > 0, "{error:?}");
    }
}

#[test]
fn alias_nesting_counts_towards_the_depth_limit() {
    let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(60), "]".repeat(60));
    let text = format!("a: &a {}\nb: {}\n", deep("x"), deep("*a"));
    assert!(refusal(&text).message.contains("values are nested more than"));
}

#[test]
fn json_accepts_tabs_escapes_and_several_values() {
    for (text, want) in [
        (
            "{\n\t\"a\":\t[1, true, null]\n}\n",
            vec![json!({"a": [1, true, null]})],
        ),
        (
            r#"{"a": "\ud83d\ude00\/\u00e9"}"#,
            vec![json!({"a": "\u{1f600}/\u{e9}"})],
        ),
        ("{\"a\": 1}\n{\"b\": 2}", vec![json!({"a": 1}), json!({"b": 2})]),
    ] {
        let Documents { documents, error } = documents(text, true);
        assert_eq!(error, None, "{text}");
        assert_eq!(
            documents.iter().map(Node::to_value).collect::<Vec<_>>(),
            want,
            "{text}"
        );
    }
    let twice = documents(r#"{"a": {"auth": [1], "auth": []}}"#, true);
    assert!(twice.documents.is_empty());
    assert!(twice.error.unwrap().message.contains("duplicate key \"auth\""));
    let bad = documents("{\n\t\"a\": ,\n}", true);
    assert_eq!(bad.error.map(|error| error.position.line), Some(2));
}
