//! What follows from one root: its host, its switches, and what is wrong with all that it reaches.

use super::{
    compile::{Compiled, Delegate, Root, Tls},
    fault::{self, Fault, Place, Problem, RouteField},
    index::Index,
    objects::Objects,
    tcp,
    templates::Templates,
    tls,
    walk::{self, CompiledMap, Mount, Open, Step, Walk},
};
use crate::{
    object::Name,
    table::{Branch, Host, HostRoute, HostTls, Switch, SwitchKey, Target, TcpProxy, Template, Vhost},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a root is derived from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) compiled: &'a CompiledMap,
    /// fqdn to the roots that claim it.
    pub(crate) claims: &'a Index<Arc<str>, Name>,
    pub(crate) templates: &'a Templates,
}

/// What follows from a root.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) host: Option<Arc<Host>>,
    pub(crate) switches: BTreeMap<SwitchKey, Arc<Switch>>,
    /// What is wrong, by the IngressRoute at fault. Every one that was reached is named.
    pub(crate) findings: BTreeMap<Name, BTreeSet<Problem>>,
    pub(crate) needs: Needs,
}

/// What a view depends on: when one of these changes it is derived anew.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) ingress_routes: BTreeSet<Name>,
    pub(crate) secrets: BTreeSet<Name>,
    /// Namespaces whose TLSCertificateDelegations count.
    pub(crate) certificate_namespaces: BTreeSet<Arc<str>>,
    /// Namespaces whose delegates' templates are offered.
    pub(crate) template_namespaces: BTreeSet<Arc<str>>,
    /// Certificates that the host presents.
    pub(crate) certificates: BTreeSet<Name>,
}

/// Which of a host's two faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    /// All that it serves.
    Full,
    /// The plain port of a host with TLS.
    Insecure,
}

/// Turns a walk into table entries.
struct Scribe<'a> {
    fqdn: &'a Arc<str>,
    root: &'a Name,
    mount: Mount,
    walk: &'a Walk,
    templates: &'a Templates,
}

/// Derives a root.
pub(crate) fn derive(sources: Sources<'_>, name: &Name) -> View {
    let mut view = View::default();
    view.needs.ingress_routes.insert(name.clone());
    let compiled = sources.compiled.get(name);
    let Some((compiled, root)) = compiled.and_then(|compiled| Some((compiled, compiled.root.as_ref()?)))
    else {
        return view;
    };
    view.findings.insert(name.clone(), BTreeSet::new());
    match claim(sources.claims, root) {
        Ok(Some(fqdn)) => view.serve(sources, (name, fqdn), (compiled, root)),
        Ok(None) => {}
        Err(fault) => view.report(name, Place::Fqdn, fault),
    }
    view
}

/// The host name of a root, if it has one to itself: of several claimants none may serve.
fn claim<'a>(claims: &Index<Arc<str>, Name>, root: &'a Root) -> Result<Option<&'a Arc<str>>, Fault> {
    let Some(fqdn) = &root.fqdn else { return Ok(None) };
    match claims.users(fqdn) {
        Some(roots) if roots.len() > 1 => Err(Fault::FqdnShared {
            fqdn: fqdn.clone(),
            roots: fault::list(roots.iter(), ", "),
        }),
        _ => Ok(Some(fqdn)),
    }
}

/// What a host answers that must not serve.
fn unavailable() -> Vhost {
    Vhost {
        routes: BTreeMap::from([("/".into(), HostRoute::Unavailable)]),
        templates: BTreeSet::new(),
        mirrors: 0,
    }
}

// === impl View ===

impl View {
    fn report(&mut self, name: &Name, place: Place, fault: Fault) {
        let findings = self.findings.entry(name.clone()).or_default();
        findings.insert(Problem { place, fault });
    }

    fn serve(
        &mut self,
        sources: Sources<'_>,
        (name, fqdn): (&Name, &Arc<str>),
        (compiled, root): (&Compiled, &Root),
    ) {
        self.need_secret(name, root);
        let proxy = self.tcp(sources.compiled, name, compiled, root);
        let mut walk = walk::walk(sources.compiled, name);
        self.take(&mut walk);
        let scribe = Scribe {
            fqdn,
            root: name,
            mount: Mount {
                route: name.clone(),
                bound: "/".into(),
            },
            walk: &walk,
            templates: sources.templates,
        };
        let (http, tls) = match tls::resolve(sources.objects, &name.namespace, root.tls.as_ref()) {
            tls::Outcome::Down(fault) => {
                self.report(name, Place::TlsSecret, fault);
                (unavailable(), None)
            }
            tls::Outcome::Plain => (self.full(&scribe), None),
            tls::Outcome::Passthrough => (
                self.full(&scribe),
                proxy.map(|proxy| HostTls::Passthrough { proxy }),
            ),
            tls::Outcome::Terminate(tls) => {
                self.needs.certificates.insert(tls.certificate.clone());
                match proxy {
                    // As Contour since 1.0: the tcpproxy on the TLS port, the routes on the plain one.
                    Some(proxy) => (self.full(&scribe), Some(HostTls::TerminateTcp { tls, proxy })),
                    None => {
                        let vhost = self.full(&scribe);
                        (self.insecure(&scribe), Some(HostTls::Terminate { tls, vhost }))
                    }
                }
            }
        };
        self.host = Some(Arc::new(Host {
            fqdn: fqdn.clone(),
            root: name.clone(),
            http,
            tls,
        }));
    }

