//! What the types of a configuration do not say by themselves.

mod policy;

use super::{
    Canary, Config, Error, Leaf, Policy, Preview, Route, Sticky, Switch, Target, WeightedCluster,
    at::{At, look},
};
use crate::{maps::Map, path};
use std::collections::BTreeMap;

// === impl Config ===

impl Config {
    /// Checks every switch and policy, that those which one names below it are there, and that none leads back to itself.
    /// What else keeps a policy from being made ready is found when it is.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn check(&self) -> Result<(), Error> {
        look(|at| check_config(self, at))
    }
}

// === impl Switch ===

impl Switch {
    /// Checks all that one switch alone can be wrong in. Whether the switches that it names exist is not.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn check(&self) -> Result<(), Error> {
        look(|at| check_switch(self, at))
    }

    /// The switches that this one names, with where.
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

fn check_config(config: &Config, at: &At<'_>) {
    let Config {
        expose_branch: _,
        switches,
        routes,
        policies,
    } = config;
    let in_switches = at.field("switches");
    for (key, switch) in switches.iter() {
        let at = in_switches.field(key);
        check_text(key, &at);
        check_switch(switch, &at);
        check_below(switches, switch, &at);
        check_switch_policies(policies, switch, &at);
    }
    for (key, route) in routes.iter() {
        let at = at.field("routes");
        let at = at.field(key);
        check_text(key, &at);
        check_policies(policies, &route.policies, &at);
    }
    for (key, policy) in policies.iter() {
        let at = at.field("policies");
        let at = at.field(key);
        check_text(key, &at);
        policy::check_policy(policy, &at);
    }
    check_acyclic(switches, &in_switches);
}

fn check_switch(switch: &Switch, at: &At<'_>) {
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
    check_text(root, &at.field("root"));
    check_prefix(prefix, &at.field("prefix"));
    if let Some(mount) = mount {
        let at = at.field("mount");
        check_prefix(mount, &at);
        check_outgoing(mount, &at);
    }
    check_names(active, standby, branches, at);
    let has_standby = !standby.is_empty();
    if let Some(preview) = preview {
        check_preview(preview, has_standby, &at.field("preview"));
    }
    if let Some(canary) = canary {
        check_canary(canary, has_standby, &at.field("canary"));
    }
    if let Some(sticky) = sticky {
        check_sticky(sticky, &at.field("sticky"));
    }
    let mount = mount.as_ref().unwrap_or(prefix);
    let at = at.field("branches");
    for (name, routes) in branches {
        check_branch(name, routes, mount, &at.field(name));
    }
}

fn check_below(switches: &Map<String, Switch>, switch: &Switch, at: &At<'_>) {
    let at = at.field("branches");
    for (branch, index, below) in switch.below() {
        let at = at.field(branch);
        let at = at.item(index);
        at.field("switch").ensure(
            switches.contains_key(below),
            format_args!("{below:?} is no key of switches"),
        );
    }
}

fn check_switch_policies(policies: &Map<String, Policy>, switch: &Switch, at: &At<'_>) {
    check_policies(policies, &switch.policies, at);
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
                check_policy_key(policies, policy, &at.field("policy"));
            }
        }
    }
}

fn check_policies(policies: &Map<String, Policy>, named: &[String], at: &At<'_>) {
    check_each(named, "policies", at, |key, at| {
        check_policy_key(policies, key, at)
    });
}

fn check_policy_key(policies: &Map<String, Policy>, key: &str, at: &At<'_>) {
    at.ensure(
        policies.contains_key(key),
        format_args!("{key:?} is no key of policies"),
    );
}

/// Takes away, again and again, a switch that none of the others names: what cannot be taken leads to a cycle.
fn check_acyclic(switches: &Map<String, Switch>, at: &At<'_>) {
    let mut named: Map<&str, usize> = switches.keys().map(|key| (key.as_str(), 0)).collect();
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
    if let Some(key) = named.keys().next() {
        at.field(key).note(format_args!(
            "leads back to itself, or is below a switch that does"
        ));
    }
}

fn check_names(active: &str, standby: &[String], branches: &BTreeMap<String, Vec<Route>>, at: &At<'_>) {
    let known = |name: &str, at: &At<'_>| {
        at.ensure(
            branches.contains_key(name),
            format_args!("{name:?} is no key of branches"),
        );
    };
    known(active, &at.field("active"));
    check_each(standby, "standby", at, |name, at| known(name, at));
}

fn check_preview(Preview { header, value }: &Preview, has_standby: bool, at: &At<'_>) {
    check_standby(has_standby, at);
    check_header_name(header, &at.field("header"));
    check_text(value, &at.field("value"));
}

