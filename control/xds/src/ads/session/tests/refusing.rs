use super::*;

#[test]
fn nacked_version_is_not_resent_but_a_newer_one_is() {
    for kind in ResourceType::ALL {
        let mut harness = Harness::connected([mk_set(kind, "a", 1)], &[(kind, &["a"])]);
        harness.publish(mk_set(kind, "a", 2));
        assert_eq!(harness.poll(), [format!("{kind} +a@2")]);
        harness.nack(kind);
        assert_eq!(harness.settle(), [""; 0]);
        assert_eq!(harness.refused(), [format!("{kind} a Some(2): bad")]);
        assert_eq!(harness.acked(), harness.store.generation());
        harness.publish(mk_set(kind, "a", 3));
        assert_eq!(harness.settle(), [format!("{kind} +a@3")]);
        assert_eq!(harness.refused(), [""; 0]);
    }
}

/// The generations of the changes that the client lacks, from the first to the last for each rejection.
fn missed(harness: &Harness) -> Vec<(u64, u64)> {
    let refused = harness.session.refused();
    refused
        .map(|(_, _, refusal)| (refusal.since, refusal.generation))
        .collect()
}

#[test]
fn nack_covers_the_changes_the_client_misses() {
    let mut harness = Harness::connected([mk_set(Cluster, "a", 1)], &[(Cluster, &[])]);
    harness.publish(mk_set(Cluster, "b", 1));
    harness.settle();
    for (version, want) in [(2, (3, 3)), (3, (3, 5))] {
        harness.publish(mk_set(Cluster, "a", version));
        harness.poll();
        harness.nack(Cluster);
        harness.publish(mk_set(Cluster, "b", version));
        harness.settle();
        assert_eq!(missed(&harness), [want], "{version}");
    }
    harness.publish(mk_set(Cluster, "a", 4));
    harness.settle();
    assert_eq!(missed(&harness), []);
}

#[test]
fn client_restored_to_newest_misses_only_later_nacks() {
    let mut harness = Harness::connected([mk_filter(&["s=1"])], &[(Extension, &["switchyard"])]);
    for (section, generation) in [("s=2", 2), ("s=3", 4)] {
        harness.publish(mk_filter(&[section]));
        harness.poll();
        harness.nack(Extension);
        harness.settle();
        assert_eq!(missed(&harness), [(generation, generation)]);
        harness.publish(mk_filter(&["s=1"]));
        harness.settle();
        assert_eq!(missed(&harness), []);
    }
}

#[test]
fn reintroduced_nacked_change_is_missed_since_its_return() {
    let mut harness = Harness::connected([mk_filter(&["s=1"])], &[(Extension, &["switchyard"])]);
    harness.publish(mk_filter(&["s=2"]));
    harness.poll();
    harness.nack(Extension);
    harness.settle();
    harness.publish(mk_filter(&["s=1"]));
    harness.settle();
    harness.publish(mk_filter(&["s=2"]));
    assert_eq!(harness.settle(), [""; 0]);
    assert_eq!(missed(&harness), [(4, 4)]);
    harness.publish(mk_filter(&["s=3"]));
    harness.poll();
    harness.nack(Extension);
    harness.settle();
    assert_eq!(missed(&harness), [(4, 5)]);
}

#[test]
fn resubscribed_filter_is_nacked_since_its_change() {
    let mut harness = Harness::connected([mk_filter(&["s=1"])], &[(Extension, &["switchyard"])]);
    harness.publish(mk_filter(&["s=2"]));
    harness.poll();
    harness.nack(Extension);
    harness.settle();
    assert_eq!(missed(&harness), [(2, 2)]);
    harness.publish(mk_set(Cluster, "a", 1));
    harness.ask(Extension, &["switchyard"]);
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=1)"]);
    harness.ack(Extension);
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=2)"]);
    harness.nack(Extension);
    harness.poll();
    assert_eq!(missed(&harness), [(2, 3)]);
}

#[test]
fn resubscribed_nacked_name_is_answered() {
    let mut harness = Harness::new();
    harness.publish(mk_set(Endpoint, "a", 1));
    harness.ask(Endpoint, &["a"]);
    harness.poll();
    harness.nack(Endpoint);
    harness.ask(Endpoint, &["a"]);
    assert_eq!(harness.poll(), ["ClusterLoadAssignment +a@1"]);
}

#[test]
fn bad_resource_is_isolated_and_good_ones_are_delivered() {
    let mut harness = Harness::connected([], &[(Cluster, &[])]);
    for name in 0..100 {
        harness.publish(mk_set(Cluster, &format!("{name:03}"), 1));
    }
    let (mut accepted, mut responses) = (0, 0);
    loop {
        let lines = harness.poll();
        let Some(line) = lines.first() else { break };
        responses += 1;
        if line.contains("+042@1") {
            harness.nack(Cluster);
        } else {
            accepted += line.matches('+').count();
            harness.ack(Cluster);
        }
    }
    assert_eq!(accepted, 99);
    assert_eq!(harness.refused(), ["Cluster 042 Some(1): bad"]);
    assert!(responses <= 15, "{responses} responses");
}

