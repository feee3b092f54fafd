//! `v1` Secret.

mod pem;

use crate::{FieldError, Reading, decode};
use k8s_openapi::{ByteString, api::core::v1};
use serde_json::Value;
use switchyard_core::object;

pub(crate) fn secret(document: Value) -> Result<Reading, FieldError> {
    let v1::Secret {
        metadata,
        type_,
        data,
        string_data,
        immutable: _,
    } = decode::decode(document)?;
    let data = data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, ByteString(value))| (key, value));
    // Merged as by the API server: `stringData` wins.
    let strings = string_data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.into_bytes()));
    let type_ = type_.unwrap_or_else(|| "Opaque".to_owned());
    let data = data.chain(strings).collect();
    Ok(Reading::whole(object::Object::Secret(object::Secret {
        name: decode::name(&metadata)?,
        faults: pem::faults(&type_, &data),
        type_,
        data,
    })))
}
