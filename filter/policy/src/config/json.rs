//! JSON, of which nothing is known yet but that it is JSON.
//!
//! What the filter reads goes through this rather than through what serde derives: each type that serde derives costs the
//! filter some kilobytes, and says of what is wrong neither its place nor what was said twice.

use super::Error;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// A value. Texts without escapes are those of the input.
#[derive(Debug)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Below 0, or with a fraction.
    OtherNumber(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    /// In the order of the input; names may stand there twice.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Something that a configuration is made of.
pub(crate) trait Read: Sized {
    /// # Errors
    /// The first thing that is no such value, and where in it.
    fn read(json: Json<'_>) -> Result<Self, Error>;

    /// What it is where it is not there. None: it has to be there.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reads a type from an object: of each field, how it is taken out of that, by its name there.
macro_rules! object {
    ($type:ident { $($field:ident: $how:ident($($argument:expr),*),)* }) => {
        impl $crate::config::json::Read for $type {
            fn read(
                json: $crate::config::json::Json<'_>,
            ) -> Result<Self, $crate::config::Error> {
                let mut fields = $crate::config::json::Fields::of(json)?;
                let value = Self {
                    $($field: fields.$how($($argument),*)?,)*
                };
                fields.end()?;
                Ok(value)
            }
        }
    };
}
pub(super) use object;

/// What an object has that was not asked for yet.
pub(super) struct Fields<'a> {
    left: Vec<(Cow<'a, str>, Json<'a>)>,
    known: Vec<&'static str>,
}

/// Reads the whole of a text.
///
/// # Errors
/// The first thing that is wrong, and where.
pub(crate) fn parse<T: Read>(text: &[u8]) -> Result<T, Error> {
    T::read(serde_json::from_slice(text).map_err(|error| Error::new(error.to_string()))?)
}

// === impl Json ===

impl Json<'_> {
    /// That it is not what is `wanted`.
    pub(super) fn is_no(&self, wanted: &str) -> Error {
        let found = match self {
            Self::Null => "null".to_owned(),
            Self::Bool(bool) => bool.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::OtherNumber(number) => number.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::List(_) => "a list".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        };
        Error::new(format!("{found} is no {wanted}"))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(bool))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Json::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        // For messages alone.
        #[expect(clippy::cast_precision_loss)]
        Ok(Json::OtherNumber(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Json::OtherNumber(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = fields.next_key::<Json<'de>>()? {
            let Json::Text(name) = name else {
                return Err(de::Error::custom("a name is no text"));
            };
            object.push((name, fields.next_value()?));
        }
        Ok(Json::Object(object))
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) fn of(json: Json<'a>) -> Result<Self, Error> {
        match json {
            Json::Object(left) => Ok(Self {
                left,
                known: Vec::new(),
            }),
            other => Err(other.is_no("object")),
        }
    }

    /// One that has to be there, unless there is a value for where it is not.
    pub(super) fn take<T: Read>(&mut self, name: &'static str) -> Result<T, Error> {
        let value = match self.find(name)? {
            Some(json) => T::read(json).map_err(|error| error.within(name))?,
            None => return T::absent().ok_or_else(|| Error::new(format!("missing field `{name}`"))),
        };
        Ok(value)
    }

    /// One that is that where it is not there.
    pub(super) fn take_or<T: Read>(&mut self, name: &'static str, absent: T) -> Result<T, Error> {
        let read = |json| T::read(json).map_err(|error| error.within(name));
        self.find(name)?.map_or(Ok(absent), read)
    }

    pub(super) fn take_or_default<T: Default + Read>(&mut self, name: &'static str) -> Result<T, Error> {
        self.take_or(name, T::default())
    }

    /// There are no others.
    pub(super) fn end(self) -> Result<(), Error> {
        let Self { left, known } = self;
        let Some((name, _)) = left.first() else {
            return Ok(());
        };
        let known = known.join("`, `");
        Err(Error::new(format!("unknown field; there are `{known}`")).within(name))
    }

    fn find(&mut self, name: &'static str) -> Result<Option<Json<'a>>, Error> {
        self.known.push(name);
        let mut found = self.left.extract_if(.., |(field, _)| field == name);
        let value = found.next().map(|(_, value)| value);
        match found.next() {
            Some(_) => Err(twice(name)),
            None => Ok(value),
        }
    }
}

fn twice(name: &str) -> Error {
    Error::new(format!("{name:?} stands here twice"))
}

// === impl Read ===

impl Read for bool {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        match json {
            Json::Bool(bool) => Ok(bool),
            other => Err(other.is_no("truth value")),
        }
    }
}

impl Read for u64 {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        match json {
            Json::Unsigned(number) => Ok(number),
            other => Err(other.is_no("whole number from 0 on")),
        }
    }
}

impl Read for u32 {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        bounded(json, Self::MAX)
    }
}

impl Read for u16 {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        bounded(json, Self::MAX)
    }
}

impl Read for u8 {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        bounded(json, Self::MAX)
    }
}

impl Read for String {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        match json {
            Json::Text(text) => Ok(text.into_owned()),
            other => Err(other.is_no("text")),
        }
    }
}

impl<T: Read> Read for Option<T> {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        match json {
            Json::Null => Ok(None),
            json => T::read(json).map(Some),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        let Json::List(items) = json else {
            return Err(json.is_no("list"));
        };
        let mut list = Self::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            list.push(T::read(item).map_err(|error| error.within_index(at))?);
        }
        Ok(list)
    }
}

/// None of its keys stands twice: one of the two would be lost without a word.
impl<T: Read> Read for BTreeMap<String, T> {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        let Json::Object(fields) = json else {
            return Err(json.is_no("object"));
        };
        let mut map = Self::new();
        for (key, value) in fields {
            let value = T::read(value).map_err(|error| error.within(&key))?;
            if map.contains_key(&*key) {
                return Err(twice(&key));
            }
            map.insert(key.into_owned(), value);
        }
        Ok(map)
    }
}

fn bounded<T: TryFrom<u64>>(json: Json<'_>, most: impl fmt::Display) -> Result<T, Error> {
    let number = u64::read(json)?;
    T::try_from(number).map_err(|_| Error::new(format!("{number} is more than {most}")))
}
