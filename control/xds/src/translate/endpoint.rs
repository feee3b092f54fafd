//! Endpoints to `ClusterLoadAssignment`.

use crate::pack;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
};
use switchyard_core::{
    object::Address,
    table::{self, ClusterName},
};

/// The endpoints of a cluster. Of none, an assignment that is empty: a cluster without one waits for it.
pub(super) fn assignment(
    ClusterName(cluster): &ClusterName,
    endpoints: &[table::Endpoint],
) -> ClusterLoadAssignment {
    let locality = LocalityLbEndpoints {
        lb_endpoints: endpoints.iter().map(lb_endpoint).collect(),
        ..Default::default()
    };
    ClusterLoadAssignment {
        cluster_name: cluster.to_string(),
        endpoints: if endpoints.is_empty() {
            vec![]
        } else {
            vec![locality]
        },
        ..Default::default()
    }
}

fn lb_endpoint(table::Endpoint { address, port }: &table::Endpoint) -> LbEndpoint {
    match address {
        Address::Ip(address) => at(&address.to_string(), *port),
        Address::Fqdn(name) => at(name, *port),
    }
}

/// One endpoint, by address or by name.
pub(super) fn at(address: &str, port: u16) -> LbEndpoint {
    let endpoint = Endpoint {
        address: Some(pack::socket_address(address, port)),
        ..Default::default()
    };
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(endpoint)),
        ..Default::default()
    }
}
