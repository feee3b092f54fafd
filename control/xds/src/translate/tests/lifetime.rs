//! What the table no longer names stays until no proxy uses it.

use super::*;
use envoy_types::pb::{
    envoy::config::{endpoint::v3::ClusterLoadAssignment, route::v3::RouteConfiguration},
    xds::r#type::matcher::v3::matcher::{MatcherType, matcher_tree::TreeType},
};
use std::time::Duration;
use switchyard_core::table::Timeout;
use switchyard_policy::config::policy::Concurrency;

#[test]
fn a_cluster_stays_until_no_proxy_uses_it() {
    let mut world = World::new();
    world.edit(|table| add_cluster(table, "web"));
    world.edit(|table| {
        table.clusters.clear();
        table.endpoints.clear();
    });
    let web = cluster_name("web").to_string();
    assert_eq!(world.prune(1), Names::default());
    let removed = [ResourceType::Cluster, ResourceType::Endpoint]
        .map(|kind| (kind, web.clone()))
        .into();
    assert_eq!(world.prune(2), Names { set: vec![], removed });
}

#[test]
fn a_cluster_that_came_back_is_not_removed() {
    let mut world = World::new();
    world.edit(|table| add_cluster(table, "web"));
    world.edit(|table| *table = Table::default());
    assert_eq!(world.edit(|table| add_cluster(table, "web")), Names::default());
    assert_eq!(world.prune(9), Names::default());
}

#[test]
fn a_cluster_without_endpoints_has_an_empty_assignment() {
    let mut world = World::new();
    world.edit(|table| {
        table
            .clusters
            .insert(cluster_name("web"), Arc::new(cluster("web")));
        table.endpoints.insert(cluster_name("web"), Arc::default());
    });
    let assignment: ClusterLoadAssignment = world.message(ResourceType::Endpoint, &cluster_name("web").0);
    assert_eq!(assignment.cluster_name, &*cluster_name("web").0);
    assert!(assignment.endpoints.is_empty());
}

#[test]
fn proxies_keep_the_endpoints_of_a_cluster_whose_names_have_no_address_yet() {
    let mut world = World::new();
    world.edit(|table| {
        let external = cluster("web");
        table.clusters.insert(external.name.clone(), Arc::new(external));
    });
    assert!(!world.has(ResourceType::Endpoint, &cluster_name("web").0));
    world.edit(|table| {
        table.endpoints.insert(cluster_name("web"), Arc::default());
    });
    assert!(world.has(ResourceType::Endpoint, &cluster_name("web").0));
    world.edit(|table| table.endpoints.clear());
    assert!(world.has(ResourceType::Endpoint, &cluster_name("web").0));
}

#[test]
fn a_switch_stays_until_no_proxy_routes_to_it() {
    let mut world = World::new();
    world.edit(add_switch);
    world.edit(|table| *table = Table::default());
    assert_eq!(world.switches(), ["a.example.com/"]);
    world.prune(1);
    assert_eq!(world.switches(), ["a.example.com/"]);
    world.prune(2);
    assert!(world.switches().is_empty());
}

#[test]
fn a_switch_that_came_back_stays() {
    let mut world = World::new();
    world.edit(add_switch);
    world.edit(|table| *table = Table::default());
    world.edit(add_switch);
    world.prune(3);
    assert_eq!(world.switches(), ["a.example.com/"]);
}

#[test]
fn a_switch_that_the_filter_would_refuse_stays_as_it_was() {
    let mut world = World::new();
    world.edit(add_switch);
    let names = world.edit(|table| {
        let wrong = Switch {
            active: name("nobody"),
            ..switch("blue", "green")
        };
        table
            .switches
            .insert(SwitchKey("a.example.com/".into()), Arc::new(wrong));
    });
    assert_eq!(names, Names::default());
    assert_eq!(world.switches(), ["a.example.com/"]);
}

/// A host whose `/` meets the policy of its root.
fn add_guarded(table: &mut Table) {
    add_policy(table, "root virtualhost", Policy::default());
    let routes = vhost([("/", guarded("web", &["root virtualhost"]))]);
    add_host(table, host("a.example.com", routes, None));
}

fn enforced(world: &World) -> [Vec<String>; 2] {
    ["routes", "policies"].map(|kind| world.sections(kind).into_keys().collect())
}

