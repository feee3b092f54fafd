//! JSON to configuration: what is unknown, doubled or missing is refused, with its place.

use super::{Config, Error, Leaf, PlainRoute, Policy, Route, Switch, Target};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, Visitor},
};
use std::{collections::BTreeMap, fmt, marker::PhantomData};

// A `Route`, field by field: serde's `flatten` would let unknown fields through.
/// One prefix of a branch, and what the branch does with it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Route", extend("oneOf" = [
    {"required": ["leaf"]}, {"required": ["switch"]}, {"required": ["unavailable"]}
])))]
pub(super) struct RouteFields {
    /// As the branch sees paths: normalised, inside the mount.
    prefix: String,
    /// Forward the request.
    leaf: Option<Leaf>,
    /// Go on at the switch of this key.
    switch: Option<String>,
    /// Answer 503; this reason goes to the access log alone.
    unavailable: Option<String>,
}

struct UniqueKeys<V>(PhantomData<V>);

// === impl Config ===

impl Config {
    /// A whole configuration, checked.
    ///
    /// # Errors
    /// The first thing that is wrong with it, and where.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let config: Self = parse(json)?;
        config.check()?;
        Ok(config)
    }
}

// === impl Switch ===

impl Switch {
    /// One section, not checked: whoever sends one has.
    ///
    /// # Errors
    /// The first thing that is no [`Switch`], and where.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        parse(json)
    }
}

// === impl PlainRoute ===

impl PlainRoute {
    /// One section, not checked: whoever sends one has.
    ///
    /// # Errors
    /// The first thing that is no [`PlainRoute`], and where.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        parse(json)
    }
}

// === impl Policy ===

impl Policy {
    /// One section, not checked: whoever sends one has.
    ///
    /// # Errors
    /// The first thing that is no [`Policy`], and where.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        parse(json)
    }
}

// === impl Route ===

impl TryFrom<RouteFields> for Route {
    type Error = &'static str;

    fn try_from(fields: RouteFields) -> Result<Self, Self::Error> {
        let RouteFields {
            prefix,
            leaf,
            switch,
            unavailable,
        } = fields;
        let target = match (leaf, switch, unavailable) {
            (Some(leaf), None, None) => Target::Leaf(leaf),
            (None, Some(key), None) => Target::Switch(key),
            (None, None, Some(reason)) => Target::Unavailable(reason),
            _ => return Err("exactly one of `leaf`, `switch` and `unavailable` is needed"),
        };
        Ok(Self { prefix, target })
    }
}

// === impl UniqueKeys ===

impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueKeys<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value()?;
            if map.contains_key(&key) {
                return Err(de::Error::custom(format_args!("{key:?} stands here twice")));
            }
            map.insert(key, value);
        }
        Ok(map)
    }
}

/// A map none of whose keys stands twice: JSON permits it, and one of the two would be lost without a word.
pub(super) fn unique_keys<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(UniqueKeys(PhantomData))
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer)?;
    deserializer
        .end()
        .map_err(|error| Error::new(error.to_string()))?;
    Ok(value)
}
