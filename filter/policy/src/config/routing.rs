//! Switches, plain routes and their branches.

use super::{error::Error, parse::parse, policy::Policy};
use crate::json::unique_keys;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(title = "Switchyard filter")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Tell clients which branch answered, in the response header `x-switchyard-branch`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expose_branch: bool,
    /// Switches by key: the name of the Envoy route, or for a switch below another the key in its `switch` field.
    #[serde(default, deserialize_with = "unique_keys")]
    pub switches: BTreeMap<String, Switch>,
    /// Plain Envoy routes, without a switch, that the filter is enabled for, by the route's name.
    #[serde(
        default,
        deserialize_with = "unique_keys",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub routes: BTreeMap<String, PlainRoute>,
    /// Policies by the key that `policies` and `policy` name them by.
    #[serde(
        default,
        deserialize_with = "unique_keys",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub policies: BTreeMap<String, Policy>,
}

/// An Envoy route with policies, whose requests go where Envoy routes them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlainRoute {
    /// Keys of policies, the outermost first.
    pub policies: Vec<String>,
    /// True if the route has a timeout of its own, which one from above does not replace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_timeout: bool,
    /// True if the route has retries of its own, which those from above do not replace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_retry: bool,
}

/// A switch: a prefix, its branches, and the active one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switch {
    /// For the access log: the root IngressRoute, `namespace/name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// The path prefix that the switch handles, normalised: whole segments, no trailing `/`.
    pub prefix: String,
    /// The prefix as the branches below see it; the same if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// A key of `branches`.
    pub active: String,
    /// Keys of `branches`. The active one may be among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Keys of policies that requests meet before a branch is chosen, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Routes by branch. The longest prefix by whole segments wins; no prefix lies outside the mount.
    #[serde(deserialize_with = "unique_keys")]
    pub branches: BTreeMap<String, Vec<Route>>,
}

/// A preview: requests with this header go to a branch, unless it is the active one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preview {
    /// A header name, in lower case.
    pub header: String,
    pub value: String,
    /// The active branch or one of `standby`; if absent, the first standby that is not active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// A canary: a share of new sessions goes to a branch, unless it is the active one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Canary {
    /// 0 to 100.
    #[cfg_attr(feature = "schema", schemars(range(max = 100)))]
    pub percent: u8,
    /// The active branch or one of `standby`; if absent, the first standby that is not active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// Sticky sessions: a session stays on its branch while that is a branch of the switch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sticky {
    /// A cookie name.
    pub cookie: String,
    /// The lifetime of a session; if absent, it ends when the browser closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

/// One prefix of a branch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", try_from = "RouteFields")]
pub struct Route {
    /// The path prefix as the branch sees it: normalised, inside the mount.
    pub prefix: String,
    /// The action for the prefix: one of the fields `leaf`, `switch`, `unavailable`.
    #[serde(flatten)]
    pub target: Target,
}

// A `Route`, field by field: serde does not tell the path of a field inside a flattened one.
/// One prefix of a branch, and what the branch does with it.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "Route", extend("oneOf" = [
        {"required": ["leaf"]}, {"required": ["switch"]}, {"required": ["unavailable"]}
    ]))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RouteFields {
    /// The path prefix as the branch sees it: normalised, inside the mount.
    prefix: String,
    /// Forward the request.
    leaf: Option<Leaf>,
    /// Go on at the switch of this key.
    switch: Option<String>,
    /// Answer 503; this reason goes to the access log alone.
    unavailable: Option<String>,
}

/// The action of a branch for a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// Forward the request.
    Leaf(Leaf),
    /// Go on at this switch.
    Switch(String),
    /// Answer 503; the reason goes to the access log alone.
    Unavailable(String),
}

/// The Envoy route that a request is forwarded to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leaf {
    /// The value of `x-switchyard-route` that the Envoy route matches. If absent, `forward` if the path is rewritten,
    /// else the route that the request is on already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Clusters, of which one is chosen by weight and set as `x-switchyard-cluster`; empty if the route needs no
    /// cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<WeightedCluster>,
    /// The replacement of the prefix in the path that is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    /// The key of the leaf's own policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// True if the leaf's route has a timeout of its own, which one from above does not replace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_timeout: bool,
    /// True if the leaf's route has retries of its own, which those from above do not replace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_retry: bool,
}

/// A cluster and its share.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WeightedCluster {
    pub name: String,
    /// The weight relative to the other clusters of the leaf.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
}

// === impl Config ===

impl Config {
    /// Parses a whole configuration and checks it.
    ///
    /// # Errors
    /// The first error, with the path of its field.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let config: Self = parse(json)?;
        config.check()?;
        Ok(config)
    }
}

// === impl PlainRoute ===

impl PlainRoute {
    /// Parses one section without checks: the sender has checked it.
    ///
    /// # Errors
    /// The first error, with the path of its field.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        parse(json)
    }
}

// === impl Policy ===

impl Policy {
    /// Parses one section without checks: the sender has checked it.
    ///
    /// # Errors
    /// The first error, with the path of its field.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        parse(json)
    }
}

// === impl Switch ===

impl Switch {
    /// Parses one section without checks: the sender has checked it.
    ///
    /// # Errors
    /// The first error, with the path of its field.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        parse(json)
    }
}

// === impl Route ===

impl TryFrom<RouteFields> for Route {
    type Error = &'static str;

    fn try_from(fields: RouteFields) -> Result<Self, &'static str> {
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

fn one() -> u32 {
    1
}

// serde's skip_serializing_if hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}
