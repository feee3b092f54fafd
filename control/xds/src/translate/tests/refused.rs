//! Resources that Envoy would refuse are not sent.

use super::*;
use crate::translate::Origin;
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, route::Action};
use std::time::Duration;
use switchyard_core::table::Timeout;

/// A host whose only route has a timeout that Envoy would refuse: the graph lets none through.
fn bad_host(fqdn: &str) -> Arc<Host> {
    let mut host = plain_host(fqdn);
    let template = Template {
        timeout: Some(Timeout::After(Duration::from_secs(9_223_372_036))),
        ..Default::default()
    };
    for route in host.http.routes.values_mut() {
        if let HostRoute::Plain(route) = route {
            route.template = template.clone();
        }
    }
    host.into()
}

fn plain_host(fqdn: &str) -> Host {
    host(fqdn, vhost([("/", plain("home"))]), None)
}

fn refusals(world: &World) -> Vec<(Origin, String)> {
    let refused = world.translator.refused();
    refused
        .map(|(origin, refusal)| (origin.clone(), refusal.to_string()))
        .collect()
}

/// The statuses that the hosts answer directly, by fqdn.
fn direct(world: &World) -> BTreeMap<String, Option<u32>> {
    let routes: RouteConfiguration = world.message(ResourceType::Route, "ingress_http");
    let hosts = routes.virtual_hosts.into_iter();
    hosts
        .map(|host| {
            let action = host.routes.into_iter().next().and_then(|route| route.action);
            let status = match action {
                Some(Action::DirectResponse(response)) => Some(response.status),
                _ => None,
            };
            (host.name, status)
        })
        .collect()
}

#[test]
fn a_host_that_envoy_would_refuse_answers_503_and_all_others_go_on() {
    let mut world = World::new();
    world.edit(|table| {
        table
            .hosts
            .insert("good.test".into(), plain_host("good.test").into());
        table.hosts.insert("bad.test".into(), bad_host("bad.test"));
    });
    let direct_now = direct(&world);
    assert_eq!(direct_now.get("bad.test"), Some(&Some(503)));
    assert_eq!(direct_now.get("good.test"), Some(&None));
    let refused = refusals(&world);
    let [(origin, text)] = &refused[..] else {
        panic!("{refused:?}");
    };
    assert_eq!(*origin, Origin::Host("bad.test".into()));
    assert!(
        text.starts_with("Envoy would refuse VirtualHost bad.test: ")
            && text.ends_with("route.timeout: must be a duration from 0s to 9223372035s"),
        "{text}"
    );
    world.edit(|table| {
        table
            .hosts
            .insert("bad.test".into(), plain_host("bad.test").into());
    });
    assert_eq!(refusals(&world), []);
    assert_eq!(direct(&world).get("bad.test"), Some(&None));
}

#[test]
fn a_refused_host_that_is_removed_is_no_longer_reported() {
    let mut world = World::new();
    world.edit(|table| drop(table.hosts.insert("bad.test".into(), bad_host("bad.test"))));
    assert_eq!(refusals(&world).len(), 1);
    world.edit(|table| drop(table.hosts.remove("bad.test")));
    assert_eq!(refusals(&world), []);
}
