//! Checks of a configuration beyond its types.

mod policy;

use super::{
    Canary, Config, Error, Leaf, Policy, Preview, Route, Sticky, Switch, Target, WeightedCluster,
    field_path::FieldPath,
};
use crate::{
    header::{Use, is_token, permits},
    path,
};
use std::collections::{BTreeMap, BTreeSet};

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
        check_text(key, &at)?;
        check_switch(switch, &at)?;
        check_below(switches, switch, &at)?;
        check_switch_policies(policies, switch, &at)?;
    }
    for (key, route) in routes.iter() {
        let at = at.field("routes");
        let at = at.field(key);
        check_text(key, &at)?;
        check_policies(policies, &route.policies, &at)?;
    }
    for (key, policy) in policies.iter() {
        let at = at.field("policies");
        let at = at.field(key);
        check_text(key, &at)?;
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
    check_text(root, &at.field("root"))?;
    check_prefix(prefix, &at.field("prefix"))?;
    if let Some(mount) = mount {
        let at = at.field("mount");
        check_prefix(mount, &at)?;
        check_outgoing(mount, &at)?;
    }
    check_names(active, standby, branches, at)?;
    let named = (active.as_str(), standby.as_slice());
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

fn check_preview(preview: &Preview, named: (&str, &[String]), at: &FieldPath<'_>) -> Result<(), Error> {
    let Preview {
        header,
        value,
        branch,
    } = preview;
    check_choice(branch.as_deref(), named, at)?;
    check_header(header, &[Use::Read], &at.field("header"))?;
    check_text(value, &at.field("value"))
}

fn check_canary(
    Canary { percent, branch }: &Canary,
    named: (&str, &[String]),
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    check_choice(branch.as_deref(), named, at)?;
    check_percent(*percent, &at.field("percent"))
}

fn check_percent(percent: u8, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(percent <= 100, format_args!("{percent} is more than 100"))
}

/// Checks the branch of a preview or a canary.
fn check_choice(
    branch: Option<&str>,
    (active, standby): (&str, &[String]),
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
        .ensure(is_token(cookie), format_args!("{cookie:?} is no cookie name"))?;
    at.field("ttlSeconds").ensure(
        *ttl_seconds != Some(0),
        format_args!("0 would end each session at once"),
    )
}

fn check_branch(name: &str, routes: &[Route], mount: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    check_text(name, at)?;
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
        Target::Switch(key) => check_text(key, &at.field("switch")),
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
        check_name(route, &at.field("route"))?;
    }
    check_each(
        clusters,
        "clusters",
        at,
        |WeightedCluster { name, weight: _ }, at| check_name(name, &at.field("name")),
    )?;
    let all_zero = !clusters.is_empty() && clusters.iter().all(|cluster| cluster.weight == 0);
    at.field("clusters")
        .ensure(!all_zero, format_args!("every weight is 0"))?;
    if let Some(rewrite) = rewrite {
        check_outgoing(rewrite, &at.field("rewrite"))?;
    }
    Ok(())
}

fn check_prefix(prefix: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(
        path::is_normalised(prefix),
        format_args!(
            "{prefix:?} is no normalised prefix: it starts with `/`, has no empty segment and no `/` at its end"
        ),
    )
}

/// Checks a path that replaces a prefix of a request's path, as the filter does for a switch.
///
/// # Errors
/// The reason that the filter would reject it.
pub fn check_rewrite(path: &str) -> Result<(), Error> {
    check_outgoing(path, &FieldPath::ROOT)
}

/// Checks a path that replaces another: the proxy does not normalise it again, so it has to be plain.
fn check_outgoing(path: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(
        path::is_outgoing(path),
        format_args!(
            "{path:?} is no plain path: it starts with `/`, and has no `..`, `//`, `?`, `#`, encoded slash or space"
        ),
    )
}

/// Checks the value of a header that routing depends on.
fn check_name(name: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(!name.is_empty(), format_args!("is empty"))?;
    check_text(name, at)
}

/// Checks a text that becomes a header's value or part of a log.
fn check_text(text: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(
        !text.contains(char::is_control),
        format_args!("{text:?} holds a control character"),
    )
}

fn check_header_name(name: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    let is_name = is_token(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    at.ensure(is_name, format_args!("{name:?} is no header name in lower case"))
}

/// Checks that the name of a header permits these uses.
fn check_header(name: &str, uses: &[Use], at: &FieldPath<'_>) -> Result<(), Error> {
    check_header_name(name, at)?;
    let is_permitted = uses.iter().all(|wanted| permits(name, *wanted));
    at.ensure(is_permitted, format_args!("{name:?} is the proxy's own to say"))
}

fn check_each<T>(
    list: &[T],
    field: &str,
    at: &FieldPath<'_>,
    check: impl Fn(&T, &FieldPath<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let at = at.field(field);
    for (index, item) in list.iter().enumerate() {
        check(item, &at.item(index))?;
    }
    Ok(())
}
