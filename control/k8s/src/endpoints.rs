//! Endpoints of a Service: `discovery.k8s.io/v1` EndpointSlice, and the older `v1` Endpoints.

use crate::{FieldError, Reading, decode, service};
use k8s_openapi::api::{core, discovery::v1 as discovery};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};
use switchyard_core::object::{Address, EndpointSlice, EndpointSubset, Endpoints, Object, SliceEndpoint};

const SERVICE_LABEL: &str = "kubernetes.io/service-name";

pub(crate) fn endpoint_slice(document: Value) -> Result<Reading, FieldError> {
    let discovery::EndpointSlice {
        metadata,
        address_type,
        endpoints,
        ports,
    } = decode::decode(document)?;
    let label = metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(SERVICE_LABEL));
    // A slice without the label belongs to no Service: Kubernetes permits it, and it serves nothing.
    let service = label.map_or("", String::as_str);
    let endpoints = endpoints.into_iter().flatten().enumerate();
    Ok(Reading::whole(Object::EndpointSlice(EndpointSlice {
        name: decode::name(&metadata)?,
        service: Arc::from(service),
        ports: slice_ports(ports.unwrap_or_default())?,
        endpoints: endpoints
            .map(|(index, endpoint)| slice_endpoint(&address_type, index, endpoint))
            .collect::<Result<_, _>>()?,
    })))
}

fn slice_ports(ports: Vec<discovery::EndpointPort>) -> Result<BTreeMap<String, u16>, FieldError> {
    let mut numbers = BTreeMap::new();
    for (index, port) in ports.into_iter().enumerate() {
        // Without a number it means every port, so there is none to connect to.
        let Some(number) = port.port.filter(|_| service::is_tcp(port.protocol.as_deref())) else {
            continue;
        };
        let number = service::port_number(number, || format!("ports[{index}].port"))?;
        numbers.insert(port.name.unwrap_or_default(), number);
    }
    Ok(numbers)
}

fn slice_endpoint(
    address_type: &str,
    index: usize,
    endpoint: discovery::Endpoint,
) -> Result<SliceEndpoint, FieldError> {
    let address = |(at, text): (usize, String)| {
        let field = format!("endpoints[{index}].addresses[{at}]");
        match address_type {
            "FQDN" => Ok(Address::Fqdn(text)),
            _ => ip(&text, field).map(Address::Ip),
        }
    };
    let addresses = endpoint.addresses.into_iter().enumerate();
    Ok(SliceEndpoint {
        addresses: addresses.map(address).collect::<Result<_, _>>()?,
        ready: endpoint
            .conditions
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true),
    })
}

pub(crate) fn endpoints(document: Value) -> Result<Reading, FieldError> {
    let core::v1::Endpoints { metadata, subsets } = decode::decode(document)?;
    let subsets = subsets.unwrap_or_default().into_iter().enumerate();
    Ok(Reading::whole(Object::Endpoints(Endpoints {
        name: decode::name(&metadata)?,
        subsets: subsets
            .map(|(index, subset)| endpoint_subset(index, subset))
            .collect::<Result<_, _>>()?,
    })))
}

fn endpoint_subset(index: usize, subset: core::v1::EndpointSubset) -> Result<EndpointSubset, FieldError> {
    let core::v1::EndpointSubset {
        addresses,
        not_ready_addresses: _,
        ports,
    } = subset;
    let addresses = addresses.unwrap_or_default().into_iter().enumerate();
    let address = |(at, address): (usize, core::v1::EndpointAddress)| {
        ip(&address.ip, format!("subsets[{index}].addresses[{at}].ip"))
    };
    Ok(EndpointSubset {
        addresses: addresses.map(address).collect::<Result<_, _>>()?,
        ports: subset_ports(index, ports.unwrap_or_default())?,
    })
}

fn subset_ports(
    index: usize,
    ports: Vec<core::v1::EndpointPort>,
) -> Result<BTreeMap<String, u16>, FieldError> {
    let tcp = |port: &core::v1::EndpointPort| service::is_tcp(port.protocol.as_deref());
    let numbered = ports.into_iter().enumerate().filter(|(_, port)| tcp(port));
    numbered
        .map(|(at, port)| {
            let number = service::port_number(port.port, || format!("subsets[{index}].ports[{at}].port"))?;
            Ok((port.name.unwrap_or_default(), number))
        })
        .collect()
}

fn ip(text: &str, field: String) -> Result<IpAddr, FieldError> {
    text.parse()
        .map_err(|_| FieldError::new(field, format!("{text:?} is not an IP address")))
}
