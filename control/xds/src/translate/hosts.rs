//! Hosts: their virtual hosts on each port, and their part in the TLS listener.

use super::{
    Settings,
    configuration::Configuration,
    containment::{Suspect, Withheld},
    listener::{self, Https},
    published::Published,
    refused::{Origin, Refusal},
    route::{Port, Source},
};
use crate::{ads::Proxy, pack, resource::ResourceType};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
    time::Duration,
};
use switchyard_core::{
    object::Name,
    table::{EdgeTls, Host, HostTls, PolicyKey, Table, Template, Timeout, TlsVersion, Vhost},
};

/// Of requests for a host that the route configuration does not have.
const NOT_FOUND: u32 = 404;
/// The same over TLS, where the connection was made for another host (RFC 9110, 15.5.20): this one may ask for a
/// higher version.
const MISDIRECTED: u32 = 421;

/// All hosts, as they were last translated.
#[derive(Debug)]
pub(super) struct Hosts {
    http: Configuration,
    secure: BTreeMap<TlsVersion, Configuration>,
    https: Https,
    templates: BTreeMap<Arc<str>, HostTemplates>,
    /// Those of `templates` that have retired ones.
    retiring: BTreeSet<Arc<str>>,
    /// What each host presents, and who presents it.
    certificates: BTreeMap<Arc<str>, Name>,
    presenters: BTreeMap<Name, BTreeSet<Arc<str>>>,
}

/// What a host's routes depend on beside the host.
#[derive(Debug, Default)]
struct HostTemplates {
    http: Templates,
    secure: Templates,
    /// The longest timeout that its policies hand down.
    inherited: Option<Timeout>,
}

/// The templates of a vhost.
#[derive(Debug, Default)]
struct Templates {
    used: BTreeSet<Template>,
    /// Those that the vhost no longer has, and since which generation.
    retired: BTreeMap<Template, u64>,
}

// === impl Hosts ===

