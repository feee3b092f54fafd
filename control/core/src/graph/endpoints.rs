//! Endpoints of a Service's port: addresses from its slices, or from names that are resolved.

use super::{
    Settings,
    objects::{Objects, is_fqdn},
};
use crate::{
    address::{AddressRule, ForbiddenAddress, Host, HostError},
    object::{Address, EndpointSlice, Endpoints, Kind, Name, Service, ServicePort},
    table::Endpoint,
};
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// The endpoints of a Service's port, and what is wrong with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Located {
    pub(crate) endpoints: BTreeSet<Endpoint>,
    /// Names that the endpoints are resolved from.
    pub(crate) names: BTreeSet<Arc<str>>,
    /// A name has no addresses yet.
    pub(crate) is_unresolved: bool,
    pub(crate) errors: BTreeSet<EndpointError>,
}

/// A reason why a Service has no endpoints, or not all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error(
        "Service {0} is of type ExternalName, which is off: --allow-external-names allows such Services, or use one that \
         has endpoints"
    )]
    ExternalName(Name),
    #[error(
        "EndpointSlice {0} has addressType FQDN, which is off: --allow-external-names allows names, or use addresses"
    )]
    FqdnSlice(Name),
    #[error("{kind} {object}: {error}")]
    Host {
        kind: Kind,
        object: Name,
        error: HostError,
    },
    #[error("{kind} {object}: {name:?} resolves to {address}")]
    ResolvesTo {
        kind: Kind,
        object: Name,
        name: Arc<str>,
        address: ForbiddenAddress,
    },
    #[error("{kind} {object}: {name:?} has no address yet: {reason}")]
    Unresolved {
        kind: Kind,
        object: Name,
        name: Arc<str>,
        reason: String,
    },
    #[error("{kind} {object}: no requests are sent to {address}{}", and_more(*.more))]
    Dropped {
        kind: Kind,
        object: Name,
        address: ForbiddenAddress,
        /// Further addresses that are dropped.
        more: usize,
    },
}

/// An object that says where a Service is served.
#[derive(Clone, Copy)]
struct Source<'a> {
    kind: Kind,
    name: &'a Name,
}

struct Locator<'a> {
    objects: &'a Objects,
    settings: &'a Settings,
    found: Located,
}

/// Finds the endpoints of a Service's port: those of its ExternalName, of its slices, or where it has no slice of its
/// Endpoints.
pub(crate) fn locate(
    objects: &Objects,
    settings: &Settings,
    service: &Service,
    port: &ServicePort,
) -> Located {
    let mut locator = Locator {
        objects,
        settings,
        found: Located::default(),
    };
    if let Some(external_name) = &service.external_name {
        locator.external_name(&service.name, external_name, port.port);
    } else if objects.slices(&service.name).next().is_some() {
        for slice in objects.slices(&service.name) {
            locator.slice(slice, &port.name);
        }
    } else if let Some(endpoints) = objects.endpoints(&service.name) {
        locator.endpoints(endpoints, &port.name);
    }
    locator.found
}

/// The endpoints of a Service's port. None: no name of it has an address yet, so proxies keep what they have.
pub(crate) fn ready(
    objects: &Objects,
    settings: &Settings,
    service: &Name,
    port: u16,
) -> Option<Vec<Endpoint>> {
    let Some(service) = objects.service(service) else {
        return Some(Vec::new());
    };
    let Some(port) = service.ports.iter().find(|candidate| candidate.port == port) else {
        return Some(Vec::new());
    };
    let located = locate(objects, settings, service, port);
    let is_unknown = located.is_unresolved && located.endpoints.is_empty();
    (!is_unknown).then(|| located.endpoints.into_iter().collect())
}

/// Returns whether statuses mention a slice: it holds names, or addresses that get no requests.
pub(crate) fn is_slice_reported(settings: &Settings, slice: &EndpointSlice) -> bool {
    let mut addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    is_fqdn(slice)
        || addresses.any(|address| match address {
            Address::Ip(address) => settings.endpoint_rule().check(*address).is_err(),
            Address::Fqdn(_) => true,
        })
}

/// Returns whether statuses mention Endpoints: they have addresses that get no requests.
pub(crate) fn are_endpoints_reported(settings: &Settings, endpoints: &Endpoints) -> bool {
    let mut addresses = endpoints.subsets.iter().flat_map(|subset| &subset.addresses);
    addresses.any(|address| settings.endpoint_rule().check(*address).is_err())
}

fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(", nor to {more} more of its addresses"),
    }
}

// === impl Locator ===