#[test]
fn change_during_nack_bisection_sends_only_the_newest() {
    let mut harness = Harness::connected([], &[(Cluster, &[])]);
    for name in ["a", "b"] {
        harness.publish(mk_set(Cluster, name, 1));
    }
    assert_eq!(harness.poll(), ["Cluster +a@1 +b@1"]);
    harness.nack(Cluster);
    harness.publish(mk_set(Cluster, "b", 2));
    assert_eq!(harness.settle(), ["Cluster +a@1", "Cluster +b@2"]);
}

#[test]
fn subscription_answer_overtakes_nack_bisection() {
    let mut harness = Harness::connected([], &[(Cluster, &[])]);
    for name in ["a", "b"] {
        harness.publish(mk_set(Cluster, name, 1));
    }
    harness.poll();
    harness.nack(Cluster);
    harness.publish(mk_set(Cluster, "b", 2));
    harness.ask(Cluster, &["z"]);
    assert_eq!(harness.settle(), ["Cluster +b@2 -z", "Cluster +a@1"]);
}

#[test]
fn nack_does_not_block_other_types() {
    let mut harness = mk_filtered();
    harness.publish(mk_set(Cluster, "c", 2));
    harness.publish(mk_set(Route, "r", 2));
    assert_eq!(harness.poll(), ["Cluster +c@2"]);
    harness.nack(Cluster);
    assert_eq!(harness.poll(), ["RouteConfiguration +r@2"]);
    harness.nack(Route);
    harness.publish(mk_filter(&["s=d"]));
    assert_eq!(harness.settle(), ["TypedExtensionConfig +switchyard(s=d)"]);
}

/// A client with a cluster, a route and a filter.
fn mk_filtered() -> Harness {
    let updates = [
        mk_set(Cluster, "c", 1),
        mk_set(Route, "r", 1),
        mk_filter(&["s=c"]),
    ];
    Harness::connected(
        updates,
        &[(Cluster, &[]), (Route, &["r"]), (Extension, &["switchyard"])],
    )
}

#[test]
fn nacked_filter_is_replaced_by_the_last_good_one() {
    let mut harness = mk_filtered();
    harness.publish(mk_filter(&["s=bad"]));
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=bad)"]);
    harness.nack(Extension);
    assert_eq!(harness.settle(), ["TypedExtensionConfig +switchyard(s=c)"]);
    assert_eq!(harness.refused().len(), 1);
    harness.publish(mk_filter(&["s=d"]));
    assert_eq!(harness.settle(), ["TypedExtensionConfig +switchyard(s=d)"]);
    assert_eq!(harness.refused(), [""; 0]);
}

#[test]
fn filter_nacked_twice_is_not_resent() {
    let mut harness = mk_filtered();
    harness.publish(mk_filter(&["s=bad"]));
    let mut responses = 0;
    while !harness.poll().is_empty() {
        responses += 1;
        harness.nack(Extension);
    }
    assert_eq!(responses, 2);
}

#[test]
fn repaired_filter_clears_the_nack() {
    let mut harness = mk_filtered();
    harness.publish(mk_filter(&["s=bad"]));
    harness.poll();
    harness.nack(Extension);
    harness.settle();
    harness.publish(mk_filter(&["s=c"]));
    assert_eq!(harness.settle(), [""; 0]);
    assert_eq!(harness.refused(), [""; 0]);
}

#[test]
fn nacked_routes_keep_their_switches() {
    let mut harness = mk_filtered();
    harness.publish(mk_set(Route, "r", 2));
    harness.publish(mk_filter(&["t=d"]));
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=c t=d)"]);
    harness.ack(Extension);
    assert_eq!(harness.poll(), ["RouteConfiguration +r@2"]);
    harness.nack(Route);
    assert_eq!(harness.settle(), [""; 0], "the filter has both switches already");
    harness.publish(mk_filter(&["t=e"]));
    assert_eq!(harness.settle(), ["TypedExtensionConfig +switchyard(s=c t=e)"]);
}

#[test]
fn client_with_nack_keeps_its_old_resources() {
    let mut harness = mk_filtered();
    harness.publish(mk_filter(&["s=bad"]));
    harness.poll();
    harness.nack(Extension);
    harness.publish(mk_removed(Cluster, "c"));
    assert_eq!(harness.settle(), ["TypedExtensionConfig +switchyard(s=c)"]);
    assert_eq!(harness.acked(), harness.store.generation());
    harness.publish(mk_filter(&["s=d"]));
    assert_eq!(
        harness.settle(),
        ["TypedExtensionConfig +switchyard(s=d)", "Cluster -c"]
    );
}

#[test]
fn long_nack_reason_is_cut_at_a_character_boundary() {
    let refusal = Refusal::now(None, 1, 1, &"ü".repeat(1000));
    assert_eq!(&*refusal.reason, "ü".repeat(512));
}
