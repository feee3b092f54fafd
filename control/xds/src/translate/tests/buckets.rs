//! The contents of buckets, and the resources that a change sends.

use super::*;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;

/// The names of the hosts of a bucket.
fn hosts_of(world: &World, bucket: &str) -> Vec<String> {
    let routes: RouteConfiguration = world.message(ResourceType::Route, bucket);
    routes.virtual_hosts.into_iter().map(|host| host.name).collect()
}

fn add_plain(table: &mut Table, fqdn: &str) {
    add_host(table, host(fqdn, vhost([("/", plain("web"))]), None));
}

fn world(buckets: Buckets) -> World {
    World::with(Settings {
        buckets,
        ..Settings::default()
    })
}

#[test]
fn any_spelling_of_a_host_has_its_bucket() {
    for host in ["bar.com", "h1.example.com", "a-b.c_d.io", "xn--bcher-kva.example"] {
        for spelling in [
            host.to_ascii_uppercase(),
            format!("{host}:8080"),
            format!("{host}:"),
            format!("{host}:x"),
        ] {
            assert_eq!(Buckets::MOST.of(&spelling), Buckets::MOST.of(host), "{spelling}");
        }
    }
}

#[test]
fn hosts_of_one_pattern_are_spread_over_all_buckets() {
    for pattern in [
        "h{}",
        "app-{}.example.com",
        "pr-{}.preview.example.com",
        "{}.shop.io",
    ] {
        let mut sizes: BTreeMap<_, usize> = BTreeMap::new();
        for number in 0..6400 {
            let host = pattern.replace("{}", &number.to_string());
            *sizes.entry(Buckets::MOST.of(&host)).or_default() += 1;
        }
        let fullest = sizes.values().max().copied().unwrap_or_default();
        assert!(sizes.len() == 64 && fullest <= 135, "{pattern}: {sizes:?}");
    }
}

#[test]
fn a_key_fits_into_a_header() {
    for number in [1, 2, 4, 8, 16, 32, 64] {
        let key = Buckets::new(number).unwrap().key("ingress_https_1.3");
        assert!(key.len() < 16_384, "{number}: {}", key.len());
    }
    assert_eq!(Buckets::ONE.key("ingress_http"), "ingress_http");
    for number in [0, 3, 63, 65, 128] {
        assert!(Buckets::new(number).is_err(), "{number}");
    }
}

#[test]
fn a_change_of_a_host_sends_its_bucket() {
    let mut world = world(Buckets::MOST);
    world.edit(|table| {
        for number in 0..1000 {
            add_plain(table, &format!("h{number}.example.com"));
        }
    });
    let name = Buckets::MOST.name("ingress_http", Buckets::MOST.of("new.example.com"));
    for edit in [
        (|table| add_plain(table, "new.example.com")) as fn(&mut Table),
        |table| {
            let broken = vhost([("/", HostRoute::Unavailable)]);
            add_host(table, host("new.example.com", broken, None));
        },
        |table| drop(table.hosts.remove("new.example.com")),
    ] {
        let Names { set, removed } = world.edit(edit);
        assert_eq!(set, [(ResourceType::Route, name.clone())]);
        assert_eq!(removed, []);
    }
}

#[test]
fn hosts_that_stand_for_more_than_one_name_are_in_all_buckets() {
    let buckets = Buckets::new(4).unwrap();
    let mut world = world(buckets);
    world.edit(|table| {
        for fqdn in ["a.bar.com", "*.bar.com", "*"] {
            add_plain(table, fqdn);
        }
    });
    for bucket in buckets.all() {
        let is_its_own = buckets.of("a.bar.com") == bucket;
        let own = is_its_own.then_some("a.bar.com");
        let want: Vec<_> = ["*", "*.bar.com"].into_iter().chain(own).collect();
        assert_eq!(hosts_of(&world, &buckets.name("ingress_http", bucket)), want);
    }
    let Names { set, .. } = world.edit(|table| drop(table.hosts.remove("*")));
    assert_eq!(set.len(), 4);
    assert_eq!(
        hosts_of(&world, "ingress_http/0").first().map(String::as_str),
        Some("*")
    );
    let Names { set, .. } = world.edit(|table| drop(table.hosts.remove("*.bar.com")));
    assert_eq!(set.len(), 4);
}

#[test]
fn each_bucket_of_each_listener_has_a_scope_from_the_start() {
    let mut world = world(Buckets::MOST);
    let names = |world: &World, wanted| -> Vec<Arc<str>> {
        let held = world.held.keys().filter(|(kind, _)| *kind == wanted);
        held.map(|(_, name)| name.clone()).collect()
    };
    let scopes = names(&world, ResourceType::ScopedRoute);
    // And what proxies are asked about beside.
    assert_eq!(scopes.len(), 4 * 64 + 1);
    assert_eq!(scopes, names(&world, ResourceType::Route));
    world.edit(|table| add_plain(table, "a.bar.com"));
    assert_eq!(scopes, names(&world, ResourceType::ScopedRoute));
}
