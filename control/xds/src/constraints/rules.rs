//! The constraints that protos state, as protoc-gen-validate has them.

use super::{
    Violation,
    number::{Limit, Number, Range},
};
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    OneofDescriptor, ReflectMessage, Value,
};
use regex::Regex;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::RangeInclusive,
};

/// Names of headers, the strict form.
const HEADER_NAME: &str = r"^:?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+$";
/// Values of headers, the strict form.
const HEADER_VALUE: &str = r"^[^\x00-\x08\x0A-\x1F\x7F]*$";
/// Either, the form that is not strict.
const NO_LINE_END: &str = r"^[^\x00\x0A\x0D]*$";

/// The options that constraints stand in.
pub(super) struct Extensions {
    field: ExtensionDescriptor,
    oneof_required: ExtensionDescriptor,
    disabled: [ExtensionDescriptor; 2],
}

/// The constraints of a message.
#[derive(Debug, Default)]
pub(super) struct MessageRules {
    fields: BTreeMap<u32, (FieldDescriptor, Rules)>,
    /// One of each is to be set.
    oneofs: Vec<OneofDescriptor>,
}

/// The constraints of a field, of an element of a list, or of keys or values of a map.
#[derive(Debug, Default)]
pub(super) struct Rules {
    required: bool,
    skipped: bool,
    ignore_empty: bool,
    range: Range,
    checks: Vec<Check>,
    keys: Option<Box<Self>>,
    elements: Option<Box<Self>>,
}

/// One constraint.
#[derive(Debug)]
enum Check {
    OneOf(Vec<Value>),
    NoneOf(Vec<Value>),
    Length(Unit, RangeInclusive<u64>),
    Pattern(Regex),
    Without(String),
    /// A number that the enum has.
    Defined(BTreeSet<i32>),
    Unique,
}

/// The unit of a length.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Characters,
    Bytes,
    Elements,
}

/// A reason why constraints cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{field}: the constraint {rule} is not implemented")]
    Unknown { field: String, rule: String },
    #[error("{field}: {error}")]
    Pattern { field: String, error: Box<regex::Error> },
}

/// A field whose constraints are being read.
struct Reading<'a> {
    field: &'a FieldDescriptor,
    /// The kind of the rules: `string`, `repeated` and so on.
    of: &'a str,
    rules: &'a DynamicMessage,
}

// === impl Extensions ===

impl Extensions {
    pub(super) fn of(pool: &DescriptorPool) -> Option<Self> {
        Some(Self {
            field: pool.get_extension_by_name("validate.rules")?,
            oneof_required: pool.get_extension_by_name("validate.required")?,
            disabled: [
                pool.get_extension_by_name("validate.disabled")?,
                pool.get_extension_by_name("validate.ignored")?,
            ],
        })
    }
}

// === impl MessageRules ===

impl MessageRules {
    pub(super) fn read(message: &MessageDescriptor, extensions: &Extensions) -> Result<Self, Error> {
        let options = message.options();
        let is_set = |flag: &ExtensionDescriptor| options.get_extension(flag).as_bool() == Some(true);
        if extensions.disabled.iter().any(is_set) {
            return Ok(Self::default());
        }
        let mut fields = BTreeMap::new();
        for field in message.fields() {
            let options = field.options();
            if options.has_extension(&extensions.field) {
                let rules = options.get_extension(&extensions.field);
                let rules = rules.as_message().map(|rules| Rules::read(&field, rules));
                if let Some(rules) = rules {
                    fields.insert(field.number(), (field, rules?));
                }
            }
        }
        let is_required = |oneof: &OneofDescriptor| {
            oneof
                .options()
                .get_extension(&extensions.oneof_required)
                .as_bool()
                == Some(true)
        };
        let oneofs = message.oneofs().filter(is_required).collect();
        Ok(Self { fields, oneofs })
    }

    pub(super) fn of(&self, field: &FieldDescriptor) -> Option<&Rules> {
        self.fields.get(&field.number()).map(|(_, rules)| rules)
    }

    pub(super) fn check(&self, message: &DynamicMessage) -> Result<(), Violation> {
        for oneof in &self.oneofs {
            if !oneof.fields().any(|field| message.has_field(&field)) {
                return Err(Violation::new(format_args!(
                    "one of {} must be set",
                    oneof.name()
                )));
            }
        }
        for (field, rules) in self.fields.values() {
            // The other members of a oneof are not set, and are not meant to be.
            if field.containing_oneof().is_some() && !message.has_field(field) {
                continue;
            }
            rules
                .check_field(message, field)
                .map_err(|violation| violation.below(field))?;
        }
        Ok(())
    }
}

// === impl Rules ===

