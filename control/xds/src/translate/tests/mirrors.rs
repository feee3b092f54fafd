//! The clusters of mirrors, and the routes that use them.

use super::*;
use crate::translate::mirror_name;
use envoy_types::pb::envoy::{
    config::{
        cluster::v3 as proto,
        endpoint::v3::ClusterLoadAssignment,
        route::v3::{Route, RouteConfiguration, route::Action},
    },
    r#type::v3::fractional_percent::DenominatorType,
};
use routing::{select, select_all, tree};
use switchyard_policy::config::policy::Mirror;

fn mirror_to(service: &str) -> Policy {
    let mirror = Mirror {
        cluster: cluster_name(service).to_string(),
        percent: 10,
        when: None,
    };
    Policy {
        mirror: vec![mirror],
        ..Policy::default()
    }
}

fn mirror_of(service: &str) -> String {
    mirror_name(&cluster_name(service).0)
}

fn exists(world: &World, service: &str) -> [bool; 2] {
    [ResourceType::Cluster, ResourceType::Endpoint].map(|kind| world.has(kind, &mirror_of(service)))
}

#[test]
fn a_mirror_has_a_cluster_of_its_own_that_no_upstream_learns_of() {
    let mut world = World::new();
    world.edit(|table| {
        let limits = Limits {
            max_connections: Some(7),
            max_requests: Some(1_000_000),
            ..Limits::default()
        };
        add_cluster(table, "copy");
        table.clusters.insert(
            cluster_name("copy"),
            Arc::new(Cluster {
                limits,
                ..cluster("copy")
            }),
        );
        add_policy(table, "root/", mirror_to("copy"));
    });
    let section = &world.sections("policies")["a.example.com default/root/"];
    let name = section["mirror"][0]["cluster"].as_str().unwrap();
    assert_eq!(name, mirror_of("copy"));
    assert!(!name.contains("copy"), "{name}");
    let mirror: proto::Cluster = world.message(ResourceType::Cluster, name);
    assert_eq!(mirror.alt_stat_name, "mirror_default_copy_80");
    let thresholds = &mirror.circuit_breakers.unwrap().thresholds[0];
    let limits = [
        &thresholds.max_connections,
        &thresholds.max_requests,
        &thresholds.max_pending_requests,
    ];
    assert_eq!(limits.map(|limit| limit.as_ref().unwrap().value), [7, 128, 128]);
    let assignment: ClusterLoadAssignment = world.message(ResourceType::Endpoint, name);
    assert_eq!(assignment.cluster_name, name);
    assert_eq!(assignment.endpoints.len(), 1);
    // What routes lead to is as it was.
    let own: proto::Cluster = world.message(ResourceType::Cluster, &cluster_name("copy").0);
    assert!(own.typed_extension_protocol_options.is_empty());
}

#[test]
fn a_mirror_follows_its_endpoints() {
    let mut world = World::new();
    world.edit(|table| {
        add_cluster(table, "copy");
        add_policy(table, "root/", mirror_to("copy"));
    });
    let names = world.edit(|table| {
        for list in table.endpoints.values_mut() {
            *list = Arc::default();
        }
    });
    assert!(names.set.contains(&(ResourceType::Endpoint, mirror_of("copy"))));
    let assignment: ClusterLoadAssignment = world.message(ResourceType::Endpoint, &mirror_of("copy"));
    assert!(assignment.endpoints.is_empty());
}

#[test]
fn a_mirror_whose_names_have_no_address_yet_has_no_assignment() {
    let mut world = World::new();
    world.edit(|table| {
        let external = cluster("copy");
        table.clusters.insert(external.name.clone(), Arc::new(external));
        add_policy(table, "root/", mirror_to("copy"));
    });
    assert_eq!(exists(&world, "copy"), [true, false]);
}

#[test]
fn a_mirror_stays_until_no_proxy_copies_to_it() {
    let mut world = World::new();
    world.edit(|table| {
        add_cluster(table, "copy");
        add_policy(table, "root/", mirror_to("copy"));
        add_policy(table, "root/shop", mirror_to("copy"));
    });
    world.edit(|table| drop(table.policies.remove(&policy_key("root/"))));
    world.prune(9);
    assert_eq!(exists(&world, "copy"), [true, true], "another policy has it");
    world.edit(|table| add_policy(table, "root/shop", mirror_to("other")));
    let gone = world.generation;
    world.prune(gone - 1);
    assert_eq!(exists(&world, "copy"), [true, true], "a proxy is behind");
    world.prune(gone);
    assert_eq!(exists(&world, "copy"), [false, false]);
}

