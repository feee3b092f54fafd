//! Routing table to Envoy resources, by what a change touches.
//!
//! ```text
//! Table.clusters      -> Cluster, ClusterLoadAssignment
//!      .certificates  -> Secret                            one for each host that presents it
//!      .hosts         -> RouteConfiguration, Listener      a VirtualHost for each host and port
//!      .switches      -> TypedExtensionConfig              a section for each switch, for each policy, and for each
//!      .policies                                            plain route that has policies
//! ```
//!
//! What the table no longer names may still be in use where a proxy is behind: clusters, templates and sections stay
//! until [`Translator::prune`] is told that no proxy is.

mod access_log;
mod cluster;
mod configuration;
mod endpoint;
mod filters;
mod hosts;
mod http;
pub(crate) mod listener;
mod mirror;
mod published;
mod route;
mod secret;
mod shard;
mod tcp;
mod tls;

pub(crate) use mirror::mirror_name;
pub(crate) use route::FILTER;
pub use route::{HTTPS_REDIRECT, template_name};
pub(crate) use shard::Shard;

use crate::{
    pack,
    resource::{Body, ResourceType, Update},
};
use filters::Filters;
use hosts::Hosts;
use mirror::Mirrors;
use prost::Message;
use published::Published;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use switchyard_core::{
    graph::Change,
    table::{Certificate, ClusterName, Discovery, Table, TlsVersion},
};

/// What does not depend on objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
}

/// What the proxies were told, and how it follows from the table.
#[derive(Debug)]
pub struct Translator {
    settings: Settings,
    published: Published,
    hosts: Hosts,
    mirrors: Mirrors,
    filters: Filters,
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
            minimum_tls: TlsVersion::V1_1,
        }
    }
}

// === impl Translator ===

impl Translator {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            published: Published::default(),
            hosts: Hosts::default(),
            mirrors: Mirrors::default(),
            filters: Filters::new(&settings),
            settings,
        }
    }

    /// What there is without any object.
    pub fn start(&mut self) -> Update {
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
        let discovered = table
            .clusters
            .get(name)
            .is_some_and(|cluster| cluster.discovery == Discovery::Eds);
        if discovered {
            let endpoints = table
                .endpoints
                .get(name)
                .map(|endpoints| endpoints.as_slice())
                .unwrap_or_default();
            let message = || encoded(&endpoint::assignment(name, endpoints));
            self.published
                .set(ResourceType::Endpoint, key, pack::version(endpoints), message);
        } else {
            self.published.retire(ResourceType::Endpoint, key, generation);
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
