//! Constraints of Envoy's messages: whatever breaks one is refused by Envoy, with all that comes in the same resource.
//!
//! Most are options of Envoy's protos (`validate.rules` of protoc-gen-validate), which the descriptors carry. Some stand
//! in Envoy's code alone, see [`in_code`]. What is inside of an `Any` is checked, too.

mod in_code;
mod number;
mod rules;

use crate::descriptors;
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, MessageDescriptor, ReflectMessage, Value};
use rules::{MessageRules, Rules};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::LazyLock,
};

const ANY: &str = "google.protobuf.Any";

/// The constraints of all messages that are sent, by their names.
static CONSTRAINTS: LazyLock<Result<HashMap<String, MessageRules>, Violation>> = LazyLock::new(read);

/// A constraint that a message breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// The field, from the message down: `health_checks[0].interval`.
    field: String,
    /// The requirement of the field.
    constraint: String,
}

/// Checks an encoded message.
///
/// # Errors
///
/// If Envoy would refuse it.
pub(crate) fn check(type_url: &str, bytes: &[u8]) -> Result<(), Violation> {
    let constraints = CONSTRAINTS.as_ref().map_err(Clone::clone)?;
    let descriptor = descriptors::of_type(type_url).map_err(Violation::new)?;
    check_encoded(constraints, descriptor, bytes)
}

fn read() -> Result<HashMap<String, MessageRules>, Violation> {
    let pool = descriptors::pool().map_err(Violation::new)?;
    let extensions =
        rules::Extensions::of(pool).ok_or_else(|| Violation::new("the descriptors have no constraints"))?;
    let mut constraints = HashMap::new();
    for message in pool.all_messages() {
        let rules = MessageRules::read(&message, &extensions).map_err(Violation::new)?;
        constraints.insert(message.full_name().to_owned(), rules);
    }
    Ok(constraints)
}

fn check_encoded(
    constraints: &HashMap<String, MessageRules>,
    descriptor: MessageDescriptor,
    bytes: &[u8],
) -> Result<(), Violation> {
    let message = DynamicMessage::decode(descriptor, bytes).map_err(Violation::new)?;
    check_message(constraints, &message)
}

fn check_message(
    constraints: &HashMap<String, MessageRules>,
    message: &DynamicMessage,
) -> Result<(), Violation> {
    let descriptor = message.descriptor();
    let name = descriptor.full_name();
    if name == ANY {
        return check_any(constraints, message);
    }
    in_code::check(name, message).map_err(Violation::new)?;
    let rules = constraints.get(name);
    if let Some(rules) = rules {
        rules.check(message)?;
    }
    for (field, value) in message.fields() {
        let is_skipped = rules
            .and_then(|rules| rules.of(&field))
            .is_some_and(Rules::is_skipped);
        if !is_skipped {
            check_nested(constraints, value).map_err(|violation| violation.below(&field))?;
        }
    }
    Ok(())
}

/// The content of an `Any`. One without a type holds nothing.
fn check_any(constraints: &HashMap<String, MessageRules>, any: &DynamicMessage) -> Result<(), Violation> {
    let type_url = any.get_field_by_name("type_url");
    let value = any.get_field_by_name("value");
    let type_url = type_url.as_ref().and_then(|url| url.as_str()).unwrap_or_default();
    let bytes = value.as_ref().and_then(|value| value.as_bytes());
    if type_url.is_empty() {
        return Ok(());
    }
    let descriptor = descriptors::of_type(type_url).map_err(Violation::new)?;
    check_encoded(
        constraints,
        descriptor,
        bytes.map(|bytes| &**bytes).unwrap_or_default(),
    )
}

fn check_nested(constraints: &HashMap<String, MessageRules>, value: &Value) -> Result<(), Violation> {
    match value {
        Value::Message(message) => check_message(constraints, message),
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                check_nested(constraints, item).map_err(|violation| violation.at(index))?;
            }
            Ok(())
        }
        Value::Map(entries) => {
            // In the order of the keys, so that the same message breaks the same constraint each time.
            let entries: BTreeMap<_, _> = entries
                .iter()
                .map(|(key, value)| (key_text(key), value))
                .collect();
            for (key, value) in entries {
                check_nested(constraints, value).map_err(|violation| violation.at(key))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::String(key) => format!("{key:?}"),
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
    }
}

// === impl Violation ===

impl Violation {
    fn new(constraint: impl fmt::Display) -> Self {
        Self {
            field: String::new(),
            constraint: constraint.to_string(),
        }
    }

    /// The same, of an element of a list or a map.
    fn at(self, key: impl fmt::Display) -> Self {
        Self {
            field: format!("[{key}]{}{}", self.separator(), self.field),
            ..self
        }
    }

    /// The same, of a field.
    fn below(self, field: &FieldDescriptor) -> Self {
        Self {
            field: format!("{}{}{}", field.name(), self.separator(), self.field),
            ..self
        }
    }

    fn separator(&self) -> &'static str {
        if self.field.is_empty() || self.field.starts_with('[') {
            ""
        } else {
            "."
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, constraint } = self;
        if field.is_empty() {
            return f.write_str(constraint);
        }
        write!(f, "{field}: {constraint}")
    }
}

#[cfg(test)]
mod tests;