#[test]
fn a_mirror_comes_with_its_cluster() {
    let mut world = World::new();
    world.edit(|table| add_policy(table, "root/", mirror_to("copy")));
    assert_eq!(exists(&world, "copy"), [false, false]);
    world.edit(|table| add_cluster(table, "copy"));
    assert_eq!(exists(&world, "copy"), [true, true]);
    world.edit(|table| {
        table.clusters.clear();
        table.endpoints.clear();
    });
    world.prune(world.generation);
    assert_eq!(exists(&world, "copy"), [false, false]);
}

#[test]
fn routes_that_the_filter_is_on_for_copy_what_it_says() {
    let mut world = World::new();
    world.edit(|table| {
        let key = SwitchKey("a.example.com/switch".into());
        table
            .switches
            .insert(key.clone(), Arc::new(switch("blue", "green")));
        add_policy(table, "root/", mirror_to("copy"));
        let routes = [
            ("/", guarded("web", &["root/"])),
            ("/free", plain("web")),
            ("/redirect", HostRoute::HttpsRedirect),
            ("/switch", HostRoute::Switch(key)),
        ];
        let vhost = Vhost {
            mirrors: 2,
            ..vhost(routes)
        };
        add_host(table, host("a.example.com", vhost, None));
    });
    let configuration: RouteConfiguration = world.message(ResourceType::Route, "ingress_http");
    // Which would take it before Envoy has looked for the mirror.
    assert!(
        !configuration
            .request_headers_to_remove
            .iter()
            .any(|name| name.contains("mirror"))
    );
    let tree = tree(configuration, "a.example.com");
    let routes = ["/", "/switch", "/free", "/redirect"].map(|path| select(&tree, path));
    assert_eq!(routes.each_ref().map(copies), [2, 2, 0, 0]);
    let buffers = routes.map(|route| route.request_body_buffer_limit.map(|limit| limit.value));
    assert_eq!(buffers, [Some(1 << 20), Some(1 << 20), None, None]);
}

#[test]
fn where_few_requests_are_copied_the_filter_is_on_for_those_that_are_drawn() {
    let mut world = World::new();
    world.edit(|table| {
        let policy = mirror_to("copy");
        let mut sampled = guarded("web", &["root/"]);
        if let HostRoute::Plain(route) = &mut sampled {
            route.sample = Sample::of([&policy]);
        }
        add_policy(table, "root/", policy);
        let vhost = Vhost {
            mirrors: 1,
            ..vhost([("/", plain("web")), ("/shop", sampled)])
        };
        add_host(table, host("a.example.com", vhost, None));
    });
    let tree = tree(
        world.message(ResourceType::Route, "ingress_http"),
        "a.example.com",
    );
    let routes = select_all(&tree, "/shop/x");
    let [drawn, others, above] = &*routes else {
        panic!("{routes:?}");
    };
    assert_eq!(drawn.name, "a.example.com/shop#sample-137932");
    let names = [others, above].map(|route| &*route.name);
    assert_eq!(names, ["a.example.com/shop", "a.example.com/"]);
    let fractions = [drawn, others, above].map(|route| {
        let fraction = route.r#match.clone()?.runtime_fraction?.default_value?;
        Some((fraction.numerator, fraction.denominator()))
    });
    assert_eq!(fractions, [Some((137_932, DenominatorType::Million)), None, None]);
    let has_filter = [drawn, others, above].map(|route| !route.typed_per_filter_config.is_empty());
    assert_eq!(has_filter, [true, false, false]);
    assert_eq!([drawn, others, above].map(copies), [1, 0, 0]);
    // What the filter knows of it goes by its name.
    assert!(world.sections("routes").contains_key("a.example.com/shop"));
}

fn copies(route: &Route) -> usize {
    match &route.action {
        Some(Action::Route(action)) => action.request_mirror_policies.len(),
        _ => 0,
    }
}