    fn need_secret(&mut self, name: &Name, root: &Root) {
        if let Some(Tls::Terminate { secret, .. }) = &root.tls {
            self.needs.secrets.insert(secret.clone());
            if secret.namespace != name.namespace {
                self.needs.certificate_namespaces.insert(secret.namespace.clone());
            }
        }
    }

    /// Where the tcpproxy leads, if the root has one.
    fn tcp(&mut self, all: &CompiledMap, name: &Name, compiled: &Compiled, root: &Root) -> Option<TcpProxy> {
        compiled.tcp.as_ref()?;
        if root.tls.is_none() {
            self.report(name, Place::TcpProxy(RouteField::Whole), Fault::TcpWithoutTls);
            return None;
        }
        let tcp::Path {
            proxy,
            reached,
            named,
            problem,
        } = tcp::follow(all, name);
        self.needs.ingress_routes.extend(named);
        let last = reached.last().cloned();
        for name in reached {
            self.findings.entry(name).or_default();
        }
        if let (Some(name), Some(Problem { place, fault })) = (last, problem) {
            self.report(&name, place, fault);
        }
        Some(proxy)
    }

    /// Takes over what a walk found.
    fn take(&mut self, walk: &mut Walk) {
        for (name, problems) in std::mem::take(&mut walk.findings) {
            self.findings.entry(name).or_default().extend(problems);
        }
        let namespaces = walk.named.iter().map(|name| name.namespace.clone());
        self.needs.template_namespaces.extend(namespaces);
        self.needs.ingress_routes.extend(walk.named.iter().cloned());
    }

    fn full(&mut self, scribe: &Scribe<'_>) -> Vhost {
        self.switches.extend(scribe.switches(Face::Full));
        scribe.vhost(Face::Full, &self.needs.template_namespaces)
    }

    fn insecure(&mut self, scribe: &Scribe<'_>) -> Vhost {
        self.switches.extend(scribe.switches(Face::Insecure));
        scribe.vhost(Face::Insecure, &self.needs.template_namespaces)
    }
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
    fn vhost(&self, face: Face, namespaces: &BTreeSet<Arc<str>>) -> Vhost {
        let Some(root) = self.walk.mounts.get(&self.mount) else {
            return unavailable();
        };
        let steps = self.walk.steps(&self.mount, &root.compiled);
        let routes: BTreeMap<_, _> = steps
            .into_iter()
            .map(|(prefix, step)| (prefix.clone(), self.host_route(face, prefix, &step)))
            .collect();
        let switches = routes.values().any(|route| matches!(route, HostRoute::Switch(_)));
        let templates = if switches {
            self.leaf_templates(face, namespaces)
        } else {
            BTreeSet::new()
        };
        Vhost {
            routes,
            templates,
            mirrors: 0,
        }
    }

    fn host_route(&self, face: Face, prefix: &Arc<str>, step: &Step<'_>) -> HostRoute {
        match step {
            Step::Leaf {
                leaf,
                permit_insecure,
            } if face.serves(*permit_insecure) => HostRoute::Plain {
                template: leaf.template.clone(),
                clusters: leaf.clusters.clone(),
                rewrite: leaf.rewrite.clone(),
                policies: Vec::new(),
            },
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
                    } if face.serves(permit_insecure) => {
                        templates.insert(leaf.template.clone());
                    }
                    Step::Leaf { .. } | Step::Follow { .. } | Step::Unavailable(_) => {}
                }
            }
        }
        templates
    }

    fn switches(&self, face: Face) -> BTreeMap<SwitchKey, Arc<Switch>> {
        let mut switches = BTreeMap::new();
        for (mount, mounted) in &self.walk.mounts {
            for (prefix, step) in self.walk.steps(mount, &mounted.compiled) {
                match step {
                    Step::Follow { delegate, open } if face.serves(open.permits_insecure()) => {
                        let key = self.key(face, &mount.route, prefix);
                        // The same below every mount of its owner.
                        let switch = || Arc::new(self.switch(face, (&mount.route, prefix), delegate, open));
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
        (owner, prefix): (&Name, &Arc<str>),
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
        // Previews and canaries are of the first standby: if that cannot be followed, no other takes its place.
        let first = open.standby.first().is_some_and(|(place, _)| *place == 0);
        let branches = standby.iter().chain([active]);
        Switch {
            root: self.root.clone(),
            owner: owner.clone(),
            prefix: prefix.clone(),
            mount: mount.clone(),
            active: active.clone(),
            preview: preview.clone().filter(|_| first),
            canary: if first { *canary } else { 0 },
            sticky: sticky.clone(),
            policies: Vec::new(),
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
            } if face.serves(permit_insecure) => Target::Leaf(leaf.clone()),
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
}
