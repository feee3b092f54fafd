//! At any pace of changes, a client never has a route without its switch, nor a switch without its cluster.
//!
//! Each published state is consistent: routes reference switches by key, switches reference clusters, and there is
//! nothing unreferenced. The model client applies responses in order, and acknowledges clusters after any time, in
//! which it warms them.

use super::{
    tests::{Harness, mk_sections},
    *,
};
use crate::resource::{Body, Resource, Update};
use ResourceType::{Cluster, Extension, Listener, Route};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};

const KEYS: [&str; 3] = ["s", "t", "u"];

/// The cluster of each switch; `None` if there is no such switch.
type Switches = [Option<u8>; KEYS.len()];

#[derive(Clone, Copy, Debug)]
enum Event {
    Publish(Switches),
    /// Delivers the next response to the client.
    Take,
    /// Delivers the next ACK to the server.
    Hear,
    /// Ends the warming of the client's clusters.
    Warm,
}

#[derive(Default)]
struct Client {
    responses: VecDeque<Answer>,
    verdicts: VecDeque<DeltaDiscoveryRequest>,
    warming: Option<Answer>,
    clusters: BTreeSet<String>,
    routes: BTreeSet<&'static str>,
    filter: BTreeMap<&'static str, String>,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => switches().prop_map(Event::Publish),
        4 => Just(Event::Take),
        4 => Just(Event::Hear),
        1 => Just(Event::Warm),
    ];
    prop::collection::vec(event, 0..100)
}

fn switches() -> impl Strategy<Value = Switches> {
    prop::array::uniform3(prop::option::of(0..5_u8))
}

fn cluster(number: u8) -> String {
    format!("cluster-{number}")
}

fn clusters(switches: &Switches) -> BTreeSet<String> {
    switches.iter().flatten().map(|number| cluster(*number)).collect()
}

fn filter(switches: &Switches) -> BTreeMap<&'static str, String> {
    KEYS.into_iter()
        .zip(switches)
        .filter_map(|(key, number)| Some((key, cluster((*number)?))))
        .collect()
}

/// The update to a new state, which removes the clusters that only the old state has.
fn mk_world(before: &Switches, switches: &Switches) -> Update {
    let body = || Body::Encoded(Bytes::new());
    let filter = filter(switches);
    let pairs: Vec<_> = filter
        .iter()
        .map(|(key, cluster)| format!("{key}={cluster}"))
        .collect();
    let sections = mk_sections(&pairs.iter().map(String::as_str).collect::<Vec<_>>());
    // The version of the routes encodes the switches that they reference.
    let named = KEYS
        .iter()
        .enumerate()
        .filter(|(_, key)| filter.contains_key(**key))
        .map(|(at, _)| 1 << at);
    let routes = Resource {
        version: named.sum(),
        body: body(),
    };
    let mut set = vec![
        (Route, "routes".into(), routes),
        (Extension, "switchyard".into(), sections),
    ];
    let new = clusters(switches);
    set.extend(new.iter().map(|name| {
        (
            Cluster,
            name.as_str().into(),
            Resource {
                version: 1,
                body: body(),
            },
        )
    }));
    let removed = clusters(before)
        .difference(&new)
        .map(|name| (Cluster, name.as_str().into()))
        .collect();
    Update { set, removed }
}

// === impl Client ===

impl Client {
    fn take(&mut self) {
        let Some(answer) = self.responses.pop_front() else {
            return;
        };
        match answer.kind {
            Cluster => {
                let items = &answer.batch.items;
                self.clusters
                    .retain(|name| !matches!(items.get(name.as_str()), Some(None)));
                assert!(
                    self.warming.replace(answer).is_none(),
                    "two responses of one type are out"
                );
                return;
            }
            Route => self.take_routes(&answer),
            Extension => self.take_filter(&answer),
            _ => {}
        }
        self.accept(&answer);
    }

    fn take_routes(&mut self, answer: &Answer) {
        for resource in answer.batch.items.values().flatten() {
            let named = KEYS
                .iter()
                .enumerate()
                .filter(|(at, _)| resource.version & (1 << at) != 0);
            self.routes = named.map(|(_, key)| *key).collect();
        }
    }

    fn take_filter(&mut self, answer: &Answer) {
        for resource in answer.batch.items.values().flatten() {
            let Body::Sections(sections) = &resource.body else {
                panic!("a filter without sections")
            };
            let cluster = |key| Some((key, String::from_utf8_lossy(sections.get(key)?).into_owned()));
            self.filter = KEYS.into_iter().filter_map(cluster).collect();
        }
    }

    fn warm(&mut self) {
        if let Some(answer) = self.warming.take() {
            let set = answer
                .batch
                .items
                .iter()
                .filter(|(_, resource)| resource.is_some());
            self.clusters.extend(set.map(|(name, _)| name.to_string()));
            self.accept(&answer);
        }
    }

    fn accept(&mut self, Answer { kind, nonce, .. }: &Answer) {
        let type_url = kind.type_url().to_owned();
        let verdict = DeltaDiscoveryRequest {
            type_url,
            response_nonce: nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        self.verdicts.push_back(verdict);
    }

    fn assert_whole(&self) {
        for key in &self.routes {
            assert!(
                self.filter.contains_key(key),
                "routes name {key}, the filter has {:?}",
                self.filter
            );
        }
        for cluster in self.filter.values() {
            assert!(
                self.clusters.contains(cluster),
                "the filter names {cluster}, there is {:?}",
                self.clusters
            );
        }
    }
}

fn run(harness: &mut Harness, client: &mut Client, event: Event) {
    match event {
        Event::Publish(_) => {}
        Event::Take => client.take(),
        Event::Hear => client
            .verdicts
            .pop_front()
            .iter()
            .for_each(|verdict| harness.request(verdict)),
        Event::Warm => client.warm(),
    }
    while let Some(answer) = harness.session.poll(&harness.store, harness.now) {
        client.responses.push_back(answer);
    }
}

fn settle(harness: &mut Harness, client: &mut Client) {
    for event in [Event::Take, Event::Warm, Event::Hear]
        .into_iter()
        .cycle()
        .take(100)
    {
        run(harness, client, event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn references_never_dangle_during_a_rollout(
        first in switches(),
        events in events(),
    ) {
        let (mut harness, mut client, mut world) = (Harness::new(), Client::default(), first);
        harness.publish(mk_world(&[None; 3], &first));
        for (kind, names) in [(Cluster, &[][..]), (Listener, &[]), (Route, &["routes"]), (Extension, &["switchyard"])] {
            harness.ask(kind, names);
        }
        settle(&mut harness, &mut client);
        for event in events {
            if let Event::Publish(next) = event {
                harness.publish(mk_world(&world, &next));
                world = next;
            }
            run(&mut harness, &mut client, event);
            client.assert_whole();
        }
        settle(&mut harness, &mut client);
        prop_assert_eq!(&client.clusters, &clusters(&world));
        prop_assert_eq!(&client.filter, &filter(&world));
        prop_assert_eq!(client.routes.into_iter().collect::<Vec<_>>(), client.filter.into_keys().collect::<Vec<_>>());
    }
}
