//! A reference page of every field: the text of `kubectl explain --recursive`, with the allowed values.

use super::EXAMPLE;
use serde_json::Value;

/// Schema keywords in the order of output, each with its wording.
const BOUNDS: [(&str, &str); 8] = [
    ("default", "default"),
    ("minimum", "at least"),
    ("maximum", "at most"),
    ("minItems", "items at least"),
    ("maxItems", "items at most"),
    ("minLength", "characters at least"),
    ("maxLength", "characters at most"),
    ("pattern", "matches"),
];

/// Renders the definitions as a page in Markdown.
#[must_use]
pub fn page(definitions: &[Value]) -> String {
    let mut page =
        "# Every field\n\nThis page is generated from the CustomResourceDefinitions by `switchyard crds -o markdown`. \
         Fields in **bold** are required.\n"
            .to_owned();
    for definition in definitions {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        page += &format!("\n## {kind}\n\n{}\n", text(schema, "description"));
        for part in ["spec", "status"] {
            let mut rows = Vec::new();
            add_rows(part, &schema["properties"][part], &mut rows);
            if !rows.is_empty() {
                page += &format!(
                    "\n### {part}\n\n| field | type | |\n|---|---|---|\n{}",
                    rows.concat()
                );
            }
        }
    }
    page
}

/// Adds a row for each field below `path`, parents before children.
fn add_rows(path: &str, schema: &Value, rows: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let required = |name: &str| {
        let names = schema["required"].as_array().into_iter().flatten();
        names.into_iter().any(|required| required == name)
    };
    for (name, field) in properties {
        let path = format!("{path}.{name}");
        rows.push(row(&path, required(name), field));
        let is_list = field["type"] == "array";
        let (path, inner) = if is_list {
            (format!("{path}[]"), &field["items"])
        } else {
            (path, field)
        };
        add_rows(&path, inner, rows);
    }
}

fn row(path: &str, required: bool, field: &Value) -> String {
    let mark = if required { "**" } else { "" };
    let said = [description(field), bounds(field), rules(field)];
    let said: Vec<_> = said.iter().filter(|said| !said.is_empty()).cloned().collect();
    format!(
        "| {mark}`{path}`{mark} | {} | {} |\n",
        type_of(field),
        escape(&said.join(" "))
    )
}

fn type_of(field: &Value) -> String {
    match field["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&field["items"])),
        Some(name) => name.to_owned(),
        None => "anything".to_owned(),
    }
}

/// The description of a field, with its example set as code.
fn description(field: &Value) -> String {
    let description = text(field, "description");
    let Some((told, example)) = description.split_once(EXAMPLE) else {
        return description;
    };
    let example = example.strip_suffix('.').unwrap_or(example);
    format!("{told}{EXAMPLE}{}.", code(example))
}

/// The bounds of a field, and of its items if it is a list.
fn bounds(field: &Value) -> String {
    let mut all = bounds_of(field);
    all.extend(
        bounds_of(&field["items"])
            .into_iter()
            .map(|bound| format!("each {bound}")),
    );
    if all.is_empty() {
        String::new()
    } else {
        format!("({})", all.join("; "))
    }
}

fn bounds_of(field: &Value) -> Vec<String> {
    let values = field["enum"].as_array().map(|values| {
        let values: Vec<_> = values.iter().map(|value| code(&plain(value))).collect();
        format!("one of {}", values.join(", "))
    });
    let bounds = BOUNDS.iter().filter_map(|(key, words)| {
        let bound = field.get(key)?;
        Some(format!("{words} {}", code(&plain(bound))))
    });
    values.into_iter().chain(bounds).collect()
}

/// The rules between the fields of an object, or of each item of a list.
fn rules(field: &Value) -> String {
    let of_items = rules_of("Each item", &field["items"]);
    let rules = rules_of("It", field).into_iter().chain(of_items);
    rules
        .map(|rule| format!("*{rule}.*"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn rules_of(subject: &str, schema: &Value) -> Vec<String> {
    let ways: Vec<_> = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .map(way)
        .collect();
    let one_of = (!ways.is_empty()).then(|| format!("exactly one of: {}", ways.join("; ")));
    let needs = one_of.into_iter().chain(count(schema));
    let needs = needs.map(|need| format!("{subject} needs {need}"));
    let rules = schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten();
    needs.chain(rules.map(|rule| text(rule, "message"))).collect()
}

/// The required number of fields, from `minProperties` and `maxProperties`.
fn count(schema: &Value) -> Option<String> {
    let bound = |key: &str| schema[key].as_u64();
    match (bound("minProperties"), bound("maxProperties")) {
        (None, None) => None,
        (Some(least), Some(most)) if least == most => Some(format!("exactly {least} of its fields")),
        (Some(least), None) => Some(format!("at least {least} of its fields")),
        (None, Some(most)) => Some(format!("at most {most} of its fields")),
        (Some(least), Some(most)) => Some(format!("{least} to {most} of its fields")),
    }
}

/// One alternative of `oneOf`: the required fields, and the forbidden ones.
fn way(schema: &Value) -> String {
    let with = fields(schema).join(" and ");
    let barred = schema["not"]["anyOf"].as_array().into_iter().flatten();
    let barred: Vec<_> = barred.flat_map(fields).collect();
    if barred.is_empty() {
        with
    } else {
        format!("{with}, without {}", barred.join(" and "))
    }
}

/// The fields that a schema requires, as code.
fn fields(schema: &Value) -> Vec<String> {
    let required = schema["required"].as_array().into_iter().flatten();
    required.map(|name| code(&plain(name))).collect()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().replace('\n', " ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Formats text as code, with double backquotes if it contains any.
fn code(text: &str) -> String {
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

/// Escapes bars, which would end the table cell.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
