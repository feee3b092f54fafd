//! Services that get copies of requests, by Envoy's own mirroring.
//!
//! The filter says in `x-switchyard-mirror-0` and so on which clusters get a copy of a request. Envoy takes no copy into
//! consideration that has to wait: where one is behind, it stops reading the request itself. So a mirror is a cluster of its
//! own, however else its Service is used, with room for all of a copy: it is never behind, and what would need more room is
//! no longer copied. And what is used up by mirrors is not that of requests.
//!
//! Its name tells nothing, because upstreams see it: wherever Envoy removes a header before it sends a request, it has not
//! yet looked for the mirror.

use super::{cluster, encoded, endpoint, published::Published};
use crate::{pack, resource::ResourceType};
use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::Cluster,
            common::mutation_rules::v3::{HeaderMutation, header_mutation::Action},
            core::v3::{
                HeaderValue, HeaderValueOption, HttpProtocolOptions as CommonOptions,
                header_value_option::HeaderAppendAction,
            },
            route::v3::route_action::RequestMirrorPolicy,
        },
        extensions::{
            filters::{
                http::{body_size_limit::v3::BodySizeLimit, upstream_codec::v3::UpstreamCodec},
                network::http_connection_manager::v3::{HttpFilter, http_filter::ConfigType},
            },
            upstreams::http::v3::HttpProtocolOptions,
        },
    },
    google::protobuf::UInt64Value,
};
use prost::{Message, Name};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};
use switchyard_core::{
    graph::Change,
    object::Limits,
    table::{self, ClusterName, PolicyKey, Table},
};
use switchyard_policy::{config::Policy, hash::hash};

/// Those that the filter sets, but for their numbers.
const HEADER: &str = "x-switchyard-mirror-";
/// Tells a copy from a request.
const MIRRORED: &str = "x-switchyard-mirrored";
/// How large a body is copied, in bytes: what there is room for.
const MAX_BODY: u32 = 1024 * 1024;
/// How many copies a mirror may have at once in each proxy. Above this, there are fewer.
const MAX_COPIES: u32 = 128;
/// Those of one connection may be all that there are.
const CONNECTION_BUFFER: u32 = MAX_BODY * MAX_COPIES;
/// A copy whose request has no timeout has one.
const MAX_DURATION: Duration = Duration::from_secs(60);

/// The clusters of mirrors.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    by_policy: BTreeMap<PolicyKey, BTreeSet<ClusterName>>,
    /// Those of each cluster, of which there is one at least.
    policies: BTreeMap<ClusterName, BTreeSet<PolicyKey>>,
}

/// What the cluster is called by which a mirror is reached that `cluster` reaches, too.
pub(crate) fn mirror_name(cluster: &str) -> String {
    format!("mirror/{:016x}", hash(cluster.as_bytes()))
}

/// Of routes whose requests have so many copies at most.
pub(super) fn policies(count: usize) -> Vec<RequestMirrorPolicy> {
    let mut mutations: Vec<_> = (0..count).map(|number| remove(&header(number))).collect();
    mutations.push(set(MIRRORED, "true"));
    let policy = |number| RequestMirrorPolicy {
        cluster_header: header(number),
        // Who serves several hosts tells them apart by name, and the mirror is to do as the service does.
        disable_shadow_host_suffix_append: true,
        request_headers_mutations: mutations.clone(),
        ..Default::default()
    };
    (0..count).map(policy).collect()
}

/// How much of a request's body there has to be room for on such a route, in bytes.
pub(super) fn body_buffer(count: usize) -> Option<u64> {
    (count > 0).then_some(MAX_BODY.into())
}

fn header(number: usize) -> String {
    format!("{HEADER}{number}")
}

fn remove(name: &str) -> HeaderMutation {
    HeaderMutation {
        action: Some(Action::Remove(name.to_owned())),
    }
}

/// In the place of what there is by that name.
fn set(name: &str, value: &str) -> HeaderMutation {
    let header = HeaderValue {
        key: name.to_owned(),
        value: value.to_owned(),
        ..Default::default()
    };
    HeaderMutation {
        action: Some(Action::Append(HeaderValueOption {
            header: Some(header),
            append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
            ..Default::default()
        })),
    }
}

// === impl Mirrors ===

