//! From a walk to table entries.

use crate::{
    graph::{
        compile::{Delegate, Level},
        templates::Templates,
        walk::{MAX_MIRRORS, Mount, Open, Step, Walk},
    },
    object::Name,
    table::{
        Branch, HostRoute, Leaf, PolicyKey, Sample, ServiceRoute, Switch, SwitchKey, Target, Template, Vhost,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Which of a host's two faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    /// All that it serves.
    Full,
    /// The plain port of a host with TLS.
    Insecure,
}

/// Turns a walk into table entries.
pub(super) struct Scribe<'a> {
    pub(super) fqdn: &'a Arc<str>,
    pub(super) root: &'a Name,
    pub(super) mount: Mount,
    /// What the root asks of all requests. None: what it would ask is wrong, so nothing is served.
    pub(super) level: Option<&'a Level>,
    pub(super) walk: &'a Walk,
    pub(super) templates: &'a Templates,
}

// === impl Face ===

impl Face {
    /// Whether a leaf is served on this face.
    fn serves(self, permit_insecure: bool) -> bool {
        self == Self::Full || permit_insecure
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Full => "",
            Self::Insecure => "http://",
        }
    }
}

// === impl Scribe ===

impl Scribe<'_> {
    pub(super) fn vhost(&self, face: Face, namespaces: &BTreeSet<Arc<str>>) -> Vhost {
        let Some(root) = self.walk.mounts.get(&self.mount) else {
            return Vhost::unavailable();
        };
        let Some(level) = self.level else {
            return Vhost::unavailable();
        };
        let mut vhost = Vhost::default();
        for (prefix, step) in self.walk.steps(&self.mount, &root.compiled) {
            let route = self.host_route(face, (prefix, level), &step);
            if matches!(route, HostRoute::Plain(_) | HostRoute::Switch(_)) {
                vhost.mirrors = vhost.mirrors.max(level.mirrors() + step.mirrors());
            }
            vhost.routes.insert(prefix.clone(), route);
        }
        let is_switch = |route: &HostRoute| matches!(route, HostRoute::Switch(_));
        if vhost.routes.values().any(is_switch) {
            vhost.templates = self.leaf_templates(face, namespaces);
            let offered = namespaces
                .iter()
                .map(|namespace| self.templates.offered_mirrors(namespace));
            let offered = level.mirrors() + offered.max().unwrap_or_default();
            vhost.mirrors = vhost.mirrors.max(offered.min(MAX_MIRRORS));
        }
        vhost
    }

    fn host_route(&self, face: Face, (prefix, above): (&Arc<str>, &Level), step: &Step<'_>) -> HostRoute {
        match step {
            Step::Leaf {
                leaf,
                permit_insecure,
                level,
            } if face.serves(*permit_insecure) => HostRoute::Plain(Box::new(ServiceRoute {
                template: above.completed(&leaf.template),
                clusters: leaf.clusters.clone(),
                rewrite: leaf.rewrite.clone(),
                policies: self.plain_policies(prefix, above, level),
                sample: Sample::of(
                    [above, *level]
                        .into_iter()
                        .filter_map(|level| level.policy.as_deref()),
                ),
            })),
            Step::Follow { open, .. } if face.serves(open.permits_insecure()) => {
                HostRoute::Switch(self.key(face, self.root, prefix))
            }
            Step::Leaf { .. } | Step::Follow { .. } => HostRoute::HttpsRedirect,
            Step::Unavailable(_) => HostRoute::Unavailable,
        }
    }

    /// Those of the leaves that are reached, those that delegates standing by would need, and the plainest.
    fn leaf_templates(&self, face: Face, namespaces: &BTreeSet<Arc<str>>) -> BTreeSet<Template> {
        let offered = namespaces
            .iter()
            .flat_map(|namespace| self.templates.offered(namespace));
        let mut templates: BTreeSet<_> = offered.cloned().collect();
        templates.insert(Template::default());
        for (mount, mounted) in self.walk.mounts.iter().filter(|(mount, _)| **mount != self.mount) {
            for step in self.walk.steps(mount, &mounted.compiled).into_values() {
                match step {
                    Step::Leaf {
                        leaf,
                        permit_insecure,
                        level: _,
                    } if face.serves(permit_insecure) => {
                        templates.insert(leaf.template.clone());
                    }
                    Step::Leaf { .. } | Step::Follow { .. } | Step::Unavailable(_) => {}
                }
            }
        }
        templates
    }

    pub(super) fn switches(&self, face: Face) -> BTreeMap<SwitchKey, Arc<Switch>> {
        let mut switches = BTreeMap::new();
        if self.level.is_none() {
            return switches;
        }
        for (mount, mounted) in &self.walk.mounts {
            for (prefix, step) in self.walk.steps(mount, &mounted.compiled) {
                match step {
                    Step::Follow {
                        delegate,
                        open,
                        level,
                    } if face.serves(open.permits_insecure()) => {
                        let key = self.key(face, &mount.route, prefix);
                        // The same below every mount of its owner.
                        let at = (&mount.route, prefix, level);
                        let switch = || Arc::new(self.switch(face, at, delegate, open));
                        switches.entry(key).or_insert_with(switch);
                    }
                    Step::Leaf { .. } | Step::Follow { .. } | Step::Unavailable(_) => {}
                }
            }
        }
        switches
    }

    fn switch(
        &self,
        face: Face,
        (owner, prefix, level): (&Name, &Arc<str>, &Level),
        delegate: &Delegate,
        open: &Open,
    ) -> Switch {
        let Delegate {
            active,
            standby: _,
            preview,
            canary,
            sticky,
            mount,
        } = delegate;
        let standby: Vec<_> = open.standby.iter().map(|(_, name)| name.clone()).collect();
        // If the branch of a preview or a canary cannot be followed, no other takes its place.
        let is_open = |branch: &Name| branch == active || standby.contains(branch);
        let branches = standby.iter().chain([active]);
        Switch {
            root: self.root.clone(),
            owner: owner.clone(),
            prefix: prefix.clone(),
            mount: mount.clone(),
            active: active.clone(),
            preview: preview.clone().filter(|preview| is_open(&preview.branch)),
            canary: canary.clone().filter(|canary| is_open(&canary.branch)),
            sticky: sticky.clone(),
            policies: self.switch_policies(owner, prefix, level),
            branches: branches
                .map(|name| (name.clone(), self.branch(face, name, mount)))
                .collect(),
            standby,
        }
    }

    fn branch(&self, face: Face, name: &Name, bound: &Arc<str>) -> Branch {
        let mount = Mount {
            route: name.clone(),
            bound: bound.clone(),
        };
        let Some(mounted) = self.walk.mounts.get(&mount) else {
            return Branch::default();
        };
        let steps = self.walk.steps(&mount, &mounted.compiled);
        let routes = steps
            .into_iter()
            .map(|(prefix, step)| (prefix.clone(), self.target(face, (name, prefix), step)))
            .collect();
        Branch { routes }
    }

    fn target(&self, face: Face, (owner, prefix): (&Name, &Arc<str>), step: Step<'_>) -> Target {
        match step {
            Step::Leaf {
                leaf,
                permit_insecure,
                level,
            } if face.serves(permit_insecure) => Target::Leaf(Leaf {
                policy: self.policy(owner, prefix, level),
                ..leaf.clone()
            }),
            Step::Follow { open, .. } if face.serves(open.permits_insecure()) => {
                Target::Switch(self.key(face, owner, prefix))
            }
            Step::Leaf { .. } | Step::Follow { .. } => Target::HttpsRedirect,
            Step::Unavailable(reason) => Target::Unavailable(reason),
        }
    }

    fn key(&self, face: Face, owner: &Name, prefix: &Arc<str>) -> SwitchKey {
        let (scheme, fqdn) = (face.scheme(), self.fqdn);
        let key = if owner == self.root {
            format!("{scheme}{fqdn}{prefix}")
        } else {
            format!("{scheme}{fqdn} {owner}{prefix}")
        };
        SwitchKey(key.into())
    }

    /// What names a route's policy, if it has one.
    fn policy(&self, owner: &Name, prefix: &Arc<str>, level: &Level) -> Option<PolicyKey> {
        let key = || PolicyKey::of_route(self.fqdn, owner, prefix);
        level.policy.is_some().then(key)
    }

    /// What names the virtualhost's policy, if it has one.
    fn virtualhost_policy(&self) -> Option<PolicyKey> {
        let key = || PolicyKey::of_virtualhost(self.fqdn, self.root);
        self.level?.policy.is_some().then(key)
    }

    /// Those that a request meets at a switch, before a branch is chosen.
    fn switch_policies(&self, owner: &Name, prefix: &Arc<str>, level: &Level) -> Vec<PolicyKey> {
        let above = Some(()).filter(|()| owner == self.root);
        let above = above.and_then(|()| self.virtualhost_policy());
        above
            .into_iter()
            .chain(self.policy(owner, prefix, level))
            .collect()
    }

    /// Those for which the filter has to be on. Timeouts and retries alone are in the proxy's route.
    fn plain_policies(&self, prefix: &Arc<str>, above: &Level, level: &Level) -> Vec<PolicyKey> {
        let above = self.virtualhost_policy().filter(|_| above.needs_filter());
        above
            .into_iter()
            .chain(self.policy(self.root, prefix, level))
            .collect()
    }
}
