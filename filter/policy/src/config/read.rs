//! JSON to configuration: what is unknown, doubled or missing is refused, with its place.

mod policy;

use super::{
    Canary, Config, Error, Leaf, PlainRoute, Policy, Preview, Route, Sticky, Switch, Target, WeightedCluster,
    at::At,
    json::{Fields, Read, object, parse},
};
use crate::json::Json;

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

object!(Config {
    expose_branch: take_or_default("exposeBranch"),
    switches: take_or_default("switches"),
    routes: take_or_default("routes"),
    policies: take_or_default("policies"),
});

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

object!(PlainRoute {
    policies: take("policies"),
    own_timeout: take_or_default("ownTimeout"),
    own_retry: take_or_default("ownRetry"),
});

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

object!(Switch {
    root: take_or_default("root"),
    prefix: take("prefix"),
    mount: take("mount"),
    active: take("active"),
    standby: take_or_default("standby"),
    preview: take("preview"),
    canary: take("canary"),
    sticky: take("sticky"),
    policies: take_or_default("policies"),
    branches: take("branches"),
});

// === impl Preview ===

object!(Preview {
    header: take("header"),
    value: take("value"),
});

// === impl Canary ===

object!(Canary {
    percent: take("percent"),
});

// === impl Sticky ===

object!(Sticky {
    cookie: take("cookie"),
    ttl_seconds: take("ttlSeconds"),
});

// === impl Route ===

impl Read for Route {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        let mut fields = Fields::of(json, at);
        let prefix = fields.take("prefix");
        let targets: (Option<_>, Option<_>, Option<_>) = (
            fields.take("leaf"),
            fields.take("switch"),
            fields.take("unavailable"),
        );
        fields.end();
        let target = match targets {
            (Some(leaf), None, None) => Target::Leaf(leaf),
            (None, Some(key), None) => Target::Switch(key),
            (None, None, Some(reason)) => Target::Unavailable(reason),
            _ => {
                at.note(format_args!(
                    "exactly one of `leaf`, `switch` and `unavailable` is needed"
                ));
                Target::Unavailable(String::new())
            }
        };
        Self { prefix, target }
    }
}

// === impl Leaf ===

object!(Leaf {
    route: take("route"),
    clusters: take_or_default("clusters"),
    rewrite: take("rewrite"),
    policy: take("policy"),
    own_timeout: take_or_default("ownTimeout"),
    own_retry: take_or_default("ownRetry"),
});

// === impl WeightedCluster ===

object!(WeightedCluster {
    name: take("name"),
    weight: take_or("weight", super::one()),
});
