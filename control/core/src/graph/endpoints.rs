//! Where a Service's port is served.

use super::objects::{Objects, is_fqdn};
use crate::{
    object::{Address, EndpointSlice, Name, Service, ServicePort},
    table::{Discovery, Endpoint},
};
use std::{collections::BTreeSet, sync::Arc};

/// How the endpoints of a Service's port are found. A slice of addressType FQDN holds names, which the proxy resolves.
pub(crate) fn discovery(objects: &Objects, service: &Service, port: &ServicePort) -> Discovery {
    if let Some(external_name) = &service.external_name {
        return Discovery::Dns(BTreeSet::from([(external_name.as_str().into(), port.port)]));
    }
    if !objects.slices(&service.name).any(is_fqdn) {
        return Discovery::Eds;
    }
    let name = |Endpoint { address, port }| match address {
        Address::Ip(address) => (Arc::from(address.to_string()), port),
        Address::Fqdn(name) => (name.into(), port),
    };
    Discovery::Dns(slice_endpoints(objects, &service.name, port).map(name).collect())
}

/// The ready endpoints of a Service's port, sorted: those of its slices, or where it has no slice of its Endpoints.
pub(crate) fn ready(objects: &Objects, service: &Name, port: u16) -> Vec<Endpoint> {
    let ports = objects.service(service).map_or(&[][..], |service| &service.ports);
    let Some(port) = ports.iter().find(|candidate| candidate.port == port) else {
        return Vec::new();
    };
    let endpoints: BTreeSet<_> = if objects.slices(service).next().is_some() {
        slice_endpoints(objects, service, port).collect()
    } else {
        subset_endpoints(objects, service, port).collect()
    };
    endpoints.into_iter().collect()
}

fn slice_endpoints(objects: &Objects, service: &Name, port: &ServicePort) -> impl Iterator<Item = Endpoint> {
    objects
        .slices(service)
        .filter_map(|slice| Some((slice, *slice.ports.get(&port.name)?)))
        .flat_map(|(slice, number)| {
            ready_addresses(slice).map(move |address| Endpoint {
                address: address.clone(),
                port: number,
            })
        })
}

fn ready_addresses(slice: &EndpointSlice) -> impl Iterator<Item = &Address> {
    let ready = slice.endpoints.iter().filter(|endpoint| endpoint.ready);
    ready.flat_map(|endpoint| &endpoint.addresses)
}

fn subset_endpoints(objects: &Objects, service: &Name, port: &ServicePort) -> impl Iterator<Item = Endpoint> {
    let subsets = objects
        .endpoints(service)
        .map_or(&[][..], |endpoints| &endpoints.subsets);
    subsets
        .iter()
        .filter_map(|subset| Some((subset, *subset.ports.get(&port.name)?)))
        .flat_map(|(subset, number)| {
            subset.addresses.iter().map(move |address| Endpoint {
                address: Address::Ip(*address),
                port: number,
            })
        })
}