impl Locator<'_> {
    fn external_name(&mut self, service: &Name, external_name: &str, port: u16) {
        if !self.settings.allow_external_names {
            let error = EndpointError::ExternalName(service.clone());
            self.found.errors.insert(error);
            return;
        }
        let source = Source {
            kind: Kind::Service,
            name: service,
        };
        self.host(source, external_name, port);
    }

    fn slice(&mut self, slice: &EndpointSlice, port: &str) {
        let Some(port) = slice.ports.get(port).copied() else {
            return;
        };
        if is_fqdn(slice) && !self.settings.allow_external_names {
            let error = EndpointError::FqdnSlice(slice.name.clone());
            self.found.errors.insert(error);
            return;
        }
        let source = Source {
            kind: Kind::EndpointSlice,
            name: &slice.name,
        };
        let ready = slice.endpoints.iter().filter(|endpoint| endpoint.ready);
        let mut addresses = Vec::new();
        for address in ready.flat_map(|endpoint| &endpoint.addresses) {
            match address {
                Address::Ip(address) => addresses.push((*address, port)),
                Address::Fqdn(name) => self.host(source, name, port),
            }
        }
        self.addresses(source, addresses);
    }

    fn endpoints(&mut self, endpoints: &Endpoints, port: &str) {
        let source = Source {
            kind: Kind::Endpoints,
            name: &endpoints.name,
        };
        let subsets = endpoints
            .subsets
            .iter()
            .filter_map(|subset| Some((subset, *subset.ports.get(port)?)));
        let addresses =
            subsets.flat_map(|(subset, port)| subset.addresses.iter().map(move |address| (*address, port)));
        self.addresses(source, addresses);
    }

    fn addresses(&mut self, source: Source<'_>, addresses: impl IntoIterator<Item = (IpAddr, u16)>) {
        let rule = self.settings.endpoint_rule();
        let mut dropped = BTreeSet::new();
        for (address, port) in addresses {
            match rule.check(address) {
                Ok(()) => {
                    self.found.endpoints.insert(Endpoint { address, port });
                }
                Err(forbidden) => {
                    dropped.insert(forbidden);
                }
            }
        }
        let more = dropped.len().saturating_sub(1);
        self.found
            .errors
            .extend(dropped.pop_first().map(|address| EndpointError::Dropped {
                kind: source.kind,
                object: source.name.clone(),
                address,
                more,
            }));
    }

    fn host(&mut self, source: Source<'_>, text: &str, port: u16) {
        match text.parse() {
            Ok(Host::Address(address)) => {
                self.found.endpoints.insert(Endpoint { address, port });
            }
            Ok(Host::Name(name)) => {
                let resolved = self.resolved(source, &name);
                let endpoints = resolved.into_iter().map(|address| Endpoint { address, port });
                self.found.endpoints.extend(endpoints);
                self.found.names.insert(name);
            }
            Err(error) => {
                let error = EndpointError::Host {
                    kind: source.kind,
                    object: source.name.clone(),
                    error,
                };
                self.found.errors.insert(error);
            }
        }
    }

    /// The addresses of a name that may be connected to. Most clusters have no IPv6, and a name that has an address of each
    /// kind is no reason to need it.
    fn resolved(&mut self, source: Source<'_>, name: &Arc<str>) -> BTreeSet<IpAddr> {
        let Source { kind, name: object } = source;
        let Some(known) = self.objects.dns_name(name) else {
            self.found.is_unresolved = true;
            return BTreeSet::new();
        };
        let addresses = match &known.addresses {
            Ok(addresses) => addresses,
            Err(reason) => {
                self.found.is_unresolved = true;
                self.found.errors.insert(EndpointError::Unresolved {
                    kind,
                    object: object.clone(),
                    name: name.clone(),
                    reason: reason.clone(),
                });
                return BTreeSet::new();
            }
        };
        let rule = AddressRule::default();
        let mut forbidden = addresses.iter().filter_map(|address| rule.check(*address).err());
        let (v4, v6): (BTreeSet<_>, BTreeSet<_>) = addresses
            .iter()
            .filter(|address| rule.check(**address).is_ok())
            .partition(|address| address.is_ipv4());
        if v4.is_empty()
            && v6.is_empty()
            && let Some(address) = forbidden.next()
        {
            self.found.errors.insert(EndpointError::ResolvesTo {
                kind,
                object: object.clone(),
                name: name.clone(),
                address,
            });
        }
        if v4.is_empty() { v6 } else { v4 }
    }
}

// === impl EndpointError ===

impl EndpointError {
    /// Returns whether the Service gets no requests at all, because it asks for what is not allowed. A name that cannot be
    /// resolved yet, and single addresses, leave the rest as it is.
    pub(crate) fn is_fatal(&self) -> bool {
        match self {
            Self::ExternalName(_) | Self::FqdnSlice(_) | Self::Host { .. } | Self::ResolvesTo { .. } => true,
            Self::Unresolved { .. } | Self::Dropped { .. } => false,
        }
    }
}
