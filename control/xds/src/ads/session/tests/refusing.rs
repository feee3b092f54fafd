use super::*;

#[test]
fn a_refused_version_is_not_sent_again_and_a_newer_one_is() {
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
fn a_refusal_is_of_the_changes_that_the_client_has_not_for_it() {
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
fn a_client_that_went_back_to_the_newest_lacks_only_what_it_refuses_then() {
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
fn what_was_refused_and_comes_back_is_lacked_since_it_came_back() {
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
fn a_filter_that_is_asked_for_anew_is_refused_since_it_changed() {
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
fn a_refused_name_that_is_asked_for_anew_is_answered() {
    let mut harness = Harness::new();
    harness.publish(mk_set(Endpoint, "a", 1));
    harness.ask(Endpoint, &["a"]);
    harness.poll();
    harness.nack(Endpoint);
    harness.ask(Endpoint, &["a"]);
    assert_eq!(harness.poll(), ["ClusterLoadAssignment +a@1"]);
}

#[test]
fn one_bad_resource_is_found_and_holds_no_good_one_back() {
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
fn what_changes_while_the_bad_one_is_sought_is_sent_in_its_newest_version_alone() {
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
fn an_answer_overtakes_the_search_for_the_bad_one_for_good() {
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
fn a_refusal_holds_no_other_type_up() {
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
fn after_a_refused_filter_the_last_good_one_is_restored() {
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
fn a_filter_that_is_refused_even_as_it_was_is_not_sent_for_ever() {
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
fn a_bad_filter_does_not_keep_its_repaired_self_away() {
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
fn refused_routes_keep_the_switches_that_they_name() {
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
fn nothing_is_taken_away_from_a_client_that_clings_to_something_old() {
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
fn a_long_reason_is_cut_between_characters() {
    let refusal = Refusal::now(None, 1, 1, &"ü".repeat(1000));
    assert_eq!(&*refusal.reason, "ü".repeat(512));
}
