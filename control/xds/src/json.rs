//! Resources as people read them: protobuf's JSON, with what is inside of an `Any` in place, and no private key.

use crate::{
    descriptors, pack,
    resource::{Body, Resource, ResourceType},
    sections::{Code, Sections},
};
use envoy_types::pb::google::protobuf::Any;
use prost_reflect::{DynamicMessage, ReflectMessage, SerializeOptions};
use serde_json::{Map, Value, json};

const REDACTED: &str = "[redacted]";
/// A type that is never in an `Any` that is sent.
const STAND_IN: &str = "type.googleapis.com/google.protobuf.Struct";

/// Why there is no JSON.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Type(#[from] descriptors::Error),
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
    let mut message = DynamicMessage::decode(descriptors::of_type(type_url)?, bytes)?;
    name_empty(&mut message)?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    let mut json = message.serialize_with_options(serde_json::value::Serializer, &options)?;
    let stand_in = json!({ "@type": STAND_IN, "value": {} });
    each_object(&mut json, &mut |object| {
        redact(object);
        for value in object.values_mut().filter(|value| **value == stand_in) {
            *value = json!({});
        }
    });
    Ok(json)
}

/// Gives each `Any` that holds nothing a type, in the place of which its JSON is then made `{}`: the library knows no
/// JSON of one without.
fn name_empty(message: &mut DynamicMessage) -> Result<(), Error> {
    if message.descriptor().full_name() != "google.protobuf.Any" {
        let values = message.fields_mut().map(|(_, value)| value);
        return values.flat_map(messages).try_for_each(name_empty);
    }
    let mut any: Any = message.transcode_to()?;
    if any.type_url.is_empty() {
        STAND_IN.clone_into(&mut any.type_url);
    } else {
        let mut inner = DynamicMessage::decode(descriptors::of_type(&any.type_url)?, any.value.as_slice())?;
        name_empty(&mut inner)?;
        any.value = pack::encode(&inner).into();
    }
    Ok(message.transcode_from(&any)?)
}

fn messages(value: &mut prost_reflect::Value) -> Vec<&mut DynamicMessage> {
    use prost_reflect::Value;
    match value {
        Value::Message(message) => vec![message],
        Value::List(values) => values.iter_mut().flat_map(messages).collect(),
        Value::Map(values) => values.values_mut().flat_map(messages).collect(),
        _ => vec![],
    }
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
