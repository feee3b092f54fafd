//! Checks of a configuration beyond its types.

pub(super) mod fields;
mod policy;

use self::fields::{check_each, check_lower_header, check_outgoing, check_prefix};
use super::{
    Canary, Config, Error, Leaf, Policy, Preview, Route, Sticky, Switch, Target, WeightedCluster,
    field_path::FieldPath,
    value::{PERCENT, ValueError, check_name, check_range, check_text, check_token},
};
use crate::{header::Use, path};
use std::collections::{BTreeMap, BTreeSet};

/// The branches that a preview or a canary may name.
#[derive(Clone, Copy)]
struct Named<'a> {
    active: &'a str,
    standby: &'a [String],
}

// === impl Config ===

impl Config {
    /// Checks every switch and policy, that those which a switch names exist, and that no switch leads back to itself.
    /// Other errors of a policy are found when it is prepared.
    ///
    /// # Errors
    /// The first error, with its path.
    pub fn check(&self) -> Result<(), Error> {
        check_config(self, &FieldPath::ROOT)
    }
}

// === impl Switch ===

impl Switch {
    /// Checks one switch by itself, without the existence of the switches that it names.
    ///
    /// # Errors
    /// The first error, with its path.
    pub fn check(&self) -> Result<(), Error> {
        check_switch(self, &FieldPath::ROOT)
    }

    /// The switches that this one names, with their branch and the index of the route.
    fn below(&self) -> impl Iterator<Item = (&str, usize, &str)> {
        self.branches.iter().flat_map(|(branch, routes)| {
            let keys = routes.iter().enumerate();
            keys.filter_map(move |(at, route)| match &route.target {
                Target::Switch(key) => Some((branch.as_str(), at, key.as_str())),
                Target::Leaf(_) | Target::Unavailable(_) => None,
            })
        })
    }
}

fn check_config(config: &Config, at: &FieldPath<'_>) -> Result<(), Error> {
    let Config {
        expose_branch: _,
        switches,
        routes,
        policies,
    } = config;
    let in_switches = at.field("switches");
    for (key, switch) in switches.iter() {
        let at = in_switches.field(key);
        at.check(check_text(key))?;
        check_switch(switch, &at)?;
        check_below(switches, switch, &at)?;
        check_switch_policies(policies, switch, &at)?;
    }
    for (key, route) in routes.iter() {
        let at = at.field("routes");
        let at = at.field(key);
        at.check(check_text(key))?;
        check_policies(policies, &route.policies, &at)?;
    }
    for (key, policy) in policies.iter() {
        let at = at.field("policies");
        let at = at.field(key);
        at.check(check_text(key))?;
        policy::check_policy(policy, &at)?;
    }
    check_acyclic(switches, &in_switches)
}

fn check_switch(switch: &Switch, at: &FieldPath<'_>) -> Result<(), Error> {
    let Switch {
        root,
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
    at.field("root").check(check_text(root))?;
    check_prefix(prefix, &at.field("prefix"))?;
    if let Some(mount) = mount {
        let at = at.field("mount");
        check_prefix(mount, &at)?;
        check_outgoing(mount, &at)?;
    }
    check_names(active, standby, branches, at)?;
    let named = Named { active, standby };
    if let Some(preview) = preview {
        check_preview(preview, named, &at.field("preview"))?;
    }
    if let Some(canary) = canary {
        check_canary(canary, named, &at.field("canary"))?;
    }
    if let Some(sticky) = sticky {
        check_sticky(sticky, &at.field("sticky"))?;
    }
    let mount = mount.as_ref().unwrap_or(prefix);
    let at = at.field("branches");
    for (name, routes) in branches {
        check_branch(name, routes, mount, &at.field(name))?;
    }
    Ok(())
}

fn check_below(
    switches: &BTreeMap<String, Switch>,
    switch: &Switch,
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    let at = at.field("branches");
    for (branch, index, below) in switch.below() {
        let at = at.field(branch);
        let at = at.item(index);
        at.field("switch").ensure(
            switches.contains_key(below),
            format_args!("{below:?} is no key of switches"),
        )?;
    }
    Ok(())
}

fn check_switch_policies(
    policies: &BTreeMap<String, Policy>,
    switch: &Switch,
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    check_policies(policies, &switch.policies, at)?;
    let at = at.field("branches");
    for (branch, routes) in &switch.branches {
        let at = at.field(branch);
        for (index, route) in routes.iter().enumerate() {
            if let Target::Leaf(Leaf {
                policy: Some(policy), ..
            }) = &route.target
            {
                let at = at.item(index);
                let at = at.field("leaf");
                check_policy_key(policies, policy, &at.field("policy"))?;
            }
        }
    }
    Ok(())
}

fn check_policies(
    policies: &BTreeMap<String, Policy>,
    named: &[String],
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    check_each(named, "policies", at, |key, at| {
        check_policy_key(policies, key, at)
    })
}

fn check_policy_key(policies: &BTreeMap<String, Policy>, key: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(
        policies.contains_key(key),
        format_args!("{key:?} is no key of policies"),
    )
}

/// Removes switches that no other names until none is left to remove; the remaining ones lead to a cycle.
fn check_acyclic(switches: &BTreeMap<String, Switch>, at: &FieldPath<'_>) -> Result<(), Error> {
    let mut named: BTreeMap<&str, usize> = switches.keys().map(|key| (key.as_str(), 0)).collect();
    for (_, _, key) in switches.values().flat_map(Switch::below) {
        if let Some(count) = named.get_mut(key) {
            *count += 1;
        }
    }
    let mut free: Vec<&str> = named
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(key, _)| *key)
        .collect();
    while let Some(key) = free.pop() {
        named.remove(key);
        for (_, _, below) in switches.get(key).into_iter().flat_map(Switch::below) {
            if let Some(count) = named.get_mut(below) {
                *count -= 1;
                free.extend((*count == 0).then_some(below));
            }
        }
    }
    match named.keys().next() {
        None => Ok(()),
        Some(key) => Err(at.field(key).error(format_args!(
            "leads back to itself, or is below a switch that does"
        ))),
    }
}

