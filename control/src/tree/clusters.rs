//! Clusters in words.

use switchyard_core::table::WeightedCluster;

/// The Services of clusters, with their shares if there are several.
pub(super) fn clusters(clusters: &[WeightedCluster]) -> String {
    let total: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
    let share = |WeightedCluster { cluster, weight }: &WeightedCluster| match clusters.len() {
        1 => service(&cluster.0),
        _ => format!("{} ({weight}/{total})", service(&cluster.0)),
    };
    clusters.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// A cluster's name without its digest.
fn service(cluster: &str) -> String {
    cluster
        .rsplit_once('/')
        .map_or(cluster, |(service, _)| service)
        .to_owned()
}
