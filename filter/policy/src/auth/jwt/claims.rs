//! What a token says of whom it is about.

use super::token::TokenFault;
use base64ct::{Base64, Encoding};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt};

/// Of a token that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims(Box<str>);

/// A JSON object of which no name stands there twice, its values not yet read.
pub(super) struct Object<'a> {
    values: BTreeMap<String, &'a RawValue>,
}

// === impl Claims ===

impl Claims {
    pub(super) fn new(json: &str) -> Self {
        Self(json.into())
    }

    /// What a claim says: a text itself; of everything else its JSON. A claim inside another is named by both, with a dot
    /// between, if none has that as its own name. None where it is absent or null. It costs a parse of all claims.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        Object::parse(&self.0).ok()?.text(name).ok()?
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    pub(super) fn parse(json: &'a str) -> Result<Self, TokenFault> {
        parse(json)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, TokenFault> {
        self.find(name).map(text_of).transpose()
    }

    /// Of one text, or of a list of them.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, TokenFault> {
        match self.find(name) {
            Some(value) if value.starts_with('[') => parse(value),
            Some(value) => Ok(vec![parse(value)?]),
            None => Ok(Vec::new()),
        }
    }

    /// Everything that a claim says, each for itself: a list says all that is in it, and a scope is a list, with spaces
    /// between (RFC 8693, 4.2).
    pub(super) fn said(&self, name: &str) -> Result<Vec<String>, TokenFault> {
        match self.find(name) {
            Some(value) if value.starts_with('[') => {
                let values: Vec<&RawValue> = parse(value)?;
                values.into_iter().map(|value| text_of(value.get())).collect()
            }
            Some(value) if matches!(name, "scope" | "scp") => {
                let scopes = text_of(value)?;
                Ok(scopes
                    .split(' ')
                    .filter(|scope| !scope.is_empty())
                    .map(str::to_owned)
                    .collect())
            }
            Some(value) => Ok(vec![text_of(value)?]),
            None => Ok(Vec::new()),
        }
    }

    /// As Envoy's `jwt_authn` tells it: lists and objects as JSON in base64.
    pub(super) fn header_value(&self, name: &str) -> Result<Option<String>, TokenFault> {
        match self.find(name) {
            Some(value) if value.starts_with(['[', '{']) => Ok(Some(Base64::encode_string(value.as_bytes()))),
            value => value.map(text_of).transpose(),
        }
    }

    /// Whole seconds since 1970 (RFC 7519, 2: `NumericDate`).
    pub(super) fn date(&self, name: &str) -> Result<Option<i64>, TokenFault> {
        let seconds = |value: &str| {
            let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
            whole.parse().map_err(|_| TokenFault::Claims)
        };
        self.find(name).map(seconds).transpose()
    }

    /// The JSON of a claim that is there, and not null.
    fn find(&self, name: &str) -> Option<&'a str> {
        let value = match self.values.get(name) {
            Some(value) => value.get(),
            None => self.find_inside(name)?,
        };
        (value != "null").then_some(value)
    }

    fn find_inside(&self, name: &str) -> Option<&'a str> {
        let mut names = name.split('.');
        let mut value = self.values.get(names.next()?)?.get();
        for name in names {
            value = Object::parse(value).ok()?.values.get(name)?.get();
        }
        Some(value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueNames)
    }
}

struct UniqueNames;

impl<'de> Visitor<'de> for UniqueNames {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((name, value)) = fields.next_entry::<String, &RawValue>()? {
            if values.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands there twice"));
            }
        }
        Ok(Object { values })
    }
}

/// A text itself; of everything else its JSON.
fn text_of(value: &str) -> Result<String, TokenFault> {
    if value.starts_with('"') {
        return parse(value);
    }
    Ok(value.to_owned())
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, TokenFault> {
    serde_json::from_str(json).map_err(|_| TokenFault::Claims)
}
