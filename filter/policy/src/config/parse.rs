//! Parsing of JSON, with the path of an error.

use super::{error::Error, field_path::path_text};
use serde::Deserialize;

/// Parses a whole text as JSON.
pub(crate) fn parse<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| Error::new(path_text(error.path()), error.inner().to_string()))?;
    deserializer
        .end()
        .map_err(|error| Error::new(String::new(), error.to_string()))?;
    Ok(value)
}
