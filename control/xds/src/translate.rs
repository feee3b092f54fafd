//! Routing table to Envoy resources, by what a change touches.
//!
//! ```text
//! Table.clusters      -> Cluster, ClusterLoadAssignment
//!      .certificates  -> Secret                            one for each host that presents it
//!      .hosts         -> RouteConfiguration, Listener      a VirtualHost for each host and port; a bucket of hosts is a
//!                                                           RouteConfiguration
//!      .switches      -> TypedExtensionConfig              a section for each switch, for each policy, and for each
//!      .policies                                            plain route that has policies
//! ```
//!
//! What the table no longer names may still be in use where a proxy is behind: clusters, templates and sections stay
//! until [`Translator::prune`] is told that no proxy is.

mod access_log;
mod bucket;
mod cluster;
mod configuration;
mod containment;
mod endpoint;
mod filters;
mod hosts;
mod http;
pub(crate) mod listener;
mod mirror;
mod published;
mod refused;
mod route;
mod scope;
mod secret;
mod shard;
mod tcp;
mod tls;

pub use bucket::Buckets;
pub(crate) use containment::PROBE;
pub(crate) use mirror::mirror_name;
pub use refused::{Origin, Refusal};
pub(crate) use route::FILTER;
pub use route::{HTTPS_REDIRECT, template_name};
pub(crate) use shard::Shard;

use crate::{
    ads::Proxy,
    pack,
    resource::{Body, ResourceType, Update},
};
use containment::{Containment, Outcome};
use filters::Filters;
use hosts::Hosts;
use mirror::Mirrors;
use prost::Message;
use published::Published;
use serde::Serialize;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};
use switchyard_core::{
    graph::Change,
    table::{Certificate, ClusterName, Table, TlsVersion},
};

/// What does not depend on objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Where plain HTTP is taken.
    pub http: SocketAddr,
    /// Where TLS is taken, while a host has any.
    pub https: SocketAddr,
    /// A file of the proxy.
    pub access_log: String,
    /// Tell clients which branch answered.
    pub expose_branch: bool,
    /// How many proxies in front add to `x-forwarded-for`.
    pub xff_trusted_hops: u32,
    /// Of every host. Hosts that ask for more share one filter chain for each version, whose connections drain when
    /// another such host comes or goes; so this is best what most hosts ask for.
    pub minimum_tls: TlsVersion,
    /// The number of parts that the hosts of a listener are cut in, of which a change sends one.
    pub buckets: Buckets,
}

/// What the proxies were told, and how it follows from the table.
#[derive(Debug)]
pub struct Translator {
    settings: Settings,
    published: Published,
    hosts: Hosts,
    mirrors: Mirrors,
    filters: Filters,
    containment: Containment,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: (Ipv4Addr::UNSPECIFIED, 8080).into(),
            https: (Ipv4Addr::UNSPECIFIED, 8443).into(),
            access_log: "/dev/stdout".to_owned(),
            expose_branch: false,
            xff_trusted_hops: 0,
            minimum_tls: TlsVersion::default(),
            buckets: Buckets::ONE,
        }
    }
}

// === impl Translator ===

