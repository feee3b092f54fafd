//! Every field of the kinds, as a page to read: what `kubectl explain --recursive` says, and what is allowed.

use serde_json::Value;

/// In the order in which they are looked for, and what is said of them.
const BOUNDS: [(&str, &str); 5] = [
    ("default", "default"),
    ("minimum", "at least"),
    ("maximum", "at most"),
    ("maxItems", "items at most"),
    ("maxLength", "characters at most"),
];

/// A page in Markdown.
#[must_use]
pub fn page(definitions: &[Value]) -> String {
    let mut page =
        "# Every field\n\nMade of the CustomResourceDefinitions by `switchyard crds -o markdown`. \
         A field in **bold** has to be there.\n"
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

/// The rows of what is below `path`, each field before its own.
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
    let said = [text(field, "description"), bounds(field), rules(field)];
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

fn bounds(field: &Value) -> String {
    let values = field["enum"].as_array().map(|values| {
        let values: Vec<_> = values.iter().map(|value| format!("`{}`", plain(value))).collect();
        format!("one of {}", values.join(", "))
    });
    let bounds = BOUNDS.iter().filter_map(|(key, words)| {
        let bound = field.get(key)?;
        Some(format!("{words} `{}`", plain(bound)))
    });
    let all: Vec<_> = values.into_iter().chain(bounds).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!("({})", all.join("; "))
    }
}

/// What has to hold between its fields.
fn rules(field: &Value) -> String {
    let rules = field["x-kubernetes-validations"].as_array().into_iter().flatten();
    let messages = rules.map(|rule| format!("*{}.*", text(rule, "message")));
    messages.collect::<Vec<_>>().join(" ")
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().replace('\n', " ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A bar would end the cell.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
