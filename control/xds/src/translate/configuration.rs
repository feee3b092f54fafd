//! A route configuration, of which a change touches one host.

use super::{
    published::Published,
    route::{self, Source},
};
use crate::{
    pack,
    resource::{Body, ResourceType},
};
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc};

/// The number of `RouteConfiguration.virtual_hosts`.
const VIRTUAL_HOSTS: u32 = 2;

/// Its hosts, each encoded.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    hosts: BTreeMap<Arc<str>, Encoded>,
    /// As it is, it was published.
    published: bool,
}

#[derive(Debug)]
struct Encoded {
    version: u64,
    /// The field of `RouteConfiguration` that it is.
    field: Bytes,
}

// === impl Configuration ===

impl Configuration {
    /// Adds or replaces a host.
    pub(super) fn set(&mut self, fqdn: &Arc<str>, source: &Source<'_>) {
        let version = pack::version(source);
        if self.hosts.get(fqdn).is_none_or(|host| host.version != version) {
            let field = pack::field(VIRTUAL_HOSTS, &pack::encode(&source.virtual_host()));
            self.hosts.insert(fqdn.clone(), Encoded { version, field });
            self.published = false;
        }
    }

    pub(super) fn remove(&mut self, fqdn: &str) {
        if self.hosts.remove(fqdn).is_some() {
            self.published = false;
        }
    }

    /// Under `name`; for hosts that it has not it answers `status`.
    pub(super) fn publish(&mut self, name: &str, status: u32, published: &mut Published) {
        if !self.published {
            let body = || Body::Encoded(self.encode(name, status));
            published.set(ResourceType::Route, &name.into(), self.version(), body);
            self.published = true;
        }
    }

    fn version(&self) -> u64 {
        let hosts: Vec<_> = self
            .hosts
            .iter()
            .map(|(fqdn, host)| (fqdn, host.version))
            .collect();
        pack::version(&hosts)
    }

    fn encode(&self, name: &str, status: u32) -> Bytes {
        let rest = pack::encode(&route::configuration(name, status));
        let fields = self.hosts.values().map(|host| &host.field);
        let len = rest.len() + fields.clone().map(Bytes::len).sum::<usize>();
        let mut buffer = Vec::with_capacity(len);
        buffer.extend_from_slice(&rest);
        for field in fields {
            buffer.extend_from_slice(field);
        }
        buffer.into()
    }
}
