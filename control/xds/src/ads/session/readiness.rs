//! The readiness of an Envoy, which its status listener reports.
//!
//! An Envoy that rejected its first routes is live, and answers 404 for every host. So its bootstrap makes it ready
//! only once it has a certain cluster, without endpoints, and names that cluster in the node's metadata. The cluster is
//! sent when the Envoy has accepted all routes that it subscribed to, and never removed: an Envoy that rejects an
//! update still serves its old routes.

use crate::{
    pack,
    resource::{Body, Resource},
};
use envoy_types::pb::envoy::config::cluster::v3::{
    Cluster,
    cluster::{ClusterDiscoveryType, DiscoveryType},
};
use std::{sync::Arc, time::Duration};

/// The cluster that makes one Envoy ready.
#[derive(Debug)]
pub(super) struct Readiness {
    pub(super) cluster: Arc<str>,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The Envoy has not accepted all its routes yet.
    Withheld,
    /// The Envoy has accepted its routes, and the cluster is to be sent.
    Due,
    Sent,
}

// === impl Readiness ===

impl Readiness {
    pub(super) fn new(cluster: &str) -> Self {
        Self {
            cluster: cluster.into(),
            state: State::Withheld,
        }
    }

    pub(super) fn resource(&self) -> Resource {
        let cluster = Cluster {
            name: self.cluster.to_string(),
            connect_timeout: Some(pack::duration(Duration::from_secs(1))),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
            ..Default::default()
        };
        Resource {
            version: pack::version(&*self.cluster),
            body: Body::Encoded(pack::encode(&cluster)),
        }
    }
}
