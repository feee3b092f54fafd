//! Hosts that proxies refuse are found, and withheld, whatever else is in the bucket.

use super::*;
use crate::{
    ads::{Nack, Proxy},
    translate::{Origin, PROBE},
};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use std::time::{Duration, Instant, SystemTime};

/// A proxy that refuses each route configuration with one of these hosts, unless it answers 503.
#[derive(Clone)]
struct Picky {
    node: &'static str,
    refuses: &'static [&'static str],
    /// It takes nothing at all.
    is_broken: bool,
    /// It says nothing new.
    is_silent: bool,
}

/// A translator, and proxies that say at once what they think of what it makes.
struct Fleet {
    world: World,
    proxies: Vec<Picky>,
    now: Instant,
}

fn picky(node: &'static str, refuses: &'static [&'static str]) -> Picky {
    Picky {
        node,
        refuses,
        is_broken: false,
        is_silent: false,
    }
}

// === impl Picky ===

impl Picky {
    fn refuses(&self, routes: &RouteConfiguration) -> bool {
        let mut served = routes.virtual_hosts.iter().filter(|host| host.matcher.is_some());
        self.is_broken || served.any(|host| self.refuses.contains(&&*host.name))
    }

    fn judge(&self, world: &World) -> Proxy {
        let routes = world
            .held
            .iter()
            .filter(|((kind, _), _)| *kind == ResourceType::Route);
        let refused = routes.filter(|((kind, name), _)| self.refuses(&world.message(*kind, name)));
        Proxy {
            node_id: self.node.to_owned(),
            cluster: String::new(),
            address: None,
            connected: SystemTime::UNIX_EPOCH,
            acked: if self.is_silent { 0 } else { world.generation },
            nacks: refused
                .map(|((_, name), resource)| nack(name, resource))
                .collect(),
            silent_for: None,
        }
    }
}

fn nack(name: &Arc<str>, resource: &Resource) -> Nack {
    Nack {
        resource_type: ResourceType::Route,
        name: name.clone(),
        version: Some(resource.version),
        reason: "no good".into(),
        at: SystemTime::UNIX_EPOCH,
        since: 1,
        generation: 1,
    }
}

// === impl Fleet ===

impl Fleet {
    /// 40 hosts, in so many buckets.
    fn new(buckets: usize, proxies: Vec<Picky>) -> Self {
        let mut world = World::with(Settings {
            buckets: Buckets::new(buckets).unwrap(),
            ..Settings::default()
        });
        world.edit(|table| {
            for number in 0..40 {
                let routes = vhost([("/", plain("web"))]);
                add_host(table, host(&format!("h{number}"), routes, None));
            }
        });
        Self {
            world,
            proxies,
            now: Instant::now(),
        }
    }

    /// Lets the proxies judge what there is. Answers whether anything came of it.
    fn step(&mut self) -> bool {
        let judge = |proxy: &Picky| proxy.judge(&self.world);
        let proxies: Vec<_> = self.proxies.iter().map(judge).collect();
        let World {
            translator,
            table,
            generation,
            ..
        } = &mut self.world;
        let next = *generation + 1;
        let update = translator.contain(table, &proxies, next, self.now);
        let is_any = !update.set.is_empty();
        if is_any {
            self.world.generation = next;
            self.world.take(update);
            self.now += Duration::from_millis(1);
        }
        is_any
    }

    /// Until nothing is left to be done; with the steps that there were.
    fn contain(&mut self) -> usize {
        let steps = (0..100).take_while(|_| self.step()).count();
        assert!(steps < 100, "it does not end");
        steps
    }

    /// The hosts that are withheld, as is told.
    fn withheld(&self) -> Vec<String> {
        let refused = self.world.translator.refused();
        let hosts = refused.map(|(origin, refusal)| {
            let Origin::Host(fqdn) = origin else {
                panic!("{origin:?}");
            };
            assert_eq!(
                refusal.to_string(),
                format!("Envoy refuses VirtualHost {fqdn}: no good")
            );
            fqdn.to_string()
        });
        hosts.collect()
    }

    fn is_probe_empty(&self) -> bool {
        let probe: RouteConfiguration = self.world.message(ResourceType::Route, PROBE);
        probe.virtual_hosts.is_empty()
    }
}

#[test]
fn a_host_that_is_refused_is_withheld_and_no_other() {
    for buckets in [1, 64] {
        let mut fleet = Fleet::new(buckets, vec![picky("a", &["h7"]), picky("b", &["h7"])]);
        let probes = fleet.contain();
        // Nothing, six halves of 40, and nothing again.
        assert!(probes <= 9, "{buckets}: {probes}");
        assert_eq!(fleet.withheld(), ["h7"], "{buckets}");
        assert!(fleet.is_probe_empty());
        // A change of another host of the bucket is taken now.
        fleet.world.edit(|table| drop(table.hosts.remove("h8")));
        assert_eq!(fleet.contain(), 0);
        // So is it itself, once it is another.
        fleet.proxies = vec![picky("a", &[])];
        fleet.world.edit(|table| {
            let mended = vhost([("/", plain("web")), ("/mended", plain("web"))]);
            add_host(table, host("h7", mended, None));
        });
        assert_eq!(fleet.withheld(), [""; 0]);
    }
}

#[test]
fn a_bucket_that_changes_all_the_time_is_searched_to_the_end() {
    let mut fleet = Fleet::new(1, vec![picky("a", &["h7"])]);
    for number in 0..20 {
        fleet.world.edit(|table| {
            let routes = vhost([("/", plain("web"))]);
            add_host(table, host(&format!("new{number}"), routes, None));
        });
        fleet.step();
    }
    assert_eq!(fleet.withheld(), ["h7"]);
}

#[test]
fn several_hosts_that_are_refused_are_all_withheld() {
    let mut fleet = Fleet::new(1, vec![picky("a", &["h1", "h2", "h39"])]);
    fleet.contain();
    assert_eq!(fleet.withheld(), ["h1", "h2", "h39"]);
}

#[test]
fn what_another_proxy_takes_is_not_withheld() {
    let mut fleet = Fleet::new(1, vec![picky("old", &["h7"]), picky("new", &[])]);
    fleet.contain();
    assert_eq!(fleet.withheld(), [""; 0]);
    assert!(fleet.is_probe_empty());
    assert_eq!(fleet.contain(), 0, "it does not begin again");
}

#[test]
fn a_proxy_that_refuses_everything_takes_no_host_down() {
    let broken = Picky {
        is_broken: true,
        ..picky("a", &[])
    };
    let mut fleet = Fleet::new(4, vec![broken]);
    fleet.contain();
    assert_eq!(fleet.withheld(), [""; 0]);
}

#[test]
fn a_host_is_tried_again_once_the_proxies_that_refused_it_are_replaced() {
    let mut fleet = Fleet::new(1, vec![picky("old", &["h7"])]);
    fleet.contain();
    fleet.proxies = vec![];
    fleet.contain();
    assert_eq!(fleet.withheld(), ["h7"], "nobody says otherwise");
    fleet.proxies = vec![picky("old", &["h7"]), picky("new", &[])];
    fleet.contain();
    assert_eq!(fleet.withheld(), ["h7"], "it is still there");
    fleet.proxies = vec![picky("new", &[])];
    fleet.contain();
    assert_eq!(fleet.withheld(), [""; 0]);
}

#[test]
fn a_proxy_that_does_not_answer_is_waited_for_no_longer_than_a_moment() {
    let silent = Picky {
        is_silent: true,
        ..picky("silent", &[])
    };
    let mut fleet = Fleet::new(1, vec![picky("a", &["h7"]), silent]);
    fleet.contain();
    assert_eq!(fleet.withheld(), [""; 0], "it may still take the host");
    fleet.now = fleet.world.translator.containment_deadline().unwrap();
    fleet.contain();
    assert_eq!(fleet.withheld(), ["h7"]);
}

#[test]
fn nothing_is_done_while_the_proxy_that_refuses_does_not_answer() {
    let mut fleet = Fleet::new(1, vec![picky("a", &["h7"])]);
    while fleet.step() {
        fleet.proxies[0].is_silent = true;
        fleet.now += Duration::from_secs(60);
        assert!(!fleet.step());
        assert_eq!(fleet.world.translator.containment_deadline(), None);
        fleet.proxies[0].is_silent = false;
    }
    assert_eq!(fleet.withheld(), ["h7"]);
}
