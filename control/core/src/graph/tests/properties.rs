//! What holds for any manifests.

use super::{
    oracle::{Manifests, Request, by_table, check_table},
    world::{Event, FQDNS, REQUESTS, Shape, events, objects},
    *,
};
use crate::{
    status::{State, Status},
    table::Table,
};
use proptest::{prelude::*, sample::select};

fn statuses(graph: &Graph) -> BTreeMap<Name, Status> {
    graph
        .statuses()
        .map(|(name, status)| (name.clone(), status.clone()))
        .collect()
}

/// The keys whose values differ.
fn diff<K: Ord + Clone, V: PartialEq>(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> BTreeSet<K> {
    let keys = before.keys().chain(after.keys());
    keys.filter(|key| before.get(*key) != after.get(*key))
        .cloned()
        .collect()
}

/// Values that are equal are the same.
fn check_identity<K: Ord, V: PartialEq>(before: &BTreeMap<K, Arc<V>>, after: &BTreeMap<K, Arc<V>>) {
    for (key, old) in before {
        if let Some(new) = after.get(key).filter(|new| *new == old) {
            assert!(Arc::ptr_eq(old, new));
        }
    }
}

fn expected(before: &(Table, BTreeMap<Name, Status>), after: &Graph, derived: usize) -> Change {
    let (table, status) = before;
    let now = after.table();
    check_identity(&table.hosts, &now.hosts);
    check_identity(&table.switches, &now.switches);
    check_identity(&table.policies, &now.policies);
    check_identity(&table.clusters, &now.clusters);
    check_identity(&table.endpoints, &now.endpoints);
    check_identity(&table.certificates, &now.certificates);
    Change {
        hosts: diff(&table.hosts, &now.hosts),
        switches: diff(&table.switches, &now.switches),
        policies: diff(&table.policies, &now.policies),
        clusters: diff(&table.clusters, &now.clusters),
        endpoints: diff(&table.endpoints, &now.endpoints),
        certificates: diff(&table.certificates, &now.certificates),
        statuses: diff(status, &statuses(after)),
        derived,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever order objects come in.
    #[test]
    fn order_changes_nothing((one, other) in objects(Shape::Wild).prop_flat_map(|o| (Just(o.clone()), Just(o).prop_shuffle()))) {
        let (one, other) = (graph(one), graph(other));
        prop_assert_eq!(one.table(), other.table());
        prop_assert_eq!(statuses(&one), statuses(&other));
    }

    /// A dry_run leaves nothing behind.
    #[test]
    fn dry_run_changes_nothing(objects in objects(Shape::Wild)) {
        let mut graph = graph(objects.clone());
        let before = (graph.table().clone(), statuses(&graph));
        let routes = objects.iter().filter_map(|object| match object {
            Object::IngressRoute(ingress_route) => Some(ingress_route),
            _ => None,
        });
        let routes_that_delegate = routes.flat_map(|ingress_route| {
            let matches = ingress_route.spec.routes.iter().map(|route| &route.match_);
            matches.map(|matched| (&ingress_route.name, matched))
        });
        for (owner, matched) in routes_that_delegate {
            for branch in ["d1", "d2", "root1"] {
                graph.dry_run(owner, matched, branch);
                prop_assert_eq!(graph.table(), &before.0);
                prop_assert_eq!(&statuses(&graph), &before.1);
                prop_assert_eq!(graph.commit(), Change::default());
            }
        }
    }

    /// However objects come and go, what is kept up to date is what would be built anew, and the change told is the
    /// change made.
    #[test]
    fn incremental_is_full(events in events()) {
        let mut graph = graph([]);
        let mut live: BTreeMap<ObjectId, Object> = BTreeMap::new();
        for event in events.into_iter().chain([Event::Commit]) {
            match event {
                Event::Apply(object) => {
                    let differs = live.insert(object.id(), (*object).clone()).as_ref() != Some(&*object);
                    prop_assert_eq!(graph.apply(*object), differs);
                }
                Event::Delete(id) => prop_assert_eq!(graph.delete(&id), live.remove(&id).is_some()),
                Event::Commit => {
                    let before = (graph.table().clone(), statuses(&graph));
                    let change = graph.commit();
                    prop_assert_eq!(&change, &expected(&before, &graph, change.derived));
                    let full = super::graph(live.values().cloned());
                    prop_assert_eq!(graph.table(), full.table());
                    prop_assert_eq!(statuses(&graph), statuses(&full));
                    prop_assert_eq!(graph.commit(), Change::default());
                    check_table(graph.table());
                }
            }
        }
    }

    /// The table answers as the manifests say. Cycles are left to `no_way_leads_out`: which of its routes closes one
    /// depends on the way in.
    #[test]
    fn table_answers_as_manifests_say(
        objects in objects(Shape::Layered),
        branches in prop::collection::vec(0usize..3, 1..5),
    ) {
        let manifests: BTreeMap<_, _> = objects.iter().map(|object| (object.id(), object.clone())).collect();
        let manifests = Manifests { objects: &manifests };
        let graph = graph(objects);
        for (fqdn, path) in FQDNS.iter().flat_map(|fqdn| REQUESTS.map(|path| (fqdn, path))) {
            for tls in [false, true] {
                let request = Request { fqdn, path, tls, branches: &branches };
                prop_assert_eq!(by_table(graph.table(), request), manifests.answer(request), "{:?}", request);
            }
        }
    }

    /// A delegate is orphaned exactly if no chain leads to it.
    #[test]
    fn orphans_are_what_no_chain_reaches(objects in objects(Shape::Layered)) {
        let manifests: BTreeMap<_, _> = objects.iter().map(|object| (object.id(), object.clone())).collect();
        let reached = Manifests { objects: &manifests }.reached(&FQDNS);
        let is_delegate = |name: &Name| name.name.starts_with('d');
        let graph = graph(objects);
        let valid_or_not = graph.statuses().filter(|(name, status)| is_delegate(name) && status.state != State::Orphaned);
        prop_assert!(valid_or_not.map(|(name, _)| name).eq(&reached));
    }

    /// No way down the table leads out of a bound, or on for ever.
    #[test]
    fn no_way_leads_out(
        objects in objects(Shape::Wild),
        path in select(&REQUESTS[..]),
        branches in prop::collection::vec(0usize..3, 1..5),
    ) {
        let graph = graph(objects);
        check_table(graph.table());
        for fqdn in graph.table().hosts.keys() {
            for tls in [false, true] {
                by_table(graph.table(), Request { fqdn, path, tls, branches: &branches });
            }
        }
    }
}
