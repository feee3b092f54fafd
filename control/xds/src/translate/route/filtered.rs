//! What routes have in common that the filter is on for.

use super::super::{Shard, mirror};
use crate::pack;
use envoy_types::pb::{
    envoy::config::route::v3::{FilterConfig, Route, RouteAction, RouteMatch, route::Action},
    google::protobuf::{Any, UInt64Value},
};
use switchyard_core::table::Timeout;

/// The filtered routes of a vhost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filtered {
    pub(super) shard: Shard,
    /// How many copies of a request the filter may ask for.
    pub(super) mirrors: usize,
    /// The longest timeout that the filter may ask for.
    pub(super) inherited: Option<Timeout>,
}

// === impl Filtered ===

impl Filtered {
    pub(super) fn route(self, name: &str, r#match: RouteMatch, mut action: Action) -> Route {
        if let Action::Route(action) = &mut action {
            self.be_patient(action);
            action.request_mirror_policies = mirror::policies(self.mirrors);
        }
        Route {
            name: name.to_owned(),
            r#match: Some(r#match),
            action: Some(action),
            typed_per_filter_config: [filter_on(self.shard)].into(),
            request_body_buffer_limit: mirror::body_buffer(self.mirrors).map(|value| UInt64Value { value }),
            ..Default::default()
        }
    }

    /// A request has the timeout of its route, or where that says none the one that the filter asks for.
    fn be_patient(self, action: &mut RouteAction) {
        if action.timeout.is_none() {
            action.idle_timeout = self
                .inherited
                .and_then(super::action::idle_limit)
                .map(pack::duration);
        }
    }
}

/// A configuration that is there and empty switches a filter on (`PerFilterConfigs::create` of Envoy's router).
fn filter_on(shard: Shard) -> (String, Any) {
    let on = FilterConfig {
        config: Some(Any::default()),
        ..Default::default()
    };
    (shard.to_string(), pack::any(&on))
}