impl Rules {
    /// Returns true if the content of the field is not checked.
    pub(super) fn is_skipped(&self) -> bool {
        self.skipped
    }

    fn read(field: &FieldDescriptor, written: &DynamicMessage) -> Result<Self, Error> {
        let mut rules = Self::default();
        for (kind, value) in written.fields() {
            let Some(of_kind) = value.as_message() else {
                continue;
            };
            let reading = Reading {
                field,
                of: kind.name(),
                rules: of_kind,
            };
            for (rule, value) in of_kind.fields() {
                rules.add(&reading, rule.name(), value)?;
            }
        }
        Ok(rules)
    }

    fn add(&mut self, reading: &Reading<'_>, rule: &str, value: &Value) -> Result<(), Error> {
        let is_true = value.as_bool() == Some(true);
        match (rule, value) {
            ("required", _) => self.required = is_true,
            ("skip", _) => self.skipped = is_true,
            ("ignore_empty", _) => self.ignore_empty = is_true,
            // A message is in every place of a map, and `strict` belongs to another rule.
            ("no_sparse" | "strict", _) => {}
            ("gt" | "gte" | "lt" | "lte", _) => self.add_limit(reading, rule, value)?,
            ("keys", Value::Message(rules)) => self.keys = Some(Box::new(Self::read(reading.field, rules)?)),
            ("items" | "values", Value::Message(rules)) => {
                self.elements = Some(Box::new(Self::read(reading.field, rules)?));
            }
            _ if value.as_bool() == Some(false) => {}
            _ => self.checks.push(reading.check(rule, value)?),
        }
        Ok(())
    }

    fn add_limit(&mut self, reading: &Reading<'_>, rule: &str, value: &Value) -> Result<(), Error> {
        let number = Number::of(value).ok_or_else(|| reading.unknown(rule))?;
        let inclusive = rule.ends_with('e');
        let limit = Some(Limit { number, inclusive });
        if rule.starts_with('g') {
            self.range.above = limit;
        } else {
            self.range.below = limit;
        }
        Ok(())
    }

    fn check_field(&self, message: &DynamicMessage, field: &FieldDescriptor) -> Result<(), Violation> {
        if field.supports_presence() && !message.has_field(field) {
            return if self.required {
                Err(Violation::new("must be set"))
            } else {
                Ok(())
            };
        }
        if self.ignore_empty && !message.has_field(field) {
            return Ok(());
        }
        self.check(&message.get_field(field))
    }

    fn check(&self, value: &Value) -> Result<(), Violation> {
        if !self.range.is_unlimited()
            && let Some(number) = Number::of(value)
            && !self.range.contains(number)
        {
            return Err(Violation::new(format_args!("must be {}", self.range)));
        }
        let held = held(value);
        for check in &self.checks {
            check.check(held.as_ref().unwrap_or(value))?;
        }
        match value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let checked = self.elements.iter().try_for_each(|rules| rules.check(item));
                    checked.map_err(|violation| violation.at(index))?;
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    let key_value = Value::from(key.clone());
                    let keys = self.keys.iter().try_for_each(|rules| rules.check(&key_value));
                    let values = self.elements.iter().try_for_each(|rules| rules.check(value));
                    keys.and(values)
                        .map_err(|violation| violation.at(super::key_text(key)))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The value in a wrapper, such as a `google.protobuf.StringValue`; and the type of an `Any`, which rules are about.
fn held(value: &Value) -> Option<Value> {
    let message = value.as_message()?;
    let descriptor = message.descriptor();
    let name = descriptor.full_name().strip_prefix("google.protobuf.")?;
    let field = match name {
        "Any" => "type_url",
        _ if name.ends_with("Value") => "value",
        _ => return None,
    };
    message.get_field_by_name(field).map(Cow::into_owned)
}

// === impl Reading ===

impl Reading<'_> {
    fn check(&self, rule: &str, value: &Value) -> Result<Check, Error> {
        let (unit, number) = (self.unit(), value.as_u64());
        let list = || {
            value
                .as_list()
                .unwrap_or_default()
                .iter()
                .map(|value| self.comparable(value))
                .collect()
        };
        let text = value.as_str().unwrap_or_default();
        Ok(match (rule, number) {
            ("const", _) => Check::OneOf(vec![self.comparable(value)]),
            ("in", _) => Check::OneOf(list()),
            ("not_in", _) => Check::NoneOf(list()),
            ("len", Some(length)) => Check::Length(unit, length..=length),
            ("min_len" | "min_items" | "min_pairs", Some(least)) => Check::Length(unit, least..=u64::MAX),
            ("max_len" | "max_items" | "max_pairs", Some(most)) => Check::Length(unit, 0..=most),
            ("len_bytes", Some(length)) => Check::Length(Unit::Bytes, length..=length),
            ("min_bytes", Some(least)) => Check::Length(Unit::Bytes, least..=u64::MAX),
            ("max_bytes", Some(most)) => Check::Length(Unit::Bytes, 0..=most),
            ("pattern", _) => self.pattern(text)?,
            ("prefix", _) => self.pattern(&format!("^{}", regex::escape(text)))?,
            ("suffix", _) => self.pattern(&format!("{}$", regex::escape(text)))?,
            ("contains", _) => self.pattern(&regex::escape(text))?,
            ("not_contains", _) => Check::Without(text.to_owned()),
            ("well_known_regex", _) => self.pattern(self.well_known(value))?,
            ("defined_only", _) => self.defined().ok_or_else(|| self.unknown(rule))?,
            ("unique", _) => Check::Unique,
            _ => return Err(self.unknown(rule)),
        })
    }

    /// A value as the field has it: rules of enums hold integers.
    fn comparable(&self, value: &Value) -> Value {
        match value {
            Value::I32(number) if self.of == "enum" => Value::EnumNumber(*number),
            value => value.clone(),
        }
    }

    fn unknown(&self, rule: &str) -> Error {
        Error::Unknown {
            field: self.field.full_name().to_owned(),
            rule: format!("{}.{rule}", self.of),
        }
    }

    fn unit(&self) -> Unit {
        match self.of {
            "string" => Unit::Characters,
            "bytes" => Unit::Bytes,
            _ => Unit::Elements,
        }
    }

    fn pattern(&self, pattern: &str) -> Result<Check, Error> {
        let pattern = Regex::new(pattern).map_err(|error| Error::Pattern {
            field: self.field.full_name().to_owned(),
            error: Box::new(error),
        })?;
        Ok(Check::Pattern(pattern))
    }

    /// By `validate.KnownRegex`: 1 is a header's name, 2 a value.
    fn well_known(&self, value: &Value) -> &'static str {
        let strict = self.rules.get_field_by_name("strict");
        let is_strict = strict.and_then(|strict| strict.as_bool()) != Some(false);
        match value.as_enum_number() {
            _ if !is_strict => NO_LINE_END,
            Some(1) => HEADER_NAME,
            _ => HEADER_VALUE,
        }
    }

