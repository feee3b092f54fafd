//! What policies become: sections, and what routes have because of them.

use super::*;
use envoy_types::pb::envoy::config::route::v3::{Route, RouteConfiguration, route::Action};
use routing::{select, tree};
use serde_json::json;
use std::time::Duration;
use switchyard_core::table::{Retry, Timeout};
use switchyard_policy::config::policy::{ApiKey, Basic, Check, Cors, Requirement};

fn route(world: &World, configuration: &str, path: &str) -> Route {
    let configuration: RouteConfiguration = world.message(ResourceType::Route, configuration);
    select(&tree(configuration, "a.example.com"), path)
}

fn idle_timeout(route: Route) -> Option<u64> {
    let Some(Action::Route(action)) = route.action else {
        panic!("no route action");
    };
    action.idle_timeout.map(|limit| limit.seconds.unsigned_abs())
}

fn hands_down(limit: Duration) -> Policy {
    Policy {
        timeout_ms: Some(limit.as_millis().try_into().unwrap()),
        ..Policy::default()
    }
}

#[test]
fn a_plain_route_that_has_policies_is_the_filters_and_goes_where_it_did() {
    let mut world = World::new();
    world.edit(|table| {
        add_policy(table, "root virtualhost", Policy::default());
        let routes = [
            ("/", guarded("web", &["root virtualhost"])),
            ("/free", plain("web")),
        ];
        add_host(table, host("a.example.com", vhost(routes), None));
    });
    let shard = Shard::of_host("a.example.com");
    let enforced = route(&world, "ingress_http", "/");
    assert_eq!(enforced.name, "a.example.com/");
    assert!(enforced.typed_per_filter_config.contains_key(&shard.to_string()));
    let free = route(&world, "ingress_http", "/free");
    assert!(free.typed_per_filter_config.is_empty());
    assert_eq!(enforced.action, free.action);
    assert_eq!(
        world.sections_of(shard, "routes"),
        *json!({ "a.example.com/": { "policies": ["a.example.com default/root virtualhost"] } })
            .as_object()
            .unwrap()
    );
}

#[test]
fn the_ports_of_a_host_do_not_share_what_their_routes_ask() {
    let mut world = World::new();
    world.edit(|table| {
        table.certificates.insert(name("cert"), certificate("chain"));
        let secure = vhost([("/", guarded("web", &["root/", "root virtualhost"]))]);
        let https = terminate("cert", TlsVersion::V1_1, secure);
        let http = vhost([("/", guarded("web", &["root/"]))]);
        add_host(table, host("a.example.com", http, Some(https)));
    });
    let names = ["ingress_http", "ingress_https_1.2"].map(|port| route(&world, port, "/").name);
    assert_eq!(names, ["http://a.example.com/", "a.example.com/"]);
    let routes = world.sections("routes");
    let asked = names.map(|name| routes[&name]["policies"].as_array().unwrap().len());
    assert_eq!(asked, [1, 2]);
}

#[test]
fn what_a_route_says_itself_is_not_handed_down_to_it() {
    let own = Template {
        timeout: Some(Timeout::Infinite),
        retry: Some(Retry {
            count: 1,
            per_try_timeout: None,
        }),
        ..Template::default()
    };
    for (template, want) in [(own, json!(true)), (Template::default(), Value::Null)] {
        let mut world = World::new();
        world.edit(|table| {
            add_policy(table, "root/", Policy::default());
            let leaf = Leaf {
                template: template.clone(),
                clusters: vec![share("web", 1)],
                rewrite: None,
                policy: Some(policy_key("root/")),
            };
            let branch = Branch {
                routes: BTreeMap::from([("/".into(), Target::Leaf(leaf))]),
            };
            let switch = Switch {
                branches: [name("blue"), name("green")]
                    .map(|name| (name, branch.clone()))
                    .into(),
                policies: vec![policy_key("root/")],
                ..switch("blue", "green")
            };
            let key = SwitchKey("a.example.com/switch".into());
            table.switches.insert(key.clone(), Arc::new(switch));
            let plain = HostRoute::Plain(Box::new(ServiceRoute {
                template: template.clone(),
                clusters: vec![share("web", 1)],
                rewrite: None,
                policies: vec![policy_key("root/")],
                sample: Sample::ALL,
            }));
            let routes = [("/plain", plain), ("/switch", HostRoute::Switch(key))];
            add_host(table, host("a.example.com", vhost(routes), None));
        });
        let switch = &world.sections("switches")["a.example.com/switch"];
        let key = json!("a.example.com default/root/");
        assert_eq!(switch["policies"], json!([key]));
        let leaf = &switch["branches"]["default/blue"][0]["leaf"];
        assert_eq!(leaf["policy"], key);
        for section in [leaf, &world.sections("routes")["a.example.com/plain"]] {
            assert_eq!((&section["ownTimeout"], &section["ownRetry"]), (&want, &want));
        }
    }
}

#[test]
fn a_timeout_that_is_handed_down_is_not_cut_short_by_the_idle_limit() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let mut world = World::new();
    world.edit(|table| {
        let key = SwitchKey("a.example.com/switch".into());
        table
            .switches
            .insert(key.clone(), Arc::new(switch("blue", "green")));
        let routes = [
            ("/", guarded("web", &["root virtualhost", "root/"])),
            ("/free", plain("web")),
            ("/switch", HostRoute::Switch(key)),
        ];
        add_host(table, host("a.example.com", vhost(routes), None));
        add_policy(table, "root virtualhost", hands_down(minutes(10)));
        add_policy(table, "root/", hands_down(minutes(1)));
        // Another host's.
        table.policies.insert(
            PolicyKey("a.example.com.au x/y virtualhost".into()),
            Arc::new(hands_down(minutes(99))),
        );
    });
    let limits = |world: &World| {
        ["/", "/switch", "/free"].map(|path| idle_timeout(route(world, "ingress_http", path)))
    };
    assert_eq!(limits(&world), [Some(600), Some(600), None]);
    for (limit, want) in [
        (minutes(20), Some(1200)),
        (Duration::ZERO, Some(0)),
        (minutes(1), None),
    ] {
        world.edit(|table| add_policy(table, "root virtualhost", hands_down(limit)));
        assert_eq!(limits(&world), [want, want, None]);
    }
}

#[test]
fn secrets_of_policies_are_not_shown() {
    let basic = Basic {
        realm: "bar".to_owned(),
        users: BTreeMap::from([(
            "alice".to_owned(),
            "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC".to_owned(),
        )]),
    };
    let api_key = ApiKey {
        header: Some("x-api-key".to_owned()),
        query: None,
        keys: [
            ("2b".repeat(32), "bob".to_owned()),
            ("3c".repeat(32), "carol".to_owned()),
        ]
        .into(),
    };
    let mut world = World::new();
    world.edit(|table| {
        let any_of = vec![Check::Basic(basic), Check::ApiKey(api_key)];
        let policy = Policy {
            auth: vec![Requirement { any_of }],
            cors: Some(Cors {
                allow_origins: vec!["*".to_owned()],
                ..Cors::default()
            }),
            ..Policy::default()
        };
        add_policy(table, "root/", policy);
    });
    let policies = world.sections("policies");
    let shown = &policies["a.example.com default/root/"];
    assert_eq!(
        shown["auth"][0]["anyOf"],
        json!([
            { "basic": { "realm": "bar", "users": { "alice": "[redacted]" } } },
            { "apiKey": { "header": "x-api-key", "keys": { "[redacted] 1": "bob", "[redacted] 2": "carol" } } },
        ])
    );
    assert_eq!(shown["cors"]["allowOrigins"], json!(["*"]));
}
