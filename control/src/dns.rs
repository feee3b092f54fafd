//! DNS resolution of upstream names. Control resolves them, so that Envoy never connects to a forbidden address,
//! whatever a name resolves to later.
//!
//! ```text
//! source -- Batch --> [ Cache ] -- Batch, with the addresses --> engine
//!                      |    ^
//!               names  v    | addresses
//!                    the system's resolver
//! ```
//!
//! The last good addresses of a name stay in use when a lookup fails. The graph drops forbidden addresses.

use crate::cache::{self, Cache, Fetched, Lookup, Stats, Uses};
use std::{collections::BTreeSet, io, net::IpAddr, sync::Arc, time::Duration};
use switchyard_core::{
    ObjectId,
    address::Host,
    object::{Address, Batch, DnsName, EndpointSlice, Object, Service},
};
use tokio::{net::lookup_host, sync::mpsc, time::timeout};

/// The refresh interval, which is Envoy's default.
const REFRESH: Duration = Duration::from_secs(5);
/// The timeout of a lookup.
const LONGEST: Duration = Duration::from_secs(5);

/// The lookup of addresses by name.
#[derive(Debug)]
struct DnsLookup;

/// A reason why a name has no addresses.
#[derive(Debug, thiserror::Error)]
enum LookupError {
    #[error("{0}")]
    Resolver(#[from] io::Error),
    #[error("no answer from the resolver within {}s", LONGEST.as_secs())]
    TimedOut(#[from] tokio::time::error::Elapsed),
    #[error("the name has no addresses")]
    NoAddress,
}

/// Forwards batches, with the addresses of the names in them, until the source ends or the receiver is dropped.
pub async fn run(batches: mpsc::Receiver<Batch>, engine: mpsc::Sender<Batch>) {
    let cache = Cache::new(Arc::<Stats>::default(), DnsLookup);
    cache::run(cache, look_up, batches, engine).await;
}

async fn look_up(name: Arc<str>) -> Result<Fetched<BTreeSet<IpAddr>>, LookupError> {
    let found = timeout(LONGEST, lookup_host((&*name, 0))).await??;
    let addresses: BTreeSet<_> = found.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(LookupError::NoAddress);
    }
    Ok(Fetched {
        value: addresses,
        max_age: None,
    })
}

fn names_of_slice(EndpointSlice { endpoints, .. }: &EndpointSlice) -> impl Iterator<Item = &str> {
    let addresses = endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    addresses.filter_map(|address| match address {
        Address::Fqdn(name) => Some(name.as_str()),
        Address::Ip(_) => None,
    })
}

// === impl DnsLookup ===

impl Lookup for DnsLookup {
    type Use = ();
    type Value = BTreeSet<IpAddr>;
    type Error = LookupError;
    const SUBJECT: &'static str = "the addresses of an upstream";
    const LONGEST_RETRY: Duration = Duration::from_secs(30);

    fn uses(object: &Object) -> Uses<()> {
        let name = |text: &str| match text.parse() {
            Ok(Host::Name(name)) => Some((name, ())),
            Ok(Host::Address(_)) | Err(_) => None,
        };
        match object {
            Object::Service(Service { external_name, .. }) => {
                external_name.as_deref().and_then(name).into_iter().collect()
            }
            Object::EndpointSlice(slice) => names_of_slice(slice).filter_map(name).collect(),
            _ => Uses::new(),
        }
    }

    fn id(name: Arc<str>) -> ObjectId {
        ObjectId::dns_name(name)
    }

    fn object(name: Arc<str>, addresses: Result<Self::Value, String>) -> Object {
        Object::DnsName(DnsName { name, addresses })
    }

    fn describe(addresses: &Self::Value) -> String {
        format!("{addresses:?}")
    }

    fn refresh(&self, _: Option<Duration>, _: &[()]) -> Duration {
        REFRESH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_slices_yield_names_to_resolve() {
        let service = |external_name: Option<&str>| {
            Object::Service(Service {
                name: switchyard_core::Name::new("default", "s"),
                ports: vec![],
                external_name: external_name.map(str::to_owned),
                limits: switchyard_core::object::Limits::default(),
            })
        };
        let names = |object: &Object| DnsLookup::uses(object).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&service(Some("DB.example"))), ["db.example".into()]);
        for nothing in [None, Some("10.0.0.1"), Some("localhost"), Some("a b")] {
            assert!(names(&service(nothing)).is_empty(), "{nothing:?}");
        }
        let slice = Object::EndpointSlice(EndpointSlice {
            name: switchyard_core::Name::new("default", "s"),
            service: "s".into(),
            ports: [].into(),
            endpoints: vec![switchyard_core::object::SliceEndpoint {
                addresses: ["a.example", "b.example", "127.1"]
                    .map(|name| Address::Fqdn(name.to_owned()))
                    .into(),
                ready: true,
            }],
        });
        assert_eq!(names(&slice), ["a.example".into(), "b.example".into()]);
    }
}
