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
fn a_first_answer_waits_for_no_other_type() {
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
fn a_toggle_is_one_response() {
    let mut harness = mk_world();
    harness.publish(mk_filter(&["s=d"]));
    assert_eq!(harness.poll(), ["TypedExtensionConfig +switchyard(s=d)"]);
    harness.ack(Extension);
    assert_eq!(harness.poll(), [""; 0]);
}

#[test]
fn what_is_named_is_live_before_what_names_it() {
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
fn old_and_new_switches_are_there_while_the_routes_change() {
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
fn no_bridge_is_built_when_no_switch_is_new_or_no_route_changes() {
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
fn what_is_gone_goes_last_and_backwards() {
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
fn what_comes_back_before_it_was_sent_away_stays() {
    let mut harness = mk_world();
    harness.publish(mk_set(Cluster, "new", 1));
    assert_eq!(harness.poll(), ["Cluster +new@1"]);
    harness.publish(mk_removed(Cluster, "c"));
    assert_eq!(harness.poll(), [""; 0]);
    harness.publish(mk_set(Cluster, "c", 1));
    assert_eq!(harness.settle(), [""; 0]);
}

#[test]
fn endpoints_follow_their_updated_cluster_unasked() {
    let mut harness = mk_world();
    harness.publish(mk_set(Cluster, "c", 2));
    assert_eq!(harness.poll(), ["Cluster +c@2", "ClusterLoadAssignment +c@1"]);
}

#[test]
fn a_new_cluster_is_asked_for_by_envoy_itself() {
    let mut harness = mk_world();
    harness.publish(mk_set(Cluster, "d", 1));
    harness.publish(mk_set(Endpoint, "d", 1));
    assert_eq!(harness.poll(), ["Cluster +d@1"]);
    harness.ask(Endpoint, &["d"]);
    assert_eq!(harness.poll(), ["ClusterLoadAssignment +d@1"]);
}

#[test]
fn endpoints_and_secrets_wait_for_nothing() {
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
fn changes_go_live_though_clusters_never_stop_changing() {
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
fn a_silent_client_holds_itself_up_for_no_longer_than_patience() {
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
fn a_generation_is_settled_when_all_of_it_has_a_verdict() {
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
fn a_filter_that_is_asked_for_anew_is_answered_with_what_it_was_until_its_turn_comes() {
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
