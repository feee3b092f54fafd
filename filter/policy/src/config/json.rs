//! JSON to what configurations are made of.
//!
//! What the filter reads goes through this rather than through what serde derives: each type that serde derives costs the
//! filter some kilobytes, and says of what is wrong neither its place nor what was said twice.

use super::{
    Error,
    at::{At, Step, look},
};
use crate::json::{self, Field, Json, Object};
use crate::maps::Map;
use std::collections::BTreeMap;

/// Something that a configuration is made of.
pub(crate) trait Read: Sized {
    /// What is no such value is noted, and something else comes in its place. None: it is not there.
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self;
}

/// Reads a type from an object: of each field, how it is taken out of that, by its name there.
macro_rules! object {
    ($type:ident { $($field:ident: $how:ident($($argument:expr),*),)* }) => {
        impl $crate::config::json::Read for $type {
            fn read(
                json: Option<&$crate::json::Json<'_>>,
                at: &$crate::config::at::At<'_>,
            ) -> Self {
                let mut fields = $crate::config::json::Fields::of(json, at);
                let value = Self {
                    $($field: fields.$how($($argument),*),)*
                };
                fields.end();
                value
            }
        }
    };
}
pub(super) use object;

/// What an object has, and what of it was asked for.
pub(super) struct Fields<'a> {
    all: Option<&'a Object<'a>>,
    known: Vec<&'static str>,
    at: &'a At<'a>,
}

/// Reads the whole of a text.
///
/// # Errors
/// The first thing that is wrong, and where.
pub(crate) fn parse<T: Read>(text: &[u8]) -> Result<T, Error> {
    let json = json::parse(text).map_err(|malformed| Error::new(String::new(), malformed.to_string()))?;
    look(|at| T::read(Some(&json), at))
}

/// That something is not what is `wanted`, or not there.
#[cold]
#[inline(never)]
pub(super) fn is_no(json: Option<&Json<'_>>, wanted: &str, at: &At<'_>) {
    let text;
    let found = match json {
        None => {
            if let Some((outer, Step::Field(name))) = at.outer() {
                outer.note(format_args!("missing field `{name}`"));
            }
            return;
        }
        Some(Json::Null) => "null",
        Some(Json::Bool(true)) => "true",
        Some(Json::Bool(false)) => "false",
        Some(Json::Number(number)) => number,
        Some(Json::Text(quoted)) => {
            text = format!("{quoted:?}");
            &text
        }
        Some(Json::List(_)) => "a list",
        Some(Json::Object(_)) => "an object",
    };
    at.note(format_args!("{found} is no {wanted}"));
}

fn twice(name: &str, at: &At<'_>) {
    at.note(format_args!("{name:?} stands here twice"));
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) fn of(json: Option<&'a Json<'a>>, at: &'a At<'a>) -> Self {
        let all = match json {
            Some(Json::Object(object)) => Some(object),
            other => {
                is_no(other, "object", at);
                None
            }
        };
        Self {
            all,
            known: Vec::new(),
            at,
        }
    }

    pub(super) fn take<T: Read>(&mut self, name: &'static str) -> T {
        T::read(self.find(name), &self.at.field(name))
    }

    /// One that is that where it is not there.
    pub(super) fn take_or<T: Read>(&mut self, name: &'static str, absent: T) -> T {
        match self.find(name) {
            None => absent,
            found => T::read(found, &self.at.field(name)),
        }
    }

    pub(super) fn take_or_default<T: Default + Read>(&mut self, name: &'static str) -> T {
        match self.find(name) {
            None => T::default(),
            found => T::read(found, &self.at.field(name)),
        }
    }

    /// There are no others.
    #[inline(never)]
    pub(super) fn end(self) {
        let Self { all, known, at } = self;
        let mut fields = all.into_iter().flat_map(|object| &object.fields);
        let unknown = fields.find(|(name, _)| !known.contains(&&**name));
        if let Some((name, _)) = unknown {
            let known = known.join("`, `");
            at.field(name)
                .note(format_args!("unknown field; there are `{known}`"));
        }
    }

    #[inline(never)]
    fn find(&mut self, name: &'static str) -> Option<&'a Json<'a>> {
        self.known.push(name);
        let (value, is_twice) = self.all?.find(name);
        if is_twice {
            twice(name, self.at);
        }
        value
    }
}

// === impl Read ===

impl Read for bool {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        if let Some(Json::Bool(bool)) = json {
            return *bool;
        }
        is_no(json, "truth value", at);
        false
    }
}

impl Read for u64 {
    #[inline(never)]
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        if let Some(Json::Number(number)) = json
            && let Ok(number) = number.parse()
        {
            return number;
        }
        is_no(json, "whole number from 0 on", at);
        0
    }
}

impl Read for u32 {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        bounded(json, Self::MAX.into(), at) as Self
    }
}

impl Read for u16 {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        bounded(json, Self::MAX.into(), at) as Self
    }
}

impl Read for u8 {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        bounded(json, Self::MAX.into(), at) as Self
    }
}

impl Read for String {
    #[inline(never)]
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        if let Some(Json::Text(text)) = json {
            return text.clone().into_owned();
        }
        is_no(json, "text", at);
        Self::new()
    }
}

impl<T: Read> Read for Option<T> {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        match json {
            None | Some(Json::Null) => None,
            json => Some(T::read(json, at)),
        }
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        let items = items(json, at).iter().enumerate();
        items
            .map(|(index, item)| T::read(Some(item), &at.item(index)))
            .collect()
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        let mut map = Self::new();
        read_entries(json, at, |key, value| map.insert(key, value).is_some());
        map
    }
}

impl<T: Read> Read for Map<String, T> {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        let mut map = Self::new();
        read_entries(json, at, |key, value| map.insert(key, value).is_some());
        map
    }
}

/// `insert` says whether there was one of that key: one of the two would be lost without a word.
fn read_entries<T: Read>(json: Option<&Json<'_>>, at: &At<'_>, mut insert: impl FnMut(String, T) -> bool) {
    for (key, value) in fields(json, at) {
        let value = T::read(Some(value), &at.field(key));
        if insert(key.to_string(), value) {
            twice(key, at);
        }
    }
}

fn items<'j>(json: Option<&'j Json<'j>>, at: &At<'_>) -> &'j [Json<'j>] {
    if let Some(Json::List(list)) = json {
        return &list.items;
    }
    is_no(json, "list", at);
    &[]
}

fn fields<'j>(json: Option<&'j Json<'j>>, at: &At<'_>) -> &'j [Field<'j>] {
    if let Some(Json::Object(object)) = json {
        return &object.fields;
    }
    is_no(json, "object", at);
    &[]
}

fn bounded(json: Option<&Json<'_>>, most: u64, at: &At<'_>) -> u64 {
    let number = u64::read(json, at);
    at.ensure(number <= most, format_args!("{number} is more than {most}"));
    number
}
