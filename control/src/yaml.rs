//! Writes YAML.

use serde_json::Value;

/// Formats a document in block style, with a line end.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { compact_list_indent: false };
    let text = serde_saphyr::to_string_with_options(value, options);
    // JSON is YAML, too.
    text.unwrap_or_else(|_| format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::{Documents, Node, documents};
    use serde_json::json;

    #[test]
    fn yaml_round_trips() {
        for value in [
            json!({"a": {"b": [1, {"c": "d", "e": [[], {}]}, [2, [3]]], "f": null}, "yes": "no", "": "8080"}),
            json!([{"a": 1}, "b: c", "x\ny", "über", "-", "# no", "1.5", "~", "@type"]),
            json!("text"),
            json!([]),
            json!([[{"a": [{"b": 1}]}]]),
        ] {
            let text = to_string(&value);
            let Documents { documents, error } = documents(&text, false);
            assert_eq!(error, None, "{text}");
            assert_eq!(
                documents.iter().map(Node::to_value).collect::<Vec<_>>(),
                [value],
                "{text}"
            );
        }
    }

    #[test]
    fn yaml_is_formatted_in_block_style() {
        let value =
            json!({"routes": [{"match": "/", "delegate": {"name": "blue"}}], "port": 80, "empty": []});
        let want = "empty: []\nport: 80\nroutes:\n  - delegate:\n      name: blue\n    match: /\n";
        assert_eq!(to_string(&value), want);
    }
}
