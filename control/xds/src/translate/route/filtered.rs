//! What routes have in common that the filter is on for.

use super::{
    super::{Shard, mirror},
    filterless,
};
use crate::pack;
use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::RuntimeFractionalPercent,
            route::v3::{FilterConfig, Route, RouteAction, RouteMatch, route::Action},
        },
        r#type::v3::{FractionalPercent, fractional_percent::DenominatorType},
    },
    google::protobuf::{Any, UInt64Value},
};
use switchyard_core::table::{Sample, Timeout};

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
    /// Those of a plain route: one, or another before it, on which are the requests of the sample.
    pub(super) fn routes(
        self,
        (name, sample): (&str, Sample),
        r#match: RouteMatch,
        action: Action,
    ) -> Vec<Route> {
        if sample == Sample::ALL {
            return vec![self.route(name, r#match, action)];
        }
        let drawn = RouteMatch {
            runtime_fraction: Some(fraction(sample)),
            ..r#match.clone()
        };
        vec![
            self.route(&sample.route_name(name), drawn, action.clone()),
            filterless(name, r#match, action),
        ]
    }

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

/// Envoy draws a number for each stream, so a request that is routed anew is on the same route.
fn fraction(sample: Sample) -> RuntimeFractionalPercent {
    let percent = FractionalPercent {
        numerator: sample.per_million(),
        denominator: DenominatorType::Million.into(),
    };
    RuntimeFractionalPercent {
        default_value: Some(percent),
        ..Default::default()
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
