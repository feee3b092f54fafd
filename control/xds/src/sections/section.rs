//! Switches, plain routes and policies to their sections.

use crate::translate::{HTTPS_REDIRECT, mirror_name, template_name};
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;
use switchyard_core::{
    object::Name,
    table::{self, ClusterName, PolicyKey, SwitchKey, Template},
};
use switchyard_policy::config::{self, policy::Mirror};

/// Why something has no section: what no routing table should hold.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
}

/// The JSON of a switch, read and checked as the filter would.
///
/// # Errors
/// The filter's own refusal.
pub(crate) fn of_switch(switch: &table::Switch) -> Result<Bytes, Refused> {
    let json = json(&to_switch(switch))?;
    config::Switch::from_json(&json)?.check()?;
    Ok(json)
}

/// As [`of_switch`], of a route without one that has policies.
///
/// # Errors
/// The filter's own refusal.
pub(crate) fn of_plain_route(template: &Template, policies: &[PolicyKey]) -> Result<Bytes, Refused> {
    let json = json(&to_plain_route(template, policies))?;
    config::PlainRoute::from_json(&json)?;
    Ok(json)
}

/// As [`of_switch`], of a policy.
///
/// # Errors
/// The filter's own refusal.
pub(crate) fn of_policy(policy: &table::Policy) -> Result<Bytes, Refused> {
    let json = json(&to_policy(policy))?;
    config::Policy::from_json(&json)?.check()?;
    Ok(json)
}

fn json(section: &impl Serialize) -> serde_json::Result<Bytes> {
    serde_json::to_vec(section).map(Bytes::from)
}

fn to_plain_route(template: &Template, policies: &[PolicyKey]) -> config::PlainRoute {
    config::PlainRoute {
        policies: keys(policies),
        own_timeout: template.timeout.is_some(),
        own_retry: template.retry.is_some(),
    }
}

/// The filter's own form, but for the clusters of mirrors, which are others than those that routes lead to.
fn to_policy(policy: &table::Policy) -> config::Policy {
    let mut policy = policy.clone();
    for Mirror { cluster, .. } in &mut policy.mirror {
        *cluster = mirror_name(cluster);
    }
    policy
}

fn keys(policies: &[PolicyKey]) -> Vec<String> {
    policies.iter().map(|PolicyKey(key)| key.to_string()).collect()
}

fn to_switch(switch: &table::Switch) -> config::Switch {
    let table::Switch {
        root: _,
        owner: _,
        prefix,
        mount,
        active,
        standby,
        preview: _,
        canary: _,
        sticky,
        policies,
        branches,
    } = switch;
    config::Switch {
        // Every virtual host says it in its metadata.
        root: String::new(),
        prefix: prefix.to_string(),
        mount: (mount != prefix).then(|| mount.to_string()),
        active: full_name(active),
        standby: standby.iter().map(full_name).collect(),
        // One whose branch is active has no effect, and no share in the section.
        preview: switch.preview_in_effect().map(to_preview),
        canary: switch.canary_in_effect().map(to_canary),
        sticky: sticky.as_ref().map(to_sticky),
        policies: keys(policies),
        branches: branches
            .iter()
            .map(|(name, branch)| (full_name(name), to_routes(branch)))
            .collect(),
    }
}

fn to_preview(preview: &table::Preview) -> config::Preview {
    let table::Preview {
        header,
        value,
        branch,
    } = preview;
    config::Preview {
        header: header.to_string(),
        value: value.to_string(),
        branch: Some(full_name(branch)),
    }
}

fn to_canary(table::Canary { percent, branch }: &table::Canary) -> config::Canary {
    config::Canary {
        percent: *percent,
        branch: Some(full_name(branch)),
    }
}

fn to_sticky(table::Sticky { cookie, ttl_seconds }: &table::Sticky) -> config::Sticky {
    config::Sticky {
        cookie: cookie.to_string(),
        ttl_seconds: *ttl_seconds,
    }
}

fn to_routes(table::Branch { routes }: &table::Branch) -> Vec<config::Route> {
    routes.iter().map(to_route).collect()
}

fn to_route((prefix, target): (&Arc<str>, &table::Target)) -> config::Route {
    config::Route {
        prefix: prefix.to_string(),
        target: to_target(target),
    }
}

fn to_target(target: &table::Target) -> config::Target {
    match target {
        table::Target::Leaf(leaf) => to_leaf(leaf),
        table::Target::Switch(SwitchKey(key)) => config::Target::Switch(key.to_string()),
        table::Target::HttpsRedirect => config::Target::Leaf(config::Leaf {
            route: Some(HTTPS_REDIRECT.to_owned()),
            clusters: vec![],
            rewrite: None,
            policy: None,
            own_timeout: false,
            own_retry: false,
        }),
        // A reason may quote what a tenant wrote, and the filter refuses control characters.
        table::Target::Unavailable(reason) => {
            config::Target::Unavailable(reason.replace(char::is_control, "\u{fffd}"))
        }
    }
}

fn to_leaf(leaf: &table::Leaf) -> config::Target {
    let table::Leaf {
        template,
        clusters,
        rewrite,
        policy,
    } = leaf;
    if clusters.is_empty() {
        return config::Target::Unavailable("no service".to_owned());
    }
    config::Target::Leaf(config::Leaf {
        route: (*template != Template::default()).then(|| template_name(template)),
        clusters: clusters.iter().map(to_weighted_cluster).collect(),
        rewrite: rewrite.as_ref().map(ToString::to_string),
        policy: policy.as_ref().map(|PolicyKey(key)| key.to_string()),
        own_timeout: template.timeout.is_some(),
        own_retry: template.retry.is_some(),
    })
}

fn to_weighted_cluster(cluster: &table::WeightedCluster) -> config::WeightedCluster {
    let table::WeightedCluster {
        cluster: ClusterName(name),
        weight,
    } = cluster;
    config::WeightedCluster {
        name: name.to_string(),
        weight: *weight,
    }
}

fn full_name(Name { namespace, name }: &Name) -> String {
    format!("{namespace}/{name}")
}
