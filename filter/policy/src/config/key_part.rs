//! Parts of keys from JSON: a text, or an object with one field.

use super::policy::{KeyPart, PrefixLengths};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::fmt;

// serde's untagged enums do not tell the path of a field.
struct KeyPartVisitor;

/// A [`KeyPart`] that is an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum KeyPartObject {
    #[serde(rename = "clientIP")]
    ClientIp(PrefixLengths),
    Header(String),
    Cookie(String),
    Claim(String),
}

// === impl KeyPart ===

impl<'de> Deserialize<'de> for KeyPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyPartVisitor)
    }
}

// === impl KeyPartVisitor ===

impl<'de> Visitor<'de> for KeyPartVisitor {
    type Value = KeyPart;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of a key")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<KeyPart, E> {
        match name {
            "clientIP" => Ok(KeyPart::ClientIp),
            "path" => Ok(KeyPart::Path),
            "method" => Ok(KeyPart::Method),
            _ => Err(E::unknown_variant(name, &["clientIP", "path", "method"])),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KeyPart, A::Error> {
        let part = KeyPartObject::deserialize(MapAccessDeserializer::new(map))?;
        Ok(match part {
            KeyPartObject::ClientIp(lengths) => KeyPart::of_client(lengths),
            KeyPartObject::Header(name) => KeyPart::Header(name),
            KeyPartObject::Cookie(name) => KeyPart::Cookie(name),
            KeyPartObject::Claim(name) => KeyPart::Claim(name),
        })
    }
}
