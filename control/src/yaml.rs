//! Writes YAML.

use crate::manifests::resolve;
use serde_json::Value;

/// Formats a document in block style, with a line end, and with quotes only if needed.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    let text = text.trim_start().to_owned();
    if text.ends_with('\n') { text } else { text + "\n" }
}

/// Writes the value after a `-` or a key: a scalar in the same line, a collection in lines of its own.
fn write(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                start_line(indent, text);
                text.push('-');
                write_item(item, indent + 1, text);
            }
        }
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                start_line(indent, text);
                text.push_str(&scalar(key));
                text.push(':');
                write(value, indent + 1, text);
            }
        }
        Value::String(string) => text.push_str(&format!(" {}", scalar(string))),
        // Empty collections, numbers, booleans and null are the same in JSON.
        other => text.push_str(&format!(" {other}")),
    }
}

/// Writes an item; a mapping begins in the line of its `-`.
fn write_item(item: &Value, indent: usize, text: &mut String) {
    let mut lines = String::new();
    write(item, indent, &mut lines);
    if item.is_object() && lines.starts_with('\n') {
        text.push(' ');
        text.push_str(lines.trim_start());
    } else {
        text.push_str(&lines);
    }
}

fn start_line(indent: usize, text: &mut String) {
    text.push('\n');
    text.push_str(&"  ".repeat(indent));
}

fn scalar(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(safe);
    if plain && resolve(text).is_string() {
        return text.to_owned();
    }
    // JSON's quotes and escapes are valid in YAML, too.
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::{Documents, Node, documents};
    use serde_json::json;

    #[test]
    fn it_reads_back_as_what_was_written() {
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
    fn it_reads_well() {
        let value =
            json!({"routes": [{"match": "/", "delegate": {"name": "blue"}}], "port": 80, "empty": []});
        let want = "empty: []\nport: 80\nroutes:\n  - delegate:\n      name: blue\n    match: /\n";
        assert_eq!(to_string(&value), want);
    }
}
