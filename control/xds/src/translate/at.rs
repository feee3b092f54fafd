//! Tells the filter at which route a request is, by a header that Envoy sets on the routes that the filter is on for.
//!
//! The filter could ask Envoy, and does so where the header is not there; but a property costs Envoy some five times as much to
//! find as a header (docs/decisions.md).

use super::{Shard, mirror::set};
use crate::pack;
use envoy_types::pb::{
    envoy::extensions::filters::{
        http::header_mutation::v3::{HeaderMutation, HeaderMutationPerRoute, Mutations},
        network::http_connection_manager::v3::{HttpFilter, http_filter::ConfigType},
    },
    google::protobuf::Any,
};
use switchyard_policy::names;

/// What sets the header, as an HTTP filter.
const FILTER: &str = "switchyard-at";
/// Envoy refuses longer values, of 16 KiB. What has a longer name does without.
const MAX_NAME: usize = 8 * 1024;

/// Before all that look at the header. It is off but for the routes that want it.
pub(super) fn filter() -> HttpFilter {
    HttpFilter {
        name: FILTER.to_owned(),
        disabled: true,
        config_type: Some(ConfigType::TypedConfig(pack::any(&HeaderMutation::default()))),
        ..Default::default()
    }
}

/// Of the route of that name, that the filter of the shard is on for.
pub(super) fn on_route(shard: Shard, name: &str) -> Option<(String, Any)> {
    let is_value = name.len() <= MAX_NAME && !name.contains(char::is_control);
    let value = names::at(&shard.to_string(), name);
    // A percent sign begins a command to Envoy.
    let value = value.replace('%', "%%");
    let mutations = Mutations {
        request_mutations: vec![set(names::AT, &value)],
        ..Default::default()
    };
    let config = HeaderMutationPerRoute {
        mutations: Some(mutations),
    };
    is_value.then(|| (FILTER.to_owned(), pack::any(&config)))
}
