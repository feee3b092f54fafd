//! Resources as people read them: protobuf's JSON, with what is inside of an `Any` in place, and no private key.

use crate::{
    resource::{Body, Resource, ResourceType},
    sections::{Code, Sections},
};
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// Of the messages that are sent; made by `examples/descriptors.rs`.
static DESCRIPTORS: LazyLock<Result<DescriptorPool, DescriptorError>> =
    LazyLock::new(|| DescriptorPool::decode(include_bytes!("json/descriptors.bin").as_slice()));

const REDACTED: &str = "[redacted]";

/// Why there is no JSON.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the descriptors cannot be read: {0}")]
    Descriptors(&'static DescriptorError),
    #[error("{0} is no type that is sent")]
    Type(String),
    #[error("the message cannot be read: {0}")]
    Message(#[from] prost::DecodeError),
    #[error("the message is no JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// A resource, with the filter's configuration in the form that people write it in. `code` is how a proxy gets the
/// filter's code.
///
/// # Errors
/// A message of a type that the descriptors do not have.
pub fn to_json(kind: ResourceType, resource: &Resource, code: &Code) -> Result<Value, Error> {
    match &resource.body {
        Body::Encoded(bytes) => message_to_json(kind.type_url(), bytes),
        Body::Sections(sections) => sections_to_json(kind, sections, code),
    }
}

/// An encoded message.
///
/// # Errors
/// A type that the descriptors do not have, or another message than of that type.
pub fn message_to_json(type_url: &str, bytes: &[u8]) -> Result<Value, Error> {
    let name = type_url.rsplit('/').next().unwrap_or_default();
    let descriptors = DESCRIPTORS.as_ref().map_err(Error::Descriptors)?;
    let descriptor = descriptors
        .get_message_by_name(name)
        .ok_or_else(|| Error::Type(type_url.to_owned()))?;
    let message = DynamicMessage::decode(descriptor, bytes)?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    let mut json = message.serialize_with_options(serde_json::value::Serializer, &options)?;
    each_object(&mut json, &mut redact);
    Ok(json)
}

fn sections_to_json(kind: ResourceType, sections: &Sections, code: &Code) -> Result<Value, Error> {
    let switches = sections.to_json()?;
    let mut json = message_to_json(kind.type_url(), &sections.encode(code))?;
    each_object(&mut json, &mut |object| {
        if let Some(configuration) = object
            .get_mut("configuration")
            .and_then(|any| any.get_mut("value"))
        {
            configuration.clone_from(&switches);
        }
    });
    Ok(json)
}

fn redact(object: &mut Map<String, Value>) {
    if let Some(key) = object.get_mut("private_key") {
        *key = REDACTED.into();
    }
}

fn each_object(json: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match json {
        Value::Object(object) => {
            change(object);
            object.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| each_object(value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