fn check_canary(Canary { percent }: &Canary, has_standby: bool, at: &At<'_>) {
    check_standby(has_standby, at);
    check_percent(*percent, &at.field("percent"));
}

fn check_percent(percent: u8, at: &At<'_>) {
    at.ensure(percent <= 100, format_args!("{percent} is more than 100"));
}

fn check_standby(has_standby: bool, at: &At<'_>) {
    at.ensure(has_standby, format_args!("needs a standby"));
}

fn check_sticky(Sticky { cookie, ttl_seconds }: &Sticky, at: &At<'_>) {
    at.field("cookie")
        .ensure(is_token(cookie), format_args!("{cookie:?} is no cookie name"));
    at.field("ttlSeconds").ensure(
        *ttl_seconds != Some(0),
        format_args!("0 would end each session at once"),
    );
}

fn check_branch(name: &str, routes: &[Route], mount: &str, at: &At<'_>) {
    check_text(name, at);
    let mut prefixes = Map::new();
    for (index, route) in routes.iter().enumerate() {
        let at = at.item(index);
        check_route(route, mount, &at);
        at.field("prefix").ensure(
            prefixes.insert(&route.prefix, ()).is_none(),
            format_args!("{:?} stands here twice", route.prefix),
        );
    }
}

fn check_route(Route { prefix, target }: &Route, mount: &str, at: &At<'_>) {
    let in_prefix = at.field("prefix");
    check_prefix(prefix, &in_prefix);
    in_prefix.ensure(
        path::contains(mount, prefix),
        format_args!("{prefix:?} lies outside {mount:?}"),
    );
    match target {
        Target::Leaf(leaf) => check_leaf(leaf, &at.field("leaf")),
        Target::Switch(key) => check_text(key, &at.field("switch")),
        Target::Unavailable(_) => {}
    }
}

fn check_leaf(leaf: &Leaf, at: &At<'_>) {
    let Leaf {
        route,
        clusters,
        rewrite,
        policy: _,
        own_timeout: _,
        own_retry: _,
    } = leaf;
    if let Some(route) = route {
        check_name(route, &at.field("route"));
    }
    check_each(
        clusters,
        "clusters",
        at,
        |WeightedCluster { name, weight: _ }, at| {
            check_name(name, &at.field("name"));
        },
    );
    let all_zero = !clusters.is_empty() && clusters.iter().all(|cluster| cluster.weight == 0);
    at.field("clusters")
        .ensure(!all_zero, format_args!("every weight is 0"));
    if let Some(rewrite) = rewrite {
        check_outgoing(rewrite, &at.field("rewrite"));
    }
}

fn check_prefix(prefix: &str, at: &At<'_>) {
    at.ensure(
        path::is_normalised(prefix),
        format_args!(
            "{prefix:?} is no normalised prefix: it starts with `/`, has no empty segment and no `/` at its end"
        ),
    );
}

/// Of a path that takes the place of another: the proxy does not normalise it again, so it has to be plain.
fn check_outgoing(path: &str, at: &At<'_>) {
    let lower = path.to_ascii_lowercase();
    let is_plain = path.starts_with('/')
        && !path.contains("//")
        && !path.contains(['?', '#', '\\', ' '])
        && !path.contains(char::is_control)
        && !lower.contains("%2f")
        && !lower.contains("%5c")
        && !path::climbs(path);
    at.ensure(
        is_plain,
        format_args!(
            "{path:?} is no plain path: it starts with `/`, and has no `..`, `//`, `?`, `#`, encoded slash or space"
        ),
    );
}

/// Of what becomes the value of a header that routing depends on.
fn check_name(name: &str, at: &At<'_>) {
    at.ensure(!name.is_empty(), format_args!("is empty"));
    check_text(name, at);
}

/// Of what becomes the value of a header or stands in a log.
fn check_text(text: &str, at: &At<'_>) {
    at.ensure(
        !text.contains(char::is_control),
        format_args!("{text:?} holds a control character"),
    );
}

fn check_header_name(name: &str, at: &At<'_>) {
    let is_name = is_token(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    at.ensure(is_name, format_args!("{name:?} is no header name in lower case"));
}

fn check_each<T>(list: &[T], field: &str, at: &At<'_>, check: impl Fn(&T, &At<'_>)) {
    let at = at.field(field);
    for (index, item) in list.iter().enumerate() {
        check(item, &at.item(index));
    }
}

/// RFC 9110, 5.6.2: what names of headers and cookies are made of.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
