//! Endpoints to `ClusterLoadAssignment`.

use crate::pack;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
};
use switchyard_core::table::{self, ClusterName};

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
    let endpoint = Endpoint {
        address: Some(pack::socket_address(&address.to_string(), *port)),
        ..Default::default()
    };
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(endpoint)),
        ..Default::default()
    }
}
