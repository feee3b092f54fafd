//! The filter's configuration, as people write it and as control sends it.
//!
//! ```json
//! {
//!   "switches": {
//!     "blue-green.bar.com/": {
//!       "root": "default/blue-green-root",
//!       "prefix": "/",
//!       "active": "default/blue",
//!       "standby": ["default/green"],
//!       "branches": {
//!         "default/blue":  [{"prefix": "/", "leaf": {"clusters": [{"name": "blue"}]}}],
//!         "default/green": [{"prefix": "/", "leaf": {"clusters": [{"name": "green"}]}}]
//!       }
//!     }
//!   }
//! }
//! ```
//!
//! An unknown field or a value out of range is refused; the refusal names its place.

mod at;
mod check;
mod error;
mod json;
pub mod policy;
mod read;
#[cfg(feature = "schema")]
mod schema;

pub(crate) use check::is_token;
pub use error::Error;
#[cfg(test)]
pub(crate) use json::parse;
pub use policy::Policy;
#[cfg(feature = "schema")]
pub use schema::schema;

use crate::maps::Map;
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
    /// By key: the name of the Envoy route that the switch is, or for one below another what `switch` says there.
    #[serde(default)]
    pub switches: Map<String, Switch>,
    /// Of Envoy routes that are no switches, and that the filter is on for: by the route's name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub routes: Map<String, PlainRoute>,
    /// By key: what `policies` and `policy` say elsewhere.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub policies: Map<String, Policy>,
}

/// An Envoy route whose requests meet policies, and go where Envoy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlainRoute {
    /// Keys of policies, the outermost first.
    pub policies: Vec<String>,
    /// It has a timeout of its own, which one from above does not replace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_timeout: bool,
    /// It has retries of its own, which those from above do not replace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_retry: bool,
}

/// A prefix, its branches, and the one that is active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switch {
    /// For the access log: the root IngressRoute, `namespace/name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// The path prefix that the switch handles, normalised: whole segments, no trailing `/`.
    pub prefix: String,
    /// What the prefix is to the branches below; the same if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// A key of `branches`.
    pub active: String,
    /// Keys of `branches`.
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
    /// What each branch serves. The longest prefix by whole segments wins; no prefix lies outside the mount.
    pub branches: BTreeMap<String, Vec<Route>>,
}

/// Requests with this header go to the first standby.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preview {
    /// A header name, in lower case.
    pub header: String,
    pub value: String,
}

/// A share of new sessions goes to the first standby.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Canary {
    /// 0 to 100.
    #[cfg_attr(feature = "schema", schemars(range(max = 100)))]
    pub percent: u8,
}

/// A session stays on its branch while that is a branch of the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sticky {
    /// A cookie name.
    pub cookie: String,
    /// Absent: until the browser closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

/// One prefix of a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(try_from = "schema::RouteFields"))]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// As the branch sees paths: normalised, inside the mount.
    pub prefix: String,
    /// Beside `prefix`, as one of the fields `leaf`, `switch`, `unavailable`.
    #[serde(flatten)]
    pub target: Target,
}

/// What a branch does with a prefix.
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

/// Which Envoy route a request is sent on to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leaf {
    /// The value of `x-switchyard-route` that the Envoy route matches. Absent: `forward` where the
    /// path is rewritten, else the one that the request is on already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// One is chosen by weight and set as `x-switchyard-cluster`. None: the route needs no cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<WeightedCluster>,
    /// What replaces the prefix before the request is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    /// The key of its own policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Its route has a timeout of its own, which one from above does not replace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_timeout: bool,
    /// Its route has retries of its own, which those from above do not replace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_retry: bool,
}

/// A cluster and its share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WeightedCluster {
    pub name: String,
    /// Relative to the others of the leaf.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

// serde's skip_serializing_if hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}

#[cfg(test)]
mod tests;
