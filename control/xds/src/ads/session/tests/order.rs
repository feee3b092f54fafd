use super::*;

/// A client that has one resource of each type, and a filter with switch `s`.
fn mk_world() -> Harness {
    let updates = [
        mk_set(Cluster, "c", 1),
        mk_set(Endpoint, "c", 1),
        mk_set(Secret, "cert", 1),
        mk_set(Listener, "l", 1),
        mk_set(Route, "r", 1),
        mk_filter(&["s=c"]),
    ];
    let names: [(ResourceType, &[&str]); 6] = [
        (Cluster, &[]),
        (Endpoint, &["c"]),
        (Secret, &["cert"]),
        (Listener, &[]),
        (Route, &["r"]),
        (Extension, &["switchyard"]),
    ];
    Harness::connected(updates, &names)
}

#[test]
fn first_response_waits_for_no_other_type() {
    let mut harness = Harness::new();
    let updates = [
        mk_set(Cluster, "c", 1),
        mk_set(Listener, "l", 1),
        mk_set(Route, "r", 1),
        mk_filter(&["s=c"]),
    ];
    updates.into_iter().for_each(|update| harness.publish(update));
    harness.ask(Extension, &["switchyard"]);
    harness.ask(Route, &["r"]);
    harness.ask(Listener, &[]);
    harness.ask(Cluster, &[]);
    let lines = [
        "Cluster +c@1",
        "Listener +l@1",
        "RouteConfiguration +r@1",
        "TypedExtensionConfig +switchyard(s=c)",
    ];
    assert_eq!(harness.poll(), lines);
}

#[test]
fn switch_is_one_response() {
    let mut harness = mk_world();
    harness.publish(mk_filter(&["s=d"]));
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=d)"]);
    harness.ack(Extension);
    assert_eq!(harness.poll(), [""; 0]);
}

#[test]
fn referenced_resources_are_sent_before_their_referrers() {
    let mut harness = mk_world();
    for kind in [Extension, Route, Listener, Cluster] {
        let update = match kind {
            Extension => mk_filter(&["s=d"]),
            _ => mk_set(kind, "r", 2),
        };
        harness.publish(update);
    }
    assert_eq!(harness.poll(), ["Cluster +r@2", "Listener +r@2"]);
    harness.ack(Listener);
    assert_eq!(harness.poll(), [""; 0]);
    harness.ack(Cluster);
    assert_eq!(harness.poll(), ["RouteConfiguration +r@2"]);
    harness.ack(Route);
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=d)"]);
}

#[test]
fn overlap_keeps_old_and_new_switches_during_route_update() {
    let mut harness = mk_world();
    harness.publish(mk_set(Route, "r", 2));
    harness.publish(mk_filter(&["t=d"]));
    let lines = [
        "TypedExtensionConfig +switchyard(s=c t=d)",
        "RouteConfiguration +r@2",
        "TypedExtensionConfig +switchyard(t=d)",
    ];
    for (line, kind) in lines.iter().zip([Extension, Route, Extension]) {
        assert_eq!(harness.poll(), [*line]);
        harness.ack(kind);
    }
    assert_eq!(harness.poll(), [""; 0]);
}

#[test]
fn overlap_is_skipped_without_new_switches_or_route_changes() {
    for (updates, lines) in [
        (
            vec![mk_set(Route, "r", 2), mk_filter(&["s=d"])],
            vec!["RouteConfiguration +r@2", "TypedExtensionConfig +switchyard(s=d)"],
        ),
        (
            vec![mk_filter(&["t=d"])],
            vec!["TypedExtensionConfig +switchyard(t=d)"],
        ),
        (vec![mk_set(Route, "r", 2)], vec!["RouteConfiguration +r@2"]),
    ] {
        let mut harness = mk_world();
        updates.into_iter().for_each(|update| harness.publish(update));
        assert_eq!(harness.settle(), lines);
    }
}

#[test]
fn removals_are_sent_last_in_reverse_order() {
    let mut harness = mk_world();
    harness.publish(mk_set(Route, "r", 2));
    harness.publish(mk_filter(&["s=d"]));
    for (kind, name) in [(Cluster, "c"), (Endpoint, "c"), (Listener, "l")] {
        harness.publish(mk_removed(kind, name));
    }
    let lines = [
        "RouteConfiguration +r@2",
        "TypedExtensionConfig +switchyard(s=d)",
        "Listener -l",
        "ClusterLoadAssignment -c",
        "Cluster -c",
    ];
    assert_eq!(harness.settle(), lines);
}

