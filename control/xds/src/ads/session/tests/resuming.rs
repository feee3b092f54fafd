use super::*;

/// The first request of a reconnected client that has `held`, written `name@version`.
fn mk_resume(kind: ResourceType, subscribe: &[&str], held: &[&str]) -> DeltaDiscoveryRequest {
    let version = |text: &str| {
        text.parse()
            .map_or_else(|_| text.to_owned(), Resource::version_text)
    };
    let pairs = held.iter().filter_map(|pair| pair.split_once('@'));
    DeltaDiscoveryRequest {
        initial_resource_versions: pairs
            .map(|(name, text)| (name.to_owned(), version(text)))
            .collect(),
        ..mk_ask(kind, subscribe)
    }
}

fn mk_harness(updates: impl IntoIterator<Item = Update>) -> Harness {
    let mut harness = Harness::new();
    updates.into_iter().for_each(|update| harness.publish(update));
    harness
}

#[test]
fn reconnected_client_is_sent_the_differences() {
    for (held, lines) in [
        (&["a@1", "b@2"][..], &["Cluster"][..]),
        (&["a@1", "b@1"], &["Cluster +b@2"]),
        (&["a@1"], &["Cluster +b@2"]),
        (&["a@1", "b@2", "c@3"], &["Cluster", "Cluster -c"]),
        (&["a@other", "b@2"], &["Cluster +a@1"]),
    ] {
        let mut harness = mk_harness([mk_set(Cluster, "a", 1), mk_set(Cluster, "b", 2)]);
        harness.request(&mk_resume(Cluster, &[], held));
        for kind in [Listener, Route, Extension] {
            harness.request(&mk_resume(kind, &["*"], &["x@1"]));
        }
        let mut got = harness.settle();
        got.retain(|line| line.starts_with("Cluster"));
        assert_eq!(got, lines, "{held:?}");
    }
}

#[test]
fn unchanged_name_is_not_answered_after_reconnect() {
    let mut harness = mk_harness([mk_set(Route, "r", 1)]);
    harness.request(&mk_resume(Cluster, &[], &[]));
    harness.request(&mk_resume(Route, &["r", "s"], &["r@1"]));
    assert_eq!(harness.poll(), ["Cluster", "RouteConfiguration -s"]);
}

#[test]
fn endpoints_are_answered_whole_while_a_cluster_warms() {
    let mut harness = mk_harness([mk_set(Endpoint, "a", 1)]);
    harness.request(&mk_resume(Endpoint, &["a", "b"], &["a@1", "b@1"]));
    assert_eq!(harness.poll(), ["ClusterLoadAssignment +a@1 -b"]);

    let mut harness = mk_harness([mk_set(Endpoint, "a", 1)]);
    harness.request(&mk_resume(Cluster, &[], &["a@1"]));
    harness.request(&mk_resume(Endpoint, &["a"], &["a@1"]));
    assert_eq!(harness.poll(), ["Cluster"]);
}

#[test]
fn changes_are_ordered_for_a_reconnected_client() {
    let updates = [
        mk_set(Cluster, "new", 1),
        mk_set(Listener, "l", 1),
        mk_set(Route, "r", 2),
        mk_filter(&["s=new"]),
    ];
    let mut harness = mk_harness(updates);
    harness.request(&mk_resume(Extension, &["switchyard"], &["switchyard@7"]));
    assert_eq!(
        harness.poll(),
        [""; 0],
        "the filter may name clusters that are not asked for yet"
    );
    assert_eq!(harness.acked(), 0);
    harness.request(&mk_resume(Cluster, &[], &["old@1"]));
    harness.request(&mk_resume(Listener, &[], &["l@1"]));
    assert_eq!(harness.poll(), ["Cluster +new@1", "Listener"]);
    harness.request(&mk_resume(Route, &["r"], &["r@1"]));
    harness.ack(Cluster);
    harness.ack(Listener);
    let lines = [
        "RouteConfiguration +r@2",
        "TypedExtensionConfig +switchyard(s=new)",
        "Cluster -old",
    ];
    assert_eq!(harness.settle(), lines);
    assert_eq!(harness.acked(), 4);
}

#[test]
fn reconnected_client_missing_types_is_awaited_briefly() {
    let mut harness = mk_harness([mk_filter(&["s=c"])]);
    harness.request(&mk_resume(Extension, &["switchyard"], &["switchyard@7"]));
    assert_eq!(harness.poll(), [""; 0]);
    harness.now = harness.session.deadline(harness.now).expect("a deadline");
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=c)"]);
}

#[test]
fn filter_nacked_on_an_earlier_stream_is_not_resent() {
    for (held, lines) in [
        (&["c@1"][..], &["Cluster"][..]),
        (&[], &["Cluster +c@1", "TypedExtensionConfig +switchyard(s=bad)"]),
    ] {
        let mut before = mk_harness([mk_set(Cluster, "c", 1), mk_filter(&["s=bad"])]);
        before.ask(Extension, &["switchyard"]);
        before.poll();
        before.nack(Extension);

        let mut harness = mk_harness([mk_set(Cluster, "c", 1), mk_filter(&["s=bad"])]);
        harness.session.remember(before.session.refused_filters());
        assert_eq!(
            harness.session.refused_filters().len(),
            1,
            "not forgotten before it is asked for"
        );
        harness.request(&mk_resume(Cluster, &[], held));
        harness.request(&mk_resume(Extension, &["switchyard"], &[]));
        assert_eq!(harness.settle(), lines, "{held:?}");
    }
}