    fn defined(&self) -> Option<Check> {
        let Kind::Enum(of) = self.field.kind() else {
            return None;
        };
        Some(Check::Defined(of.values().map(|value| value.number()).collect()))
    }
}

// === impl Check ===

impl Check {
    fn check(&self, value: &Value) -> Result<(), Violation> {
        let holds = match self {
            Self::OneOf(values) => values.contains(value),
            Self::NoneOf(values) => !values.contains(value),
            Self::Length(unit, range) => range.contains(&unit.length(value)),
            Self::Pattern(pattern) => value.as_str().is_none_or(|text| pattern.is_match(text)),
            Self::Without(part) => value.as_str().is_none_or(|text| !text.contains(part.as_str())),
            Self::Defined(numbers) => value
                .as_enum_number()
                .is_none_or(|number| numbers.contains(&number)),
            Self::Unique => is_unique(value),
        };
        if holds { Ok(()) } else { Err(Violation::new(self)) }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(values) => write!(f, "must be one of {values:?}"),
            Self::NoneOf(values) => write!(f, "must be none of {values:?}"),
            Self::Length(unit, range) if *range.end() == u64::MAX => {
                write!(f, "must have at least {} {unit}", range.start())
            }
            Self::Length(unit, range) => {
                write!(f, "must have {} to {} {unit}", range.start(), range.end())
            }
            Self::Pattern(pattern) => write!(f, "must match {}", pattern.as_str()),
            Self::Without(part) => write!(f, "must not contain {part:?}"),
            Self::Defined(_) => f.write_str("must be a value that is defined"),
            Self::Unique => f.write_str("must not have equal items"),
        }
    }
}

fn is_unique(value: &Value) -> bool {
    let items = value.as_list().unwrap_or_default();
    items
        .iter()
        .enumerate()
        .all(|(index, item)| !items.iter().take(index).any(|other| other == item))
}

// === impl Unit ===

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Characters => "characters",
            Self::Bytes => "bytes",
            Self::Elements => "elements",
        })
    }
}

impl Unit {
    fn length(self, value: &Value) -> u64 {
        let length = match (self, value) {
            (Self::Characters, Value::String(text)) => text.chars().count(),
            (_, Value::String(text)) => text.len(),
            (_, Value::Bytes(bytes)) => bytes.len(),
            (_, Value::List(items)) => items.len(),
            (_, Value::Map(entries)) => entries.len(),
            _ => 0,
        };
        u64::try_from(length).unwrap_or(u64::MAX)
    }
}
