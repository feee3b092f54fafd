//! What a request gets: once by the table, as the proxy and its filter go through it, and once by the manifests,
//! read as naively as the rules are told.

mod manifests;

pub(super) use self::manifests::Manifests;

use super::*;
use crate::{
    path,
    table::{Branch, HostRoute, HostTls, Policy, PolicyKey, Sample, ServiceRoute, Table, Timeout, Vhost},
};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    NoHost,
    NotFound,
    Unavailable,
    Redirect,
    Served(Served),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// The Services, with their shares.
    shares: Vec<(String, u32)>,
    /// What they are asked for.
    path: String,
    /// What the request meets on its way.
    policies: Vec<String>,
    /// In milliseconds; 0: none.
    timeout: Option<u64>,
}

/// On which port a request comes, and which branch it takes at each switch on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) fqdn: &'a str,
    pub(super) path: &'a str,
    pub(super) tls: bool,
    pub(super) branches: &'a [usize],
}

/// `path` with `to` in place of the prefix `from`.
fn replace_prefix(path: &str, from: &str, to: &str) -> String {
    let rest = path.strip_prefix(from).unwrap().trim_start_matches('/');
    let joined = format!("{to}/{rest}");
    path::normalise(&joined).unwrap().into_owned()
}

fn longest<'a, T>(routes: &'a BTreeMap<Arc<str>, T>, path: &str) -> Option<(&'a Arc<str>, &'a T)> {
    routes
        .iter()
        .filter(|(prefix, _)| path::contains(prefix, path))
        .max_by_key(|(prefix, _)| prefix.len())
}

fn served(
    (clusters, timeout): (&[WeightedCluster], Option<u64>),
    (path, prefix): (&str, &str),
    rewrite: Option<&Arc<str>>,
    met: &[&Policy],
) -> Answer {
    let share = |WeightedCluster { cluster, weight }: &WeightedCluster| {
        let service: Vec<_> = cluster.0.split('/').take(2).collect();
        (service.join("/"), *weight)
    };
    let path = rewrite.map_or(path.to_owned(), |rewrite| replace_prefix(path, prefix, rewrite));
    Answer::Served(Served {
        shares: clusters.iter().map(share).collect(),
        path,
        policies: met.iter().map(|policy| policy.source.clone()).collect(),
        timeout,
    })
}

fn milliseconds(timeout: Option<Timeout>) -> Option<u64> {
    timeout.map(|timeout| match timeout {
        Timeout::Infinite => 0,
        Timeout::After(duration) => u64::try_from(duration.as_millis()).unwrap(),
    })
}

pub(super) fn by_table(table: &Table, request: Request<'_>) -> Answer {
    let Some(host) = table.hosts.get(request.fqdn) else {
        return Answer::NoHost;
    };
    let vhost = match (&host.tls, request.tls) {
        (_, false) => &host.http,
        (Some(HostTls::Terminate { vhost, .. }), true) => vhost,
        (_, true) => return Answer::NoHost,
    };
    match longest(&vhost.routes, request.path) {
        None => Answer::NotFound,
        Some((_, HostRoute::HttpsRedirect)) => Answer::Redirect,
        Some((_, HostRoute::Unavailable)) => Answer::Unavailable,
        Some((prefix, HostRoute::Plain(route))) => {
            let ServiceRoute {
                template,
                clusters,
                rewrite,
                policies,
                sample,
            } = &**route;
            let met = meet(table, vhost, policies);
            assert_eq!(*sample, Sample::of(met.iter().copied()));
            let target = (&**clusters, milliseconds(template.timeout));
            served(target, (request.path, prefix), rewrite.as_ref(), &met)
        }
        Some((_, HostRoute::Switch(key))) => through_switches(table, vhost, key, request),
    }
}

/// The policies of these names, for which the vhost has enough room.
fn meet<'a>(table: &'a Table, vhost: &Vhost, keys: &[PolicyKey]) -> Vec<&'a Policy> {
    let met: Vec<_> = keys.iter().map(|key| &*table.policies[key]).collect();
    let mirrors: usize = met.iter().map(|policy| policy.mirror.len()).sum();
    assert!(mirrors <= vhost.mirrors && vhost.mirrors <= 8, "{keys:?}");
    met
}

