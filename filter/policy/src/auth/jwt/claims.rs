//! What a token says of whom it is about.

use super::token::TokenFault;
use crate::json::{self, Json, List};
use base64ct::{Base64, Encoding};

/// Of a token that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims(Box<str>);

/// A JSON object of which no name stands there twice.
pub(super) struct Object<'a>(json::Object<'a>);

// === impl Claims ===

impl Claims {
    pub(super) fn new(json: &str) -> Self {
        Self(json.into())
    }

    /// What a claim says: a text itself; of everything else its JSON. A claim inside another is named by both, with a dot
    /// between, if none has that as its own name. None where it is absent or null. It costs a parse of all claims.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        Object::parse(&self.0).ok()?.text(name)
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    pub(super) fn parse(json: &'a str) -> Result<Self, TokenFault> {
        match json::parse(json.as_bytes()) {
            Ok(Json::Object(object)) => Ok(Self(object)),
            _ => Err(TokenFault::Claims),
        }
    }

    /// A text itself; of everything else its JSON.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.find(name).map(text_of)
    }

    /// Of one text, or of a list of them.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, TokenFault> {
        match self.find(name) {
            Some(Json::List(List { items, .. })) => items.iter().map(only_text).collect(),
            Some(value) => Ok(vec![only_text(value)?]),
            None => Ok(Vec::new()),
        }
    }

    /// Everything that a claim says, each for itself: a list says all that is in it, and a scope is a list, with spaces
    /// between (RFC 8693, 4.2).
    pub(super) fn said(&self, name: &str) -> Vec<String> {
        match self.find(name) {
            Some(Json::List(List { items, .. })) => items.iter().map(text_of).collect(),
            Some(value) if matches!(name, "scope" | "scp") => {
                let scopes = text_of(value);
                let scopes = scopes.split(' ').filter(|scope| !scope.is_empty());
                scopes.map(str::to_owned).collect()
            }
            value => value.map(text_of).into_iter().collect(),
        }
    }

    /// As Envoy's `jwt_authn` tells it: lists and objects as JSON in base64.
    pub(super) fn header_value(&self, name: &str) -> Option<String> {
        match self.find(name)? {
            Json::List(List { written, .. }) | Json::Object(json::Object { written, .. }) => {
                Some(Base64::encode_string(written.as_bytes()))
            }
            value => Some(text_of(value)),
        }
    }

    /// Whole seconds since 1970 (RFC 7519, 2: `NumericDate`).
    pub(super) fn date(&self, name: &str) -> Result<Option<i64>, TokenFault> {
        let seconds = |value: &Json<'_>| {
            let Json::Number(number) = value else {
                return Err(TokenFault::Claims);
            };
            let whole = number.split_once('.').map_or(*number, |(whole, _)| whole);
            whole.parse().map_err(|_| TokenFault::Claims)
        };
        self.find(name).map(seconds).transpose()
    }

    /// A claim that is there, and not null.
    fn find(&self, name: &str) -> Option<&Json<'a>> {
        let Self(claims) = self;
        let value = claims.find(name).0.or_else(|| find_inside(claims, name))?;
        (!matches!(value, Json::Null)).then_some(value)
    }
}

fn find_inside<'o, 'a>(claims: &'o json::Object<'a>, name: &str) -> Option<&'o Json<'a>> {
    let mut names = name.split('.');
    let mut value = claims.find(names.next()?).0?;
    for name in names {
        match value {
            Json::Object(object) if object.doubled().is_none() => value = object.find(name).0?,
            _ => return None,
        }
    }
    Some(value)
}

fn only_text(value: &Json<'_>) -> Result<String, TokenFault> {
    match value {
        Json::Text(text) => Ok(text.to_string()),
        _ => Err(TokenFault::Claims),
    }
}

/// A text itself; of everything else its JSON.
fn text_of(value: &Json<'_>) -> String {
    match value {
        Json::Null => "null",
        Json::Bool(true) => "true",
        Json::Bool(false) => "false",
        Json::Number(written)
        | Json::List(List { written, .. })
        | Json::Object(json::Object { written, .. }) => written,
        Json::Text(text) => text,
    }
    .to_owned()
}
