//! Structural schemas, as a CustomResourceDefinition requires them: inlined, and with one type for each part.

use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::{Map, Value};

/// The schema of a type's serialized form: a field that is always serialized is required.
pub(super) fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().for_serialize().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(refine).transform(&mut schema);
    schema.to_value()
}

fn refine(schema: &mut Schema) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    fields.remove("title");
    join_lines(fields);
    unquote(fields);
    drop_defaults_of_required(fields);
    // The API server then replaces null by the default.
    if fields.contains_key("default") {
        fields.remove("nullable");
    }
}

/// Joins each paragraph of a description into one line; viewers wrap it.
fn join_lines(fields: &mut Map<String, Value>) {
    if let Some(Value::String(description)) = fields.get_mut("description") {
        let paragraphs = description.split("\n\n");
        let joined: Vec<_> = paragraphs.map(|paragraph| paragraph.replace('\n', " ")).collect();
        *description = joined.join("\n\n");
    }
}

/// Removes backquotes: `kubectl explain` shows text, not Markdown.
fn unquote(fields: &mut Map<String, Value>) {
    if let Some(Value::String(description)) = fields.get_mut("description") {
        description.retain(|character| character != '`');
    }
}

/// Removes the defaults of required fields. They are for manifests that bypass the API server, which itself rejects
/// objects without a required field.
fn drop_defaults_of_required(fields: &mut Map<String, Value>) {
    let required = fields
        .get("required")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let Some(properties) = fields.get_mut("properties") else {
        return;
    };
    for name in required.iter().filter_map(Value::as_str) {
        if let Some(property) = properties.get_mut(name).and_then(Value::as_object_mut) {
            property.remove("default");
        }
    }
}
