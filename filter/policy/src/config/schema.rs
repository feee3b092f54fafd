//! The JSON Schema of a configuration.

use super::{Config, Leaf};
use crate::maps::Map;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::{borrow::Cow, collections::BTreeMap};

// A `Route`, field by field: what a flattened field may hold would be anything.
/// One prefix of a branch, and what the branch does with it.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Route", extend("oneOf" = [
    {"required": ["leaf"]}, {"required": ["switch"]}, {"required": ["unavailable"]}
]))]
#[expect(dead_code, reason = "its schema alone is of use")]
pub(super) struct RouteFields {
    /// As the branch sees paths: normalised, inside the mount.
    prefix: String,
    /// Forward the request.
    leaf: Option<Leaf>,
    /// Go on at the switch of this key.
    switch: Option<String>,
    /// Answer 503; this reason goes to the access log alone.
    unavailable: Option<String>,
}

/// As of any map.
impl<T: JsonSchema> JsonSchema for Map<String, T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// The JSON Schema of [`Config`].
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