#[test]
fn resource_restored_before_its_removal_is_kept() {
    let mut harness = mk_world();
    harness.publish(mk_set(Cluster, "new", 1));
    assert_eq!(harness.poll(), ["Cluster +new@1"]);
    harness.publish(mk_removed(Cluster, "c"));
    assert_eq!(harness.poll(), [""; 0]);
    harness.publish(mk_set(Cluster, "c", 1));
    assert_eq!(harness.settle(), [""; 0]);
}

#[test]
fn endpoints_are_resent_after_their_cluster_update() {
    let mut harness = mk_world();
    harness.publish(mk_set(Cluster, "c", 2));
    assert_eq!(harness.poll(), ["Cluster +c@2", "ClusterLoadAssignment +c@1"]);
}

#[test]
fn endpoints_of_a_new_cluster_wait_for_subscription() {
    let mut harness = mk_world();
    harness.publish(mk_set(Cluster, "d", 1));
    harness.publish(mk_set(Endpoint, "d", 1));
    assert_eq!(harness.poll(), ["Cluster +d@1"]);
    harness.ask(Endpoint, &["d"]);
    assert_eq!(harness.poll(), ["ClusterLoadAssignment +d@1"]);
}

#[test]
fn endpoints_and_secrets_are_sent_immediately() {
    let mut harness = mk_world();
    for kind in [Cluster, Listener, Route] {
        harness.publish(mk_set(kind, "x", 1));
    }
    harness.poll();
    harness.publish(mk_set(Endpoint, "c", 2));
    harness.publish(mk_set(Secret, "cert", 2));
    assert_eq!(harness.poll(), ["ClusterLoadAssignment +c@2", "Secret +cert@2"]);
}

#[test]
fn changes_go_live_despite_constant_cluster_updates() {
    let mut harness = mk_world();
    let mut lines = vec![];
    for version in 1..20 {
        harness.publish(mk_set(Cluster, "slow", version));
        harness.publish(mk_filter(&[&format!("s={version}")]));
        lines.extend(harness.poll());
        harness.ack(Extension);
        harness.ack(Cluster);
        harness.publish(mk_set(Cluster, "slow", 100 + version));
        lines.extend(harness.poll());
    }
    let toggles = lines
        .iter()
        .filter(|line| line.starts_with("TypedExtensionConfig"))
        .count();
    assert!(toggles >= 8, "{toggles} toggles");
}

#[test]
fn silent_client_delays_its_rollout_up_to_patience() {
    let mut harness = mk_world();
    harness.publish(mk_set(Cluster, "slow", 1));
    harness.publish(mk_filter(&["s=d"]));
    assert_eq!(harness.poll(), ["Cluster +slow@1"]);
    let deadline = harness.session.deadline(harness.now).expect("a rollout waits");
    assert_eq!(deadline - harness.now, Limits::default().patience);
    harness.now = deadline;
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=d)"]);
}

#[test]
fn generation_is_acked_when_all_its_changes_are_answered() {
    let mut harness = mk_world();
    let before = harness.store.generation();
    assert_eq!(harness.acked(), before);
    harness.publish(mk_set(Cluster, "d", 1));
    harness.publish(mk_filter(&["s=d"]));
    harness.publish(mk_removed(Cluster, "c"));
    for (verdict, acked) in [(Cluster, before), (Extension, before + 1), (Cluster, before + 2)] {
        harness.poll();
        assert_eq!(harness.acked(), acked);
        harness.ack(verdict);
    }
    harness.poll();
    assert_eq!(harness.acked(), before + 3);
}

#[test]
fn resubscribed_filter_gets_old_version_until_its_turn() {
    let mut harness = mk_world();
    harness.publish(mk_set(Cluster, "d", 1));
    harness.publish(mk_filter(&["s=d"]));
    assert_eq!(harness.poll(), ["Cluster +d@1"]);
    harness.ask(Extension, &["switchyard"]);
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=c)"]);
    harness.ack(Extension);
    harness.ack(Cluster);
    assert_eq!(harness.settle(), ["TypedExtensionConfig +switchyard(s=d)"]);
}
