//! `TcpProxy`.

use super::{Settings, access_log, listener};
use crate::pack;
use envoy_types::pb::envoy::{
    config::listener::v3::{Filter, filter::ConfigType},
    extensions::filters::network::tcp_proxy::v3::{
        TcpProxy,
        tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight},
    },
};
use switchyard_core::table;

/// No cluster has this name, so connections are closed.
const NOWHERE: &str = "switchyard-nowhere";

/// Sends bytes on.
pub(super) fn proxy(settings: &Settings, table::TcpProxy { clusters }: &table::TcpProxy) -> Filter {
    let proxy = TcpProxy {
        stat_prefix: listener::HTTPS.to_owned(),
        cluster_specifier: Some(cluster_specifier(clusters)),
        access_log: vec![access_log::tcp(&settings.access_log)],
        ..Default::default()
    };
    Filter {
        name: "envoy.filters.network.tcp_proxy".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&proxy))),
    }
}

/// Envoy refuses a share of 0.
fn cluster_specifier(clusters: &[table::WeightedCluster]) -> ClusterSpecifier {
    let shares = clusters.iter().filter(|cluster| cluster.weight > 0);
    let mut shares: Vec<_> = shares.map(share).collect();
    if shares.len() > 1 {
        return ClusterSpecifier::WeightedClusters(WeightedCluster { clusters: shares });
    }
    let only = shares.pop().map(|share| share.name);
    ClusterSpecifier::Cluster(only.unwrap_or_else(|| NOWHERE.to_owned()))
}

fn share(table::WeightedCluster { cluster, weight }: &table::WeightedCluster) -> ClusterWeight {
    ClusterWeight {
        name: cluster.to_string(),
        weight: *weight,
        ..Default::default()
    }
}
