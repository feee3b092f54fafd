//! The JSON Schema of a configuration.

use super::routing::Config;

/// The JSON Schema of [`Config`].
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