fn check_names(
    active: &str,
    standby: &[String],
    branches: &BTreeMap<String, Vec<Route>>,
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    let known = |name: &str, at: &FieldPath<'_>| {
        at.ensure(
            branches.contains_key(name),
            format_args!("{name:?} is no key of branches"),
        )
    };
    known(active, &at.field("active"))?;
    check_each(standby, "standby", at, |name, at| known(name, at))
}

fn check_preview(preview: &Preview, named: Named<'_>, at: &FieldPath<'_>) -> Result<(), Error> {
    let Preview {
        header,
        value,
        branch,
    } = preview;
    check_choice(branch.as_deref(), named, at)?;
    check_lower_header(header, &[Use::Read], &at.field("header"))?;
    at.field("value").check(check_text(value))
}

fn check_canary(
    Canary { percent, branch }: &Canary,
    named: Named<'_>,
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    check_choice(branch.as_deref(), named, at)?;
    at.field("percent").check(check_range((*percent).into(), PERCENT))
}

/// Checks the branch of a preview or a canary.
fn check_choice(
    branch: Option<&str>,
    Named { active, standby }: Named<'_>,
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    match branch {
        Some(branch) => at.field("branch").ensure(
            branch == active || standby.iter().any(|name| name == branch),
            format_args!("{branch:?} is neither active nor in standby"),
        ),
        None => at.ensure(!standby.is_empty(), format_args!("needs a standby")),
    }
}

fn check_sticky(Sticky { cookie, ttl_seconds }: &Sticky, at: &FieldPath<'_>) -> Result<(), Error> {
    at.field("cookie")
        .check(check_token(cookie, ValueError::Cookie))?;
    at.field("ttlSeconds").ensure(
        *ttl_seconds != Some(0),
        format_args!("0 would end each session at once"),
    )
}

fn check_branch(name: &str, routes: &[Route], mount: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    at.check(check_text(name))?;
    let mut prefixes = BTreeSet::new();
    for (index, route) in routes.iter().enumerate() {
        let at = at.item(index);
        check_route(route, mount, &at)?;
        at.field("prefix").ensure(
            prefixes.insert(&route.prefix),
            format_args!("{:?} stands here twice", route.prefix),
        )?;
    }
    Ok(())
}

fn check_route(Route { prefix, target }: &Route, mount: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    let in_prefix = at.field("prefix");
    check_prefix(prefix, &in_prefix)?;
    in_prefix.ensure(
        path::contains(mount, prefix),
        format_args!("{prefix:?} lies outside {mount:?}"),
    )?;
    match target {
        Target::Leaf(leaf) => check_leaf(leaf, &at.field("leaf")),
        Target::Switch(key) => at.field("switch").check(check_text(key)),
        Target::Unavailable(_) => Ok(()),
    }
}

fn check_leaf(leaf: &Leaf, at: &FieldPath<'_>) -> Result<(), Error> {
    let Leaf {
        route,
        clusters,
        rewrite,
        policy: _,
        own_timeout: _,
        own_retry: _,
    } = leaf;
    if let Some(route) = route {
        at.field("route").check(check_name(route))?;
    }
    check_each(
        clusters,
        "clusters",
        at,
        |WeightedCluster { name, weight: _ }, at| at.field("name").check(check_name(name)),
    )?;
    let all_zero = !clusters.is_empty() && clusters.iter().all(|cluster| cluster.weight == 0);
    at.field("clusters")
        .ensure(!all_zero, format_args!("every weight is 0"))?;
    if let Some(rewrite) = rewrite {
        check_outgoing(rewrite, &at.field("rewrite"))?;
    }
    Ok(())
}
