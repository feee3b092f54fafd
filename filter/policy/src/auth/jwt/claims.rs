//! Claims of tokens.

use super::{error::TokenError, number::JsonNumber};
use crate::json::unique_keys;
use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The claims of a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims(Box<str>);

/// A JSON object without duplicate names.
pub(super) struct JsonObject<'a>(BTreeMap<String, JsonValue<'a>>);

/// A JSON value. Numbers, lists and objects are kept as written: serde_json's numbers are doubles, in which two numbers
/// can be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JsonValue<'a> {
    Null,
    Bool(bool),
    Number(JsonNumber<'a>),
    Text(String),
    List(&'a str),
    Object(&'a str),
}

// === impl Claims ===

impl Claims {
    pub(super) fn new(json: &str) -> Self {
        Self(json.into())
    }

    /// The text of a claim: of a string its value, of a number its canonical form, of everything else its JSON. A claim
    /// inside another is named by both names, with a dot between, if no claim has that as its own name. `None` if it is
    /// absent, null, or a number that is not finite. It costs a parse of all claims.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        JsonObject::parse(&self.0)?.text(name)
    }
}

// === impl JsonObject ===

impl<'a> JsonObject<'a> {
    /// Parses a JSON object; `None` if the text is not one, or has a name twice.
    pub(super) fn parse(json: &'a str) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let fields = unique_keys(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        Some(Self(fields))
    }

    /// The value of that name, also if it is null.
    pub(super) fn get(&self, name: &str) -> Option<&JsonValue<'a>> {
        self.0.get(name)
    }

    /// The value of a claim that must be a string if present (RFC 7519, 4.1).
    pub(super) fn only_text(&self, name: &'static str) -> Result<Option<&str>, TokenError> {
        match self.get(name) {
            None => Ok(None),
            Some(JsonValue::Text(text)) => Ok(Some(text)),
            Some(_) => Err(TokenError::ClaimType(name, "a text")),
        }
    }

    /// The values of a claim that must be a string or a list of strings if present (RFC 7519, 4.1.3).
    pub(super) fn only_texts(&self, name: &'static str) -> Result<Vec<String>, TokenError> {
        let texts = match self.get(name) {
            None => Some(Vec::new()),
            Some(JsonValue::Text(text)) => Some(vec![text.clone()]),
            Some(JsonValue::List(written)) => serde_json::from_str(written).ok(),
            Some(_) => None,
        };
        texts.ok_or(TokenError::ClaimType(name, "a text or a list of texts"))
    }

    /// The value of a claim that must be a number if present, in seconds since 1970 (RFC 7519, 2: `NumericDate`).
    pub(super) fn date(&self, name: &'static str) -> Result<Option<f64>, TokenError> {
        let error = TokenError::ClaimType(name, "a finite number");
        match self.get(name) {
            None => Ok(None),
            Some(JsonValue::Number(number)) => number.to_f64().ok_or(error).map(Some),
            Some(_) => Err(error),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.find(name)?.into_text()
    }

    /// The values of a claim: of a list, all items. Scopes are a string with spaces between them (RFC 8693, 4.2), or a
    /// list of strings; any other type has no values.
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        let is_scope = matches!(name, "scope" | "scp");
        match self.find(name) {
            Some(JsonValue::List(written)) => {
                let items: Vec<JsonValue<'_>> = serde_json::from_str(written).unwrap_or_default();
                let items = items
                    .into_iter()
                    .filter(|item| !is_scope || matches!(item, JsonValue::Text(_)));
                items.filter_map(JsonValue::into_text).collect()
            }
            Some(JsonValue::Text(scopes)) if is_scope => {
                let scopes = scopes.split(' ').filter(|scope| !scope.is_empty());
                scopes.map(str::to_owned).collect()
            }
            Some(_) if is_scope => Vec::new(),
            value => value.and_then(JsonValue::into_text).into_iter().collect(),
        }
    }

    /// The value of a claim in a header, as in Envoy's `jwt_authn`: lists and objects as JSON in base64.
    pub(super) fn header_value(&self, name: &str) -> Option<String> {
        match self.find(name)? {
            JsonValue::List(written) | JsonValue::Object(written) => {
                Some(Base64::encode_string(written.as_bytes()))
            }
            value => value.into_text(),
        }
    }

    /// Finds a claim by its own name, or inside others by their names with dots between. `None` if it is null.
    fn find(&self, name: &str) -> Option<JsonValue<'a>> {
        let own = self.get(name).cloned();
        own.or_else(|| self.find_inside(name))
            .filter(|value| *value != JsonValue::Null)
    }

    fn find_inside(&self, name: &str) -> Option<JsonValue<'a>> {
        let mut names = name.split('.');
        let mut value = self.get(names.next()?)?.clone();
        for name in names {
            let JsonValue::Object(written) = value else {
                return None;
            };
            value = JsonObject::parse(written)?.0.remove(name)?;
        }
        Some(value)
    }
}

// === impl JsonValue ===

impl JsonValue<'_> {
    /// The text of a value: of a string its value, of a number its canonical form, of everything else its JSON.
    fn into_text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(bool) => Some(bool.to_string()),
            Self::Number(number) => number.canonical(),
            Self::Text(text) => Some(text),
            Self::List(written) | Self::Object(written) => Some(written.to_owned()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = <&RawValue>::deserialize(deserializer)?.get();
        Ok(match written.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(serde_json::from_str(written).map_err(D::Error::custom)?),
            Some(b'[') => Self::List(written),
            Some(b'{') => Self::Object(written),
            _ => Self::Number(JsonNumber::new(written)),
        })
    }
}
