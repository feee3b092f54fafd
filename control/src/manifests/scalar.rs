//! The meaning of plain scalars, as kubectl reads them: YAML 1.1, in which `yes`, `on` and `y` are true.

use serde_json::{Number, Value};

/// The value of a scalar without quotes.
#[must_use]
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    integer(text, digits).map(Number::from).or_else(|| float(text))
}

fn integer(text: &str, digits: &str) -> Option<i64> {
    let (radix, digits) = match digits.split_at_checked(2) {
        Some(("0x", rest)) => (16, rest),
        Some(("0o", rest)) => (8, rest),
        Some(("0b", rest)) => (2, rest),
        // In YAML 1.1, octal numbers have a leading zero.
        _ if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

/// Parses a float. Rust's syntax is that of YAML, except for names such as `inf`, which do not begin with a digit.
fn float(text: &str) -> Option<Number> {
    Number::from_f64(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_resolve_as_in_kubectl() {
        for (text, want) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("blue", json!("blue")),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("nO", json!("nO")),
            ("80", json!(80)),
            ("-80", json!(-80)),
            ("+80", json!(80)),
            ("0x1f", json!(31)),
            ("0o17", json!(15)),
            ("017", json!(15)),
            ("0", json!(0)),
            ("08", json!(8.0)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("-", json!("-")),
            ("--1", json!("--1")),
            ("0x", json!("0x")),
            ("0x-1", json!("0x-1")),
            ("1.2.3", json!("1.2.3")),
            ("5s", json!("5s")),
            ("1_000", json!("1_000")),
            ("infinity", json!("infinity")),
            ("2026-01-01", json!("2026-01-01")),
            ("99999999999999999999", json!(1e20)),
        ] {
            assert_eq!(resolve(text), want, "{text:?}");
        }
    }
}