fn through_switches(table: &Table, vhost: &Vhost, key: &SwitchKey, request: Request<'_>) -> Answer {
    let (mut key, mut path) = (key.clone(), request.path.to_owned());
    let mut policies = Vec::new();
    for step in 0..=64 {
        let switch = &table.switches[&key];
        assert!(path::contains(&switch.prefix, &path), "{key} was given {path}");
        path = replace_prefix(&path, &switch.prefix, &switch.mount);
        policies.extend(switch.policies.iter().cloned());
        let choice: Vec<_> = [&switch.active].into_iter().chain(&switch.standby).collect();
        let branch = &switch.branches[choice[request.branches[step % request.branches.len()] % choice.len()]];
        match longest(&branch.routes, &path) {
            None => return Answer::NotFound,
            Some((_, Target::HttpsRedirect)) => return Answer::Redirect,
            Some((_, Target::Unavailable(_))) => return Answer::Unavailable,
            Some((prefix, Target::Leaf(leaf))) => {
                assert!(
                    vhost.templates.contains(&leaf.template),
                    "{key} needs a template that is not there"
                );
                policies.extend(leaf.policy.clone());
                let met = meet(table, vhost, &policies);
                let inherited = met.iter().rev().find_map(|policy| policy.timeout_ms);
                let timeout = milliseconds(leaf.template.timeout).or(inherited);
                let target = (&*leaf.clusters, timeout);
                return served(target, (&path, prefix), leaf.rewrite.as_ref(), &met);
            }
            Some((_, Target::Switch(next))) => key = next.clone(),
        }
    }
    panic!("more than 64 switches on the way of {request:?}")
}

/// That the table holds together: what is named exists and nothing else does, and nothing lies outside its bound.
pub(super) fn check_table(table: &Table) {
    let mut reached = BTreeSet::new();
    let mut pending = Vec::new();
    let mut named: BTreeSet<&PolicyKey> = table.hosts.values().flat_map(|host| host.policy_keys()).collect();
    let clusters = |clusters: &[WeightedCluster]| {
        for WeightedCluster { cluster, weight } in clusters {
            assert!(table.clusters.contains_key(cluster) && *weight > 0);
        }
    };
    for host in table.hosts.values() {
        let vhosts = match &host.tls {
            Some(HostTls::Terminate { vhost, .. }) => vec![&host.http, vhost],
            _ => vec![&host.http],
        };
        for (prefix, route) in vhosts.into_iter().flat_map(|vhost| &vhost.routes) {
            match route {
                HostRoute::Switch(key) => pending.push((key.clone(), prefix.clone())),
                HostRoute::Plain(route) => clusters(&route.clusters),
                HostRoute::HttpsRedirect | HostRoute::Unavailable => {}
            }
        }
    }
    while let Some((key, prefix)) = pending.pop() {
        let switch = &table.switches[&key];
        assert_eq!(switch.prefix, prefix, "{key}");
        if !reached.insert(key.clone()) {
            continue;
        }
        for name in [&switch.active].into_iter().chain(&switch.standby) {
            assert!(switch.branches.contains_key(name), "{key}");
        }
        let preview = switch.preview.iter().map(|preview| &preview.branch);
        for name in switch.canary.iter().map(|canary| &canary.branch).chain(preview) {
            assert!(switch.branches.contains_key(name), "{key}");
        }
        assert!(!switch.standby.contains(&switch.active), "{key}");
        named.extend(switch.policy_keys());
        for (prefix, target) in switch.branches.values().flat_map(|Branch { routes }| routes) {
            assert!(
                path::contains(&switch.mount, prefix),
                "{key} serves {prefix} outside {}",
                switch.mount
            );
            match target {
                Target::Switch(next) => pending.push((next.clone(), prefix.clone())),
                Target::Leaf(leaf) => clusters(&leaf.clusters),
                Target::HttpsRedirect | Target::Unavailable(_) => {}
            }
        }
    }
    assert!(table.switches.keys().eq(&reached), "every switch is reached");
    assert!(
        table.policies.keys().eq(named),
        "every policy is named, and there"
    );
    for (key, policy) in &table.policies {
        assert!(key.level().is_some());
        for mirror in &policy.mirror {
            let cluster = crate::table::ClusterName(mirror.cluster.as_str().into());
            assert!(table.clusters.contains_key(&cluster), "{key}");
        }
    }
    for name in table.clusters.keys() {
        // Nobody has resolved its names: see `any_service`.
        let is_at_names = table
            .clusters
            .get(name)
            .is_some_and(|cluster| cluster.server_name.is_some());
        assert!(
            table.endpoints.contains_key(name) || is_at_names,
            "{name} has endpoints"
        );
    }
    assert!(
        table
            .endpoints
            .keys()
            .all(|name| table.clusters.contains_key(name))
    );
}
