//! The JSON Schema of a configuration.

use super::Config;

/// The JSON Schema of [`Config`].
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
