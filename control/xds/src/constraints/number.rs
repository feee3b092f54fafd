//! Values that have an order.

use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use std::fmt;

/// A number, a truth value, or a duration in nanoseconds. Those of one field are of one variant.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

/// The range of a number. One whose end lies before its start is all that lies outside of the two.
#[derive(Debug, Default)]
pub(super) struct Range {
    pub(super) above: Option<Limit>,
    pub(super) below: Option<Limit>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) number: Number,
    pub(super) inclusive: bool,
}

// === impl Number ===

impl Number {
    /// The number that a value is, if it is one. A wrapper is what it holds.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Integer((*value).into())),
            Value::I32(value) | Value::EnumNumber(value) => Some(Self::Integer((*value).into())),
            Value::I64(value) => Some(Self::Integer((*value).into())),
            Value::U32(value) => Some(Self::Integer((*value).into())),
            Value::U64(value) => Some(Self::Integer((*value).into())),
            Value::F32(value) => Some(Self::Float((*value).into())),
            Value::F64(value) => Some(Self::Float(*value)),
            Value::Message(message) => Self::of_message(message),
            Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    fn of_message(message: &DynamicMessage) -> Option<Self> {
        if message.descriptor().full_name() == "google.protobuf.Duration" {
            return Some(Self::Integer(nanoseconds(message)));
        }
        Self::of(&*message.get_field_by_name("value")?)
    }
}

/// The length of a `google.protobuf.Duration`.
pub(super) fn nanoseconds(duration: &DynamicMessage) -> i128 {
    let part = |name: &str| match duration.get_field_by_name(name).as_deref() {
        Some(Value::I64(value)) => i128::from(*value),
        Some(Value::I32(value)) => i128::from(*value),
        _ => 0,
    };
    part("seconds") * 1_000_000_000 + part("nanos")
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
        }
    }
}

// === impl Range ===

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |limit: Option<Limit>, sign: char| {
            limit.map(|Limit { number, inclusive }| {
                format!("{sign}{} {number}", if inclusive { "=" } else { "" })
            })
        };
        let limits = [limit(self.above, '>'), limit(self.below, '<')];
        f.write_str(&limits.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}

impl Range {
    pub(super) fn is_unlimited(&self) -> bool {
        self.above.is_none() && self.below.is_none()
    }

    pub(super) fn contains(&self, number: Number) -> bool {
        let is_above = |limit: Limit| number > limit.number || limit.inclusive && number == limit.number;
        let is_below = |limit: Limit| number < limit.number || limit.inclusive && number == limit.number;
        match (self.above, self.below) {
            (Some(above), Some(below)) if below.number < above.number => is_above(above) || is_below(below),
            (above, below) => above.is_none_or(is_above) && below.is_none_or(is_below),
        }
    }
}