impl Translator {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            published: Published::default(),
            hosts: Hosts::new(&settings),
            mirrors: Mirrors::default(),
            filters: Filters::new(&settings),
            containment: Containment::default(),
            settings,
        }
    }

    /// What there is without any object.
    pub fn start(&mut self) -> Update {
        scope::publish(self.settings.buckets, &mut self.published);
        self.probe();
        self.hosts.publish(&self.settings, &mut self.published);
        self.filters.start(&mut self.published);
        self.published.take()
    }

    /// Translates what changed. The update is to be published as `generation`, which is more than the last was.
    pub fn update(&mut self, table: &Table, change: &Change, generation: u64) -> Update {
        let Change {
            hosts,
            switches: _,
            clusters,
            endpoints,
            certificates,
            policies,
            statuses: _,
            derived: _,
        } = change;
        for name in clusters {
            self.set_cluster(table, name, generation);
        }
        for name in clusters.union(endpoints) {
            self.set_endpoints(table, name, generation);
        }
        self.mirrors.set(table, change, generation, &mut self.published);
        for fqdn in hosts.union(&self.hosts.handed_down(table, policies)) {
            self.hosts.set(&self.settings, table, fqdn, generation);
        }
        for fqdn in self.hosts.presenting(hosts, certificates) {
            self.set_secret(table, &fqdn);
        }
        self.hosts.publish(&self.settings, &mut self.published);
        self.filters.set(table, change, generation, &mut self.published);
        self.published.take()
    }

    /// Lets go of what no proxy uses, now that all have acknowledged the generation `acked`.
    pub fn prune(&mut self, table: &Table, acked: u64) -> Update {
        self.published.prune(acked);
        self.hosts.prune(&self.settings, table, acked);
        self.hosts.publish(&self.settings, &mut self.published);
        self.filters.prune(acked, &mut self.published);
        self.published.take()
    }

    /// Contains what proxies refuse, as far as they have said: finds the host that it is about, and has it answer 503. The
    /// update is to be published as `generation`, which is more than the last was.
    pub fn contain(&mut self, table: &Table, proxies: &[Proxy], generation: u64, now: Instant) -> Update {
        self.hosts.release(&self.settings, table, proxies);
        match self.containment.review(proxies, now) {
            None => {}
            Some(Outcome::Ask) => self.ask(generation, now),
            Some(Outcome::Withhold(withheld)) => {
                self.hosts.withhold(&withheld);
                self.probe();
            }
            Some(Outcome::Nobody) => {
                self.probe();
            }
        }
        self.hosts.publish(&self.settings, &mut self.published);
        let published = |name: &str| self.published.version(ResourceType::Route, name);
        if let Some(accused) = self.containment.accused(proxies, published) {
            let suspects = self.hosts.suspects(&accused.0);
            self.containment.begin(accused, suspects, proxies, now);
            self.ask(generation, now);
        }
        self.published.take()
    }

    /// The time to contain at, though no proxy says anything new.
    #[must_use]
    pub fn containment_deadline(&self) -> Option<Instant> {
        self.containment.deadline()
    }

    fn ask(&mut self, generation: u64, now: Instant) {
        let version = self.probe();
        self.containment.sent(version, generation, now);
    }

    /// Publishes the hosts that the proxies are asked about, if any. With its version.
    fn probe(&mut self) -> u64 {
        let asked = self.containment.asked();
        let hosts: Vec<_> = asked.iter().map(|host| (&host.fqdn, host.version)).collect();
        let version = pack::version(&(PROBE, self.containment.searched(), hosts));
        let fields = asked.iter().map(|host| &host.field);
        let body = || Body::Encoded(configuration::encode(PROBE, None, fields));
        self.published
            .set(ResourceType::Route, &PROBE.into(), version, body);
        version
    }

    /// The messages that are not sent, for Envoy would refuse them, or has refused them.
    pub fn refused(&self) -> impl Iterator<Item = (&Origin, &Refusal)> {
        self.published.refused().iter().chain(self.hosts.refused())
    }

    fn set_cluster(&mut self, table: &Table, name: &ClusterName, generation: u64) {
        let ClusterName(key) = name;
        match table.clusters.get(name) {
            Some(cluster) => {
                let message = || encoded(&cluster::cluster(cluster));
                self.published
                    .set(ResourceType::Cluster, key, pack::version(&**cluster), message);
            }
            None => self.published.retire(ResourceType::Cluster, key, generation),
        }
    }

    fn set_endpoints(&mut self, table: &Table, name: &ClusterName, generation: u64) {
        let ClusterName(key) = name;
        if !table.clusters.contains_key(name) {
            self.published.retire(ResourceType::Endpoint, key, generation);
        } else if let Some(endpoints) = table.endpoints.get(name) {
            let message = || encoded(&endpoint::assignment(name, endpoints));
            let version = pack::version(endpoints.as_slice());
            self.published.set(ResourceType::Endpoint, key, version, message);
        }
    }

    fn set_secret(&mut self, table: &Table, fqdn: &Arc<str>) {
        let certificate = self
            .hosts
            .certificate(fqdn)
            .and_then(|name| table.certificates.get(name));
        match certificate {
            Some(certificate) => {
                let message = || encoded(&secret::secret(fqdn, certificate));
                let version = pack::version::<Certificate>(certificate);
                self.published.set(ResourceType::Secret, fqdn, version, message);
            }
            None => self.published.remove(ResourceType::Secret, fqdn),
        }
    }
}

fn encoded<M: Message>(message: &M) -> Body {
    Body::Encoded(pack::encode(message))
}

#[cfg(test)]
mod tests;
