//! Scopes: by what a request says of itself, which route configuration is asked. They never change.

use super::{bucket::Buckets, containment::PROBE, listener, published::Published};
use crate::{pack, resource::ResourceType};
use envoy_types::pb::envoy::config::route::v3::{
    ScopedRouteConfiguration,
    scoped_route_configuration::{
        Key,
        key::{Fragment, fragment::Type},
    },
};

/// Publishes those of all buckets of all tables, and one that no request is in.
pub(super) fn publish(buckets: Buckets, published: &mut Published) {
    let secure = listener::FLOORS.map(listener::routes_name);
    let tables = [listener::HTTP].into_iter().chain(secure);
    let of_tables = tables.flat_map(|table| buckets.names(table));
    for name in of_tables.map(|(_, name)| name).chain([PROBE.to_owned()]) {
        let body = || super::encoded(&scope(&name));
        let version = pack::version(name.as_str());
        published.set(ResourceType::ScopedRoute, &name.as_str().into(), version, body);
    }
}

/// The scope of the requests whose header says `name`, and whose routes are those of that name.
fn scope(name: &str) -> ScopedRouteConfiguration {
    let fragment = Fragment {
        r#type: Some(Type::StringKey(name.to_owned())),
    };
    ScopedRouteConfiguration {
        name: name.to_owned(),
        route_configuration_name: name.to_owned(),
        key: Some(Key {
            fragments: vec![fragment],
        }),
        ..Default::default()
    }
}
