//! What follows from one root: its host, its switches, and what is wrong with all that it reaches.

mod scribe;

use self::scribe::{Face, Scribe};
use super::{
    claims::Claims,
    compile::{self, Compiled, Root, Tls},
    fault::{Fault, Place, Problem, RouteField},
    objects::Objects,
    tcp,
    templates::Templates,
    tls,
    walk::{self, CompiledMap, Mount, Walk},
};
use crate::{
    object::Name,
    table::{Host, HostTls, Policy, PolicyKey, Switch, SwitchKey, TcpProxy, Vhost},
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
    pub(crate) claims: &'a Claims,
    pub(crate) templates: &'a Templates,
}

/// What follows from a root.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) host: Option<Arc<Host>>,
    pub(crate) switches: BTreeMap<SwitchKey, Arc<Switch>>,
    pub(crate) policies: BTreeMap<PolicyKey, Arc<Policy>>,
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
    match owned(sources.claims, name, root) {
        Ok(Some(fqdn)) => view.serve(sources, (name, fqdn), (compiled, root)),
        Ok(None) => {}
        Err(fault) => view.report(name, Place::Fqdn, fault),
    }
    view
}

/// The host name of a root, if it claims one and owns it.
fn owned<'a>(claims: &Claims, name: &Name, root: &'a Root) -> Result<Option<&'a Arc<str>>, Fault> {
    let Some(fqdn) = &root.fqdn else { return Ok(None) };
    match claims.owner(fqdn).filter(|owner| *owner != name) {
        Some(owner) => Err(Fault::FqdnOwned {
            fqdn: fqdn.clone(),
            owner: owner.clone(),
        }),
        None => Ok(Some(fqdn)),
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
            level: root.level.as_ref().ok(),
            walk: &walk,
            templates: sources.templates,
        };
        let (http, tls) = match tls::resolve(sources.objects, &name.namespace, root.tls.as_ref()) {
            tls::Outcome::Down(fault) => {
                self.report(name, Place::Tls("secretName"), fault);
                (Vhost::unavailable(), None)
            }
            tls::Outcome::Refused => (Vhost::unavailable(), None),
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
        let host = Host {
            fqdn: fqdn.clone(),
            root: name.clone(),
            http,
            tls,
        };
        self.collect_policies(sources.compiled, &host);
        self.host = Some(Arc::new(host));
    }

    /// Those that the host and its switches name.
    fn collect_policies(&mut self, all: &CompiledMap, host: &Host) {
        let of_switches = self.switches.values().flat_map(|switch| switch.policy_keys());
        let named: BTreeSet<&PolicyKey> = host.policy_keys().chain(of_switches).collect();
        let policy = |key: &PolicyKey| {
            let (_, level) = compile::level(all, key)?;
            Some((key.clone(), level.policy.clone()?))
        };
        self.policies = named.into_iter().filter_map(policy).collect();
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
