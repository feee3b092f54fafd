//! A switch to its section.

use crate::translate::{HTTPS_REDIRECT, template_name};
use bytes::Bytes;
use std::sync::Arc;
use switchyard_core::{
    object::Name,
    table::{self, ClusterName, SwitchKey, Template},
};
use switchyard_policy::config;

/// Why a switch has no section: what no routing table should hold.
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
pub(crate) fn section(switch: &table::Switch) -> Result<Bytes, Refused> {
    let json = serde_json::to_vec(&to_switch(switch))?;
    config::Switch::from_json(&json)?.check()?;
    Ok(json.into())
}

fn to_switch(switch: &table::Switch) -> config::Switch {
    let table::Switch {
        root: _,
        owner: _,
        prefix,
        mount,
        active,
        standby,
        preview,
        canary,
        sticky,
        policies: _,
        branches,
    } = switch;
    config::Switch {
        // Every virtual host says it in its metadata.
        root: String::new(),
        prefix: prefix.to_string(),
        mount: (mount != prefix).then(|| mount.to_string()),
        active: full_name(active),
        standby: standby.iter().map(full_name).collect(),
        preview: preview.as_ref().map(to_preview),
        canary: (*canary > 0).then_some(config::Canary { percent: *canary }),
        sticky: sticky.as_ref().map(to_sticky),
        policies: vec![],
        branches: branches
            .iter()
            .map(|(name, branch)| (full_name(name), to_routes(branch)))
            .collect(),
    }
}

fn to_preview(table::Preview { header, value }: &table::Preview) -> config::Preview {
    config::Preview {
        header: header.to_string(),
        value: value.to_string(),
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
        table::Target::Unavailable(reason) => config::Target::Unavailable(reason.to_string()),
    }
}

fn to_leaf(leaf: &table::Leaf) -> config::Target {
    let table::Leaf {
        template,
        clusters,
        rewrite,
        policy: _,
    } = leaf;
    if clusters.is_empty() {
        return config::Target::Unavailable("no service".to_owned());
    }
    config::Target::Leaf(config::Leaf {
        route: (*template != Template::default()).then(|| template_name(template)),
        clusters: clusters.iter().map(to_weighted_cluster).collect(),
        rewrite: rewrite.as_ref().map(ToString::to_string),
        policy: None,
        own_timeout: false,
        own_retry: false,
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
