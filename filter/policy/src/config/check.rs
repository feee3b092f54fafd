//! What the types of a configuration do not say by themselves.

mod policy;

use super::{Canary, Config, Error, Leaf, Policy, Preview, Route, Sticky, Switch, Target, WeightedCluster};
use crate::{maps, path};
use std::collections::{BTreeMap, BTreeSet};

type Checked = Result<(), Error>;

// === impl Config ===

impl Config {
    /// Checks every switch, that those which one names below it are there, and that none leads back to itself.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn check(&self) -> Result<(), Error> {
        let Self {
            expose_branch: _,
            switches,
            routes,
            policies,
        } = self;
        for (key, switch) in switches {
            check_whole(switches, key, switch)
                .and_then(|()| check_switch_policies(policies, switch))
                .map_err(|error| error.within(key).within("switches"))?;
        }
        for (key, route) in routes {
            check_text(key)
                .and_then(|()| check_policies(policies, &route.policies))
                .map_err(|error| error.within(key).within("routes"))?;
        }
        for (key, policy) in policies {
            check_text(key)
                .and_then(|()| policy.check())
                .map_err(|error| error.within(key).within("policies"))?;
        }
        check_acyclic(switches).map_err(|error| error.within("switches"))
    }
}

// === impl Switch ===

impl Switch {
    /// Checks all that one switch alone can be wrong in. Whether the switches that it names exist is not.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn check(&self) -> Result<(), Error> {
        let Self {
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
        } = self;
        check_text(root).map_err(|error| error.within("root"))?;
        check_prefix(prefix).map_err(|error| error.within("prefix"))?;
        if let Some(mount) = mount {
            check_mount(mount).map_err(|error| error.within("mount"))?;
        }
        check_names(active, standby, branches)?;
        let has_standby = !standby.is_empty();
        check_option(preview.as_ref(), "preview", |preview| {
            check_preview(preview, has_standby)
        })?;
        check_option(canary.as_ref(), "canary", |canary| {
            check_canary(canary, has_standby)
        })?;
        check_option(sticky.as_ref(), "sticky", check_sticky)?;
        let mount = mount.as_ref().unwrap_or(prefix);
        for (name, routes) in branches {
            check_branch(name, routes, mount).map_err(|error| error.within(name).within("branches"))?;
        }
        Ok(())
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

fn check_whole(switches: &BTreeMap<String, Switch>, key: &str, switch: &Switch) -> Checked {
    check_text(key)?;
    switch.check()?;
    for (branch, at, below) in switch.below() {
        ensure(switches.contains_key(below), || {
            format!("{below:?} is no key of switches")
        })
        .map_err(|error| {
            error
                .within("switch")
                .within_index(at)
                .within(branch)
                .within("branches")
        })?;
    }
    Ok(())
}

fn check_switch_policies(policies: &BTreeMap<String, Policy>, switch: &Switch) -> Checked {
    check_policies(policies, &switch.policies)?;
    for (branch, routes) in &switch.branches {
        for (at, route) in routes.iter().enumerate() {
            if let Target::Leaf(leaf) = &route.target {
                check_option(leaf.policy.as_ref(), "policy", |key| {
                    check_policy_key(policies, key)
                })
                .map_err(|error| {
                    error
                        .within("leaf")
                        .within_index(at)
                        .within(branch)
                        .within("branches")
                })?;
            }
        }
    }
    Ok(())
}

fn check_policies(policies: &BTreeMap<String, Policy>, named: &[String]) -> Checked {
    for (at, key) in named.iter().enumerate() {
        check_policy_key(policies, key).map_err(|error| error.within_index(at).within("policies"))?;
    }
    Ok(())
}

fn check_policy_key(policies: &BTreeMap<String, Policy>, key: &str) -> Checked {
    ensure(policies.contains_key(key), || {
        format!("{key:?} is no key of policies")
    })
}

/// Takes away, again and again, a switch that none of the others names: what cannot be taken leads to a cycle.
fn check_acyclic(switches: &BTreeMap<String, Switch>) -> Checked {
    let mut named: BTreeMap<&str, usize> = maps::map(switches.keys().map(|key| (key.as_str(), 0)));
    for (_, _, key) in switches.values().flat_map(Switch::below) {
        *named.entry(key).or_default() += 1;
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
    named.keys().next().map_or(Ok(()), |key| {
        Err(Error::new("leads back to itself, or is below a switch that does").within(key))
    })
}

fn check_names(active: &str, standby: &[String], branches: &BTreeMap<String, Vec<Route>>) -> Checked {
    let known = |name: &str| {
        ensure(branches.contains_key(name), || {
            format!("{name:?} is no key of branches")
        })
    };
    known(active).map_err(|error| error.within("active"))?;
    for (at, name) in standby.iter().enumerate() {
        known(name).map_err(|error| error.within_index(at).within("standby"))?;
    }
    Ok(())
}

fn check_preview(Preview { header, value }: &Preview, has_standby: bool) -> Checked {
    check_standby(has_standby)?;
    let is_name = is_token(header) && !header.bytes().any(|byte| byte.is_ascii_uppercase());
    ensure(is_name, || format!("{header:?} is no header name in lower case"))
        .map_err(|error| error.within("header"))?;
    check_text(value).map_err(|error| error.within("value"))
}

fn check_canary(Canary { percent }: &Canary, has_standby: bool) -> Checked {
    check_standby(has_standby)?;
    ensure(*percent <= 100, || format!("{percent} is more than 100")).map_err(|error| error.within("percent"))
}

fn check_standby(has_standby: bool) -> Checked {
    ensure(has_standby, || "needs a standby".to_owned())
}

fn check_sticky(Sticky { cookie, ttl_seconds }: &Sticky) -> Checked {
    ensure(is_token(cookie), || format!("{cookie:?} is no cookie name"))
        .map_err(|error| error.within("cookie"))?;
    ensure(*ttl_seconds != Some(0), || {
        "0 would end each session at once".to_owned()
    })
    .map_err(|error| error.within("ttlSeconds"))
}

fn check_branch(name: &str, routes: &[Route], mount: &str) -> Checked {
    check_text(name)?;
    let mut prefixes = BTreeSet::new();
    for (at, route) in routes.iter().enumerate() {
        check_route(route, mount).map_err(|error| error.within_index(at))?;
        ensure(prefixes.insert(&route.prefix), || {
            format!("{:?} stands here twice", route.prefix)
        })
        .map_err(|error| error.within("prefix").within_index(at))?;
    }
    Ok(())
}

fn check_route(Route { prefix, target }: &Route, mount: &str) -> Checked {
    check_prefix(prefix)
        .and_then(|()| {
            ensure(path::contains(mount, prefix), || {
                format!("{prefix:?} lies outside {mount:?}")
            })
        })
        .map_err(|error| error.within("prefix"))?;
    match target {
        Target::Leaf(leaf) => check_leaf(leaf).map_err(|error| error.within("leaf")),
        Target::Switch(key) => check_text(key).map_err(|error| error.within("switch")),
        Target::Unavailable(_) => Ok(()),
    }
}

fn check_leaf(leaf: &Leaf) -> Checked {
    let Leaf {
        route,
        clusters,
        rewrite,
        policy: _,
        own_timeout: _,
        own_retry: _,
    } = leaf;
    if let Some(route) = route {
        check_name(route).map_err(|error| error.within("route"))?;
    }
    for (at, WeightedCluster { name, weight: _ }) in clusters.iter().enumerate() {
        check_name(name).map_err(|error| error.within("name").within_index(at).within("clusters"))?;
    }
    let all_zero = !clusters.is_empty() && clusters.iter().all(|cluster| cluster.weight == 0);
    ensure(!all_zero, || "every weight is 0".to_owned()).map_err(|error| error.within("clusters"))?;
    check_option(rewrite.as_ref(), "rewrite", |rewrite| check_outgoing(rewrite))
}

fn check_mount(mount: &str) -> Checked {
    check_prefix(mount)?;
    check_outgoing(mount)
}

fn check_prefix(prefix: &str) -> Checked {
    ensure(path::is_normalised(prefix), || {
        format!(
            "{prefix:?} is no normalised prefix: it starts with `/`, has no empty segment and no `/` at its end"
        )
    })
}

/// Of a path that takes the place of another: the proxy does not normalise it again, so it has to be plain.
fn check_outgoing(path: &str) -> Checked {
    let lower = path.to_ascii_lowercase();
    let is_plain = path.starts_with('/')
        && !path.contains("//")
        && !path.contains(['?', '#', '\\', ' '])
        && !path.contains(char::is_control)
        && !lower.contains("%2f")
        && !lower.contains("%5c")
        && !path::climbs(path);
    ensure(is_plain, || {
        format!(
            "{path:?} is no plain path: it starts with `/`, and has no `..`, `//`, `?`, `#`, encoded slash or space"
        )
    })
}

/// Of what becomes the value of a header that routing depends on.
fn check_name(name: &str) -> Checked {
    ensure(!name.is_empty(), || "is empty".to_owned())?;
    check_text(name)
}

/// Of what becomes the value of a header or stands in a log.
fn check_text(text: &str) -> Checked {
    ensure(!text.contains(char::is_control), || {
        format!("{text:?} holds a control character")
    })
}

fn check_option<T>(value: Option<&T>, name: &str, check: impl FnOnce(&T) -> Checked) -> Checked {
    value.map_or(Ok(()), check).map_err(|error| error.within(name))
}

/// RFC 9110, 5.6.2: what names of headers and cookies are made of.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Error::new(problem())) }
}