impl Hosts {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings { buckets, .. } = *settings;
        let secure = listener::FLOORS.map(|minimum| {
            let name = listener::routes_name(minimum);
            (minimum, Configuration::new(name, MISDIRECTED, buckets))
        });
        Self {
            http: Configuration::new(listener::HTTP, NOT_FOUND, buckets),
            secure: secure.into(),
            https: Https::default(),
            templates: BTreeMap::new(),
            retiring: BTreeSet::new(),
            certificates: BTreeMap::new(),
            presenters: BTreeMap::new(),
        }
    }

    /// Takes in what became of a host.
    pub(super) fn set(&mut self, settings: &Settings, table: &Table, fqdn: &Arc<str>, generation: u64) {
        let host = table.hosts.get(fqdn).map(AsRef::as_ref);
        let tls = host.and_then(|host| host.tls.as_ref());
        self.https.set(settings, fqdn, tls);
        self.present(fqdn, tls.and_then(HostTls::edge).map(|tls| &tls.certificate));
        let Some(host) = host else {
            self.forget(fqdn);
            return;
        };
        let templates = self.templates.entry(fqdn.clone()).or_default();
        if templates.set(host, generation) {
            self.retiring.insert(fqdn.clone());
        }
        templates.inherited = inherited(table, fqdn);
        self.route(settings, fqdn, host);
    }

    /// The hosts that have another longest timeout now, of those that have one of `policies`.
    pub(super) fn handed_down(&self, table: &Table, policies: &BTreeSet<PolicyKey>) -> BTreeSet<Arc<str>> {
        let named: BTreeSet<_> = policies.iter().map(PolicyKey::host).collect();
        let known = named
            .into_iter()
            .filter_map(|fqdn| self.templates.get_key_value(fqdn));
        known
            .filter(|(fqdn, templates)| templates.inherited != inherited(table, fqdn))
            .map(|(fqdn, _)| fqdn.clone())
            .collect()
    }

    /// The certificate that a host presents.
    pub(super) fn certificate(&self, fqdn: &str) -> Option<&Name> {
        self.certificates.get(fqdn)
    }

    /// `hosts`, and those that present one of `certificates`.
    pub(super) fn presenting(
        &self,
        hosts: &BTreeSet<Arc<str>>,
        certificates: &BTreeSet<Name>,
    ) -> BTreeSet<Arc<str>> {
        let presenters = certificates
            .iter()
            .filter_map(|name| self.presenters.get(name))
            .flatten();
        hosts.iter().chain(presenters).cloned().collect()
    }

    /// Lets go of templates that were retired at `acked` or before.
    pub(super) fn prune(&mut self, settings: &Settings, table: &Table, acked: u64) {
        for fqdn in std::mem::take(&mut self.retiring) {
            let left = self
                .templates
                .get_mut(&fqdn)
                .is_some_and(|templates| templates.prune(acked));
            if let Some(host) = table.hosts.get(&fqdn) {
                self.route(settings, &fqdn, host);
            }
            if left {
                self.retiring.insert(fqdn);
            }
        }
    }

    /// Publishes the route configurations and listeners that changed.
    pub(super) fn publish(&mut self, settings: &Settings, published: &mut Published) {
        for configuration in self.configurations_mut() {
            configuration.publish(published);
        }
        let http = || super::encoded(&listener::http(settings));
        published.set(
            ResourceType::Listener,
            &listener::HTTP.into(),
            pack::version(settings),
            http,
        );
        self.https.publish(settings, published);
    }

    /// The messages that Envoy would refuse.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&Origin, &Refusal)> {
        let of_routes = self.configurations().flat_map(|routes| routes.refused().iter());
        of_routes.chain(self.https.refused().iter())
    }

    /// The hosts of a bucket, by the name of its resource.
    pub(super) fn suspects(&self, bucket: &str) -> Vec<Suspect> {
        let mut found = self.configurations().filter_map(|routes| routes.suspects(bucket));
        found.next().unwrap_or_default()
    }

    /// Has a host answer 503 on the ports where it is what a proxy refused.
    pub(super) fn withhold(&mut self, withheld: &Withheld) {
        for routes in self.configurations_mut() {
            routes.withhold(withheld.clone());
        }
    }

    /// Serves those hosts again whose refusal is none of these proxies'.
    pub(super) fn release(&mut self, settings: &Settings, table: &Table, proxies: &[Proxy]) {
        let released = self
            .configurations_mut()
            .flat_map(|routes| routes.release(proxies));
        for fqdn in released.collect::<Vec<_>>() {
            if let Some(host) = table.hosts.get(&fqdn) {
                self.route(settings, &fqdn, host);
            }
        }
    }

    fn configurations(&self) -> impl Iterator<Item = &Configuration> {
        [&self.http].into_iter().chain(self.secure.values())
    }

    fn configurations_mut(&mut self) -> impl Iterator<Item = &mut Configuration> {
        [&mut self.http].into_iter().chain(self.secure.values_mut())
    }

    fn present(&mut self, fqdn: &Arc<str>, certificate: Option<&Name>) {
        let before = match certificate {
            Some(name) => self.certificates.insert(fqdn.clone(), name.clone()),
            None => self.certificates.remove(fqdn),
        };
        if let Some(before) = before {
            self.absent(fqdn, before);
        }
        if let Some(name) = certificate {
            self.presenters
                .entry(name.clone())
                .or_default()
                .insert(fqdn.clone());
        }
    }

    fn absent(&mut self, fqdn: &Arc<str>, certificate: Name) {
        if let Entry::Occupied(mut presenters) = self.presenters.entry(certificate) {
            presenters.get_mut().remove(fqdn);
            if presenters.get().is_empty() {
                presenters.remove();
            }
        }
    }

    fn forget(&mut self, fqdn: &Arc<str>) {
        self.templates.remove(fqdn);
        self.retiring.remove(fqdn);
        self.http.remove(fqdn);
        self.remove_secure(fqdn, None);
    }

    fn route(&mut self, settings: &Settings, fqdn: &Arc<str>, host: &Host) {
        let none = HostTemplates::default();
        let HostTemplates {
            http,
            secure,
            inherited,
        } = self.templates.get(fqdn).unwrap_or(&none);
        self.http.set(fqdn, &source(host, &host.http, http, *inherited));
        let terminated = host.tls.as_ref().and_then(terminated);
        if let Some((tls, vhost)) = terminated
            && let Some(configuration) = self.secure.get_mut(&settings.minimum(tls))
        {
            configuration.set(fqdn, &source(host, vhost, secure, *inherited));
        }
        self.remove_secure(fqdn, terminated.map(|(tls, _)| settings.minimum(tls)));
    }

    /// Removes a host from the route configurations of all versions but one.
    fn remove_secure(&mut self, fqdn: &Arc<str>, but: Option<TlsVersion>) {
        for (minimum, configuration) in &mut self.secure {
            if Some(*minimum) != but {
                configuration.remove(fqdn);
            }
        }
    }
}