impl Mirrors {
    /// Takes in what became of policies, and of clusters that they name.
    pub(super) fn set(&mut self, table: &Table, change: &Change, generation: u64, published: &mut Published) {
        let mut touched: BTreeSet<_> = change
            .policies
            .iter()
            .flat_map(|key| self.policy(table, key))
            .collect();
        let clusters = change.clusters.union(&change.endpoints);
        touched.extend(clusters.filter(|name| self.policies.contains_key(*name)).cloned());
        for name in &touched {
            self.publish(table, name, generation, published);
        }
    }

    /// Answers the clusters that came or went.
    fn policy(&mut self, table: &Table, key: &PolicyKey) -> BTreeSet<ClusterName> {
        let now = table
            .policies
            .get(key)
            .map(|policy| clusters(policy))
            .unwrap_or_default();
        let before = if now.is_empty() {
            self.by_policy.remove(key)
        } else {
            self.by_policy.insert(key.clone(), now.clone())
        };
        let before = before.unwrap_or_default();
        for name in &now {
            self.policies.entry(name.clone()).or_default().insert(key.clone());
        }
        for name in before.difference(&now) {
            self.forget(name, key);
        }
        before.symmetric_difference(&now).cloned().collect()
    }

    fn forget(&mut self, name: &ClusterName, key: &PolicyKey) {
        if let Entry::Occupied(mut policies) = self.policies.entry(name.clone()) {
            policies.get_mut().remove(key);
            if policies.get().is_empty() {
                policies.remove();
            }
        }
    }

    fn publish(&self, table: &Table, name: &ClusterName, generation: u64, published: &mut Published) {
        let ClusterName(of) = name;
        let key: Arc<str> = mirror_name(of).into();
        let cluster = table
            .clusters
            .get(name)
            .filter(|_| self.policies.contains_key(name));
        let Some(cluster) = cluster else {
            published.retire(ResourceType::Cluster, &key, generation);
            published.retire(ResourceType::Endpoint, &key, generation);
            return;
        };
        let mirror = to_mirror(&key, cluster);
        let message = || encoded(&to_cluster(&mirror));
        published.set(ResourceType::Cluster, &key, pack::version(&mirror), message);
        if let Some(endpoints) = table.endpoints.get(name) {
            let message = || encoded(&endpoint::assignment(&mirror.name, endpoints));
            let version = pack::version(endpoints.as_slice());
            published.set(ResourceType::Endpoint, &key, version, message);
        }
    }
}

fn clusters(policy: &Policy) -> BTreeSet<ClusterName> {
    let names = policy.mirror.iter().map(|mirror| mirror.cluster.as_str());
    names.map(|name| ClusterName(name.into())).collect()
}

/// It is the Service's other cluster that checks its health.
fn to_mirror(name: &Arc<str>, cluster: &table::Cluster) -> table::Cluster {
    let most = |limit: Option<u32>| Some(limit.map_or(MAX_COPIES, |limit| limit.min(MAX_COPIES)));
    let Limits {
        max_connections,
        max_pending_requests,
        max_requests,
        max_retries: _,
    } = cluster.limits;
    table::Cluster {
        name: ClusterName(name.clone()),
        health_check: None,
        limits: Limits {
            max_connections: most(max_connections),
            max_pending_requests: most(max_pending_requests),
            max_requests: most(max_requests),
            max_retries: None,
        },
        ..cluster.clone()
    }
}

fn to_cluster(mirror: &table::Cluster) -> Cluster {
    let options = HttpProtocolOptions {
        common_http_protocol_options: Some(CommonOptions {
            max_stream_duration: Some(pack::duration(MAX_DURATION)),
            ..Default::default()
        }),
        http_filters: vec![
            filter("envoy.filters.http.body_size_limit", &body_size_limit()),
            filter("envoy.filters.http.upstream_codec", &UpstreamCodec::default()),
        ],
        ..cluster::http_options(mirror.protocol)
    };
    let mut message = cluster::cluster(mirror);
    message.alt_stat_name.insert_str(0, "mirror_");
    message.per_connection_buffer_limit_bytes = Some(pack::uint32(CONNECTION_BUFFER));
    message.typed_extension_protocol_options =
        HashMap::from([(cluster::HTTP_OPTIONS.to_owned(), pack::any(&options))]);
    message
}

fn body_size_limit() -> BodySizeLimit {
    BodySizeLimit {
        max_request_bytes: Some(UInt64Value {
            value: MAX_BODY.into(),
        }),
    }
}

fn filter<M: Message + Name>(name: &str, config: &M) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(config))),
        ..Default::default()
    }
}
