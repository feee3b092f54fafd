//! The routes of a listener's connections: a table of hosts, of which a change touches one bucket.

use super::{
    bucket::{Bucket, Buckets},
    containment::{Suspect, Withheld},
    published::Published,
    refused::{Origin, Refused},
    route::{self, Source},
};
use crate::{
    ads::Proxy,
    pack,
    resource::{Body, ResourceType},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The number of `RouteConfiguration.virtual_hosts`.
const VIRTUAL_HOSTS: u32 = 2;
const VIRTUAL_HOST: &str = "type.googleapis.com/envoy.config.route.v3.VirtualHost";

/// One table.
#[derive(Debug)]
pub(super) struct Configuration {
    name: &'static str,
    /// The status that is answered for hosts that it has not.
    status: u32,
    buckets: Buckets,
    hosts: BTreeMap<Bucket, BTreeMap<Arc<str>, Encoded>>,
    /// Those of `hosts` that answer 503, for Envoy would refuse what they should be.
    refused: Refused,
    /// Those of `hosts` that answer 503, for a proxy has refused what they should be.
    withheld: BTreeMap<Arc<str>, Withheld>,
    /// The buckets that are not published as they are.
    changed: BTreeSet<Bucket>,
}

#[derive(Clone, Debug)]
struct Encoded {
    /// A hash of its source.
    source: u64,
    version: u64,
    /// The field of `RouteConfiguration` that it is.
    field: Bytes,
}

// === impl Configuration ===

impl Configuration {
    pub(super) fn new(name: &'static str, status: u32, buckets: Buckets) -> Self {
        Self {
            name,
            status,
            buckets,
            hosts: BTreeMap::new(),
            refused: Refused::default(),
            withheld: BTreeMap::new(),
            changed: buckets.all().collect(),
        }
    }

    /// Adds or replaces a host. Envoy takes or refuses all hosts of a bucket at once, so one that it would refuse answers 503.
    pub(super) fn set(&mut self, fqdn: &Arc<str>, source: &Source<'_>) {
        let version = pack::version(source);
        if self.host(fqdn).is_some_and(|host| host.source == version) {
            return;
        }
        self.withheld.remove(fqdn);
        let mut message = pack::encode(&source.virtual_host());
        let origin = Origin::Host(fqdn.clone());
        if !self.refused.admits(origin, (VIRTUAL_HOST, &**fqdn), &message) {
            message = pack::encode(&route::unavailable(fqdn));
        }
        let encoded = Encoded {
            source: version,
            version,
            field: pack::field(VIRTUAL_HOSTS, &message),
        };
        self.place(fqdn, &encoded);
    }

    pub(super) fn remove(&mut self, fqdn: &str) {
        self.withheld.remove(fqdn);
        for bucket in self.buckets.holding(fqdn) {
            let hosts = self.hosts.entry(bucket).or_default();
            if let Some((fqdn, _)) = hosts.remove_entry(fqdn) {
                let origin = Origin::Host(fqdn.clone());
                self.refused.forget(origin, (VIRTUAL_HOST, &*fqdn));
                self.changed.insert(bucket);
            }
        }
    }

    /// Has a host answer 503 until it changes, unless it has changed already.
    pub(super) fn withhold(&mut self, withheld: Withheld) {
        let Withheld {
            fqdn,
            version,
            reason,
            by: _,
        } = &withheld;
        let Some(host) = self.host(fqdn).filter(|host| host.version == *version) else {
            return;
        };
        let encoded = Encoded {
            source: host.source,
            version: pack::version(&("withheld", version)),
            field: pack::field(VIRTUAL_HOSTS, &pack::encode(&route::unavailable(fqdn))),
        };
        let origin = Origin::Host(fqdn.clone());
        self.refused
            .hears(origin, (VIRTUAL_HOST, &**fqdn), reason.clone());
        self.place(fqdn, &encoded);
        self.withheld.insert(fqdn.clone(), withheld);
    }

    /// Forgets the hosts whose refusal is none of these proxies'. They are to be set once more.
    pub(super) fn release(&mut self, proxies: &[Proxy]) -> Vec<Arc<str>> {
        let outdated = self
            .withheld
            .extract_if(.., |_, withheld| withheld.is_outdated(proxies));
        let released: Vec<_> = outdated.map(|(fqdn, _)| fqdn).collect();
        for fqdn in &released {
            for bucket in self.buckets.holding(fqdn) {
                let hosts = self.hosts.entry(bucket).or_default();
                hosts.remove(fqdn);
            }
        }
        released
    }

    /// The hosts of a bucket, by the name of its resource, if the bucket is of this table.
    pub(super) fn suspects(&self, name: &str) -> Option<Vec<Suspect>> {
        let mut names = self.buckets.names(self.name);
        let (bucket, _) = names.find(|(_, other)| other == name)?;
        let hosts = self.hosts.get(&bucket).into_iter().flatten();
        let suspects = hosts.map(|(fqdn, host)| Suspect {
            fqdn: fqdn.clone(),
            version: host.version,
            field: host.field.clone(),
        });
        Some(suspects.collect())
    }

    /// The hosts that Envoy would refuse, or has refused.
    pub(super) fn refused(&self) -> &Refused {
        &self.refused
    }

    /// Publishes the buckets that changed.
    pub(super) fn publish(&mut self, published: &mut Published) {
        for bucket in std::mem::take(&mut self.changed) {
            let name = self.buckets.name(self.name, bucket);
            let none = BTreeMap::new();
            let hosts = self.hosts.get(&bucket).unwrap_or(&none);
            let others = (!hosts.contains_key(route::ANY)).then_some(self.status);
            let fields = hosts.values().map(|host| &host.field);
            let body = || Body::Encoded(encode(&name, others, fields));
            published.set(ResourceType::Route, &name.as_str().into(), version(hosts), body);
        }
    }

    fn host(&self, fqdn: &str) -> Option<&Encoded> {
        let bucket = self.buckets.holding(fqdn).next()?;
        self.hosts.get(&bucket)?.get(fqdn)
    }

    fn place(&mut self, fqdn: &Arc<str>, encoded: &Encoded) {
        for bucket in self.buckets.holding(fqdn) {
            let hosts = self.hosts.entry(bucket).or_default();
            hosts.insert(fqdn.clone(), encoded.clone());
            self.changed.insert(bucket);
        }
    }
}

/// A route configuration with these virtual hosts; `others` is answered for all other hosts, if one of these does not.
pub(super) fn encode<'a>(
    name: &str,
    others: Option<u32>,
    fields: impl Iterator<Item = &'a Bytes> + Clone,
) -> Bytes {
    let rest = pack::encode(&route::configuration(name, others));
    let len = rest.len() + fields.clone().map(Bytes::len).sum::<usize>();
    let mut buffer = Vec::with_capacity(len);
    buffer.extend_from_slice(&rest);
    for field in fields {
        buffer.extend_from_slice(field);
    }
    buffer.into()
}

fn version(hosts: &BTreeMap<Arc<str>, Encoded>) -> u64 {
    let hosts: Vec<_> = hosts.iter().map(|(fqdn, host)| (fqdn, host.version)).collect();
    pack::version(&hosts)
}