#[test]
fn what_is_asked_of_requests_stays_until_no_proxy_asks_it() {
    let all = [
        vec!["a.example.com/".to_owned()],
        vec!["a.example.com default/root virtualhost".to_owned()],
    ];
    let mut world = World::new();
    world.edit(add_guarded);
    assert_eq!(enforced(&world), all);
    world.edit(|table| {
        table.policies.clear();
        add_host(table, host("a.example.com", vhost([("/", plain("web"))]), None));
    });
    world.prune(1);
    assert_eq!(enforced(&world), all);
    world.prune(2);
    assert_eq!(enforced(&world), <[Vec<String>; 2]>::default());
}

#[test]
fn what_is_asked_of_requests_goes_with_the_host() {
    let mut world = World::new();
    world.edit(add_guarded);
    world.edit(|table| *table = Table::default());
    world.prune(2);
    assert_eq!(enforced(&world), <[Vec<String>; 2]>::default());
}

#[test]
fn what_is_asked_of_requests_again_stays() {
    let mut world = World::new();
    world.edit(add_guarded);
    let before = enforced(&world);
    world.edit(|table| *table = Table::default());
    world.edit(add_guarded);
    world.prune(3);
    assert_eq!(enforced(&world), before);
}

#[test]
fn a_policy_that_the_filter_would_refuse_is_taken_away_so_that_it_refuses_requests() {
    let mut world = World::new();
    world.edit(add_guarded);
    let wrong = Concurrency { max: 0, key: vec![] };
    world.edit(|table| {
        let policy = Policy {
            concurrency: Some(wrong),
            ..Policy::default()
        };
        add_policy(table, "root virtualhost", policy);
    });
    assert_eq!(enforced(&world), [vec!["a.example.com/".to_owned()], vec![]]);
    world.edit(add_guarded);
    assert_eq!(world.sections("policies").len(), 1);
}

#[test]
fn a_template_stays_until_no_proxy_is_sent_to_it() {
    let mut world = World::new();
    world.edit(add_switch);
    for seconds in [1, 2] {
        let template = Template {
            timeout: Some(Timeout::After(Duration::from_secs(seconds))),
            ..Template::default()
        };
        world.edit(|table| {
            let mut host = (*table.hosts["a.example.com"]).clone();
            host.http.templates = BTreeSet::from([template]);
            add_host(table, host);
        });
    }
    assert_eq!(
        templates(&world),
        ["forward", "forward-timeout-1s", "forward-timeout-2s"]
    );
    world.prune(2);
    assert_eq!(
        templates(&world),
        ["forward", "forward-timeout-1s", "forward-timeout-2s"]
    );
    assert_eq!(
        world.prune(3).set,
        [(ResourceType::Route, "ingress_http".to_owned())]
    );
    assert_eq!(templates(&world), ["forward", "forward-timeout-2s"]);
}

#[test]
fn a_host_that_went_has_no_routes_and_no_secret() {
    let mut world = World::new();
    world.edit(|table| {
        table.certificates.insert(name("cert"), certificate("chain"));
        let https = terminate("cert", TlsVersion::V1_1, vhost([("/", plain("web"))]));
        add_host(
            table,
            host("a.example.com", vhost([("/", plain("web"))]), Some(https)),
        );
    });
    let names = world.edit(|table| table.hosts.clear());
    assert_eq!(
        names.removed,
        [
            (ResourceType::Secret, "a.example.com".to_owned()),
            (ResourceType::Listener, "ingress_https".to_owned())
        ]
    );
    for routes in ["ingress_http", "ingress_https_1.2"] {
        let configuration: RouteConfiguration = world.message(ResourceType::Route, routes);
        assert_eq!(configuration.virtual_hosts.len(), 1, "{routes}");
    }
}

fn templates(world: &World) -> Vec<String> {
    let configuration: RouteConfiguration = world.message(ResourceType::Route, "ingress_http");
    let host = configuration
        .virtual_hosts
        .into_iter()
        .find(|host| host.name == "a.example.com");
    let Some(MatcherType::MatcherTree(tree)) = host.unwrap().matcher.unwrap().matcher_type else {
        panic!("no tree");
    };
    let Some(TreeType::ExactMatchMap(map)) = tree.tree_type else {
        panic!("no exact match");
    };
    let names: BTreeSet<_> = map.map.into_keys().collect();
    names.into_iter().collect()
}
