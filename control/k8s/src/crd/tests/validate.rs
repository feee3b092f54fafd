//! A validator like the API server's, for the part of OpenAPI that the definitions use.

use regex::Regex;
use serde_json::Value;

/// The reasons why a schema rejects a value, each with its path; empty if the schema accepts the value.
pub(super) fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    visit("", schema, value, &mut errors);
    errors
}

fn visit(path: &str, schema: &Value, value: &Value, errors: &mut Vec<String>) {
    for (key, bound) in schema.as_object().unwrap() {
        if !holds(key, bound, value) {
            errors.push(format!("{path}: {value} is not: {key} {bound}"));
        }
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        visit(&format!("{path}[{at}]"), &schema["items"], item, errors);
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => visit(&format!("{path}.{name}"), schema, field, errors),
            None => errors.push(format!("{path}.{name}: there is no such field")),
        }
    }
}

/// Returns true if a value satisfies one schema keyword. Panics on an unknown keyword, which is a bug of this test.
fn holds(key: &str, bound: &Value, value: &Value) -> bool {
    let least = |count: Option<usize>| count.is_none_or(|count| count as u64 >= bound.as_u64().unwrap());
    let most = |count: Option<usize>| count.is_none_or(|count| count as u64 <= bound.as_u64().unwrap());
    let items = || value.as_array().map(Vec::len);
    let characters = || value.as_str().map(|text| text.chars().count());
    let fields = || value.as_object().map(serde_json::Map::len);
    match key {
        "description" | "default" | "format" | "items" | "nullable" | "properties" => true,
        "type" => type_of(value) == bound,
        "enum" => bound.as_array().unwrap().contains(value),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= bound.as_f64().unwrap()),
        "maximum" => value
            .as_f64()
            .is_none_or(|number| number <= bound.as_f64().unwrap()),
        "minItems" => least(items()),
        "maxItems" => most(items()),
        "minLength" => least(characters()),
        "maxLength" => most(characters()),
        "minProperties" => least(fields()),
        "maxProperties" => most(fields()),
        "pattern" => {
            let pattern = Regex::new(bound.as_str().unwrap()).unwrap();
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "required" => {
            let names = bound.as_array().unwrap();
            names
                .iter()
                .all(|name| value.get(name.as_str().unwrap()).is_some())
        }
        "oneOf" => {
            bound
                .as_array()
                .unwrap()
                .iter()
                .filter(|way| all_hold(way, value))
                .count()
                == 1
        }
        "anyOf" => bound.as_array().unwrap().iter().any(|way| all_hold(way, value)),
        "not" => !all_hold(bound, value),
        other => panic!("what does {other} say?"),
    }
}

fn all_hold(schema: &Value, value: &Value) -> bool {
    let mut words = schema.as_object().unwrap().iter();
    words.all(|(key, bound)| holds(key, bound, value))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