/// Of all policies of a host. None: none says any.
fn inherited(table: &Table, fqdn: &str) -> Option<Timeout> {
    let first = PolicyKey(format!("{fqdn} ").into());
    let policies = table.policies.range(first..);
    let policies = policies.take_while(|(key, _)| key.host() == fqdn);
    let limits = policies.filter_map(|(_, policy)| policy.timeout_ms);
    limits
        .max_by_key(|limit| limit.checked_sub(1).unwrap_or(u64::MAX))
        .map(|limit| match limit {
            0 => Timeout::Infinite,
            limit => Timeout::After(Duration::from_millis(limit)),
        })
}

fn source<'a>(
    host: &'a Host,
    vhost: &'a Vhost,
    templates: &'a Templates,
    inherited: Option<Timeout>,
) -> Source<'a> {
    Source {
        inherited,
        fqdn: &host.fqdn,
        root: &host.root,
        vhost,
        retired: templates.retired.keys().collect(),
        port: port(host, vhost),
    }
}

/// The port of a vhost of the host.
fn port(host: &Host, vhost: &Vhost) -> Port {
    match host.tls.as_ref().and_then(terminated) {
        Some((_, secure)) if std::ptr::eq(secure, vhost) => Port::Https,
        Some(_) => Port::HttpBesideHttps,
        None => Port::Http,
    }
}

fn terminated(tls: &HostTls) -> Option<(&EdgeTls, &Vhost)> {
    match tls {
        HostTls::Terminate { tls, vhost } => Some((tls, vhost)),
        HostTls::TerminateTcp { .. } | HostTls::Passthrough { .. } => None,
    }
}

// === impl HostTemplates ===

impl HostTemplates {
    /// Answers whether any is retired.
    fn set(&mut self, host: &Host, generation: u64) -> bool {
        let none = BTreeSet::new();
        let secure = host
            .tls
            .as_ref()
            .and_then(terminated)
            .map(|(_, vhost)| &vhost.templates);
        self.http.set(&host.http.templates, generation);
        self.secure.set(secure.unwrap_or(&none), generation);
        self.retire_any()
    }

    /// Answers whether any is left that is retired.
    fn prune(&mut self, acked: u64) -> bool {
        self.http.retired.retain(|_, since| *since > acked);
        self.secure.retired.retain(|_, since| *since > acked);
        self.retire_any()
    }

    fn retire_any(&self) -> bool {
        !(self.http.retired.is_empty() && self.secure.retired.is_empty())
    }
}

// === impl Templates ===

impl Templates {
    fn set(&mut self, now: &BTreeSet<Template>, generation: u64) {
        self.retired.retain(|template, _| !now.contains(template));
        for gone in self.used.difference(now) {
            self.retired.insert(gone.clone(), generation);
        }
        self.used.clone_from(now);
    }
}
