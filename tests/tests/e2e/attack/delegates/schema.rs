//! Every field that the CRD allows in a route occurs in some attempt.

use super::{
    attempts::{edits, other_objects, other_places, other_words, own_checks},
    policies::{own_limits, own_services, own_tokens},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{collections::BTreeSet, fs};
use switchyard_tests::paths::repository;

/// Collects the names of all fields in a schema, such as `headers.request.set[].name`.
fn fields_of(schema: &Value, name: &str, fields: &mut BTreeSet<String>) {
    if let Some(items) = schema.get("items") {
        return fields_of(items, &format!("{name}[]"), fields);
    }
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        let name = below(name, field);
        fields_of(schema, &name, fields);
        fields.insert(name);
    }
}

/// The same for a value.
fn said_in(value: &Value, name: &str, fields: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => {
            for item in items {
                said_in(item, &format!("{name}[]"), fields);
            }
        }
        Value::Object(members) => {
            for (field, value) in members {
                let name = below(name, field);
                said_in(value, &name, fields);
                fields.insert(name);
            }
        }
        _ => {}
    }
}

fn below(name: &str, field: &str) -> String {
    if name.is_empty() {
        field.to_owned()
    } else {
        format!("{name}.{field}")
    }
}

/// The fields of an IngressRoute's route. A check in an `anyOf` has the same fields as elsewhere, so that only the
/// kinds of checks count there.
fn of_routes() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(repository().join("deploy/crds/crds.yaml"))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    let mut kinds = documents.iter().map(|document| &document["spec"]);
    let spec = kinds.find(|spec| spec["names"]["kind"] == "IngressRoute");
    let spec = spec.context("no IngressRoute")?;
    let schema = &spec["versions"][0]["schema"]["openAPIV3Schema"];
    let routes = &schema["properties"]["spec"]["properties"]["routes"]["items"];
    let mut fields = BTreeSet::new();
    fields_of(routes, "", &mut fields);
    let in_any_of = |field: &String| {
        field
            .strip_prefix("auth[].anyOf[].")
            .map(|check| check.contains('.'))
    };
    fields.retain(|field| in_any_of(field) != Some(true));
    Ok(fields)
}

#[test]
fn attempts_cover_every_route_field() -> Result<()> {
    let attempts = [
        own_checks(),
        edits(),
        other_words(),
        other_places(),
        other_objects(),
        own_tokens()?,
        own_limits(),
        own_services(),
    ];
    let mut said = BTreeSet::new();
    for attempt in attempts.iter().flatten() {
        for route in attempt.spec["routes"].as_array().into_iter().flatten() {
            said_in(route, "", &mut said);
        }
    }
    let fields = of_routes()?;
    ensure!(fields.len() > 100, "{fields:?}");
    let missing: Vec<_> = fields.difference(&said).collect();
    ensure!(missing.is_empty(), "no attempt says {missing:#?}");
    Ok(())
}
