use super::*;

#[test]
fn nothing_is_answered_before_the_world_is_whole() {
    let mut harness = Harness::new();
    harness.store = Store::default();
    harness.publish(mk_set(Cluster, "a", 1));
    harness.ask(Cluster, &[]);
    harness.ask(Endpoint, &["a"]);
    assert_eq!(harness.poll(), [""; 0]);
    harness.store.set_ready();
    assert_eq!(harness.poll(), ["Cluster +a@1", "ClusterLoadAssignment -a"]);
}

#[test]
fn the_first_answer_to_a_wildcard_is_sent_even_if_it_is_empty() {
    for kind in [Cluster, Listener] {
        let mut harness = Harness::new();
        harness.ask(kind, &[]);
        assert_eq!(harness.poll(), [kind.to_string()]);
        harness.ack(kind);
        assert_eq!(harness.poll(), [""; 0]);
    }
}

#[test]
fn only_the_first_request_of_a_type_and_only_of_clusters_and_listeners_makes_a_wildcard_of_nothing() {
    for (kind, first, then, lines) in [
        (Cluster, &[][..], &[][..], &["Cluster +a@1"][..]),
        (Listener, &[], &[], &["Listener +a@1"]),
        (Cluster, &["*"], &[], &["Cluster +a@1"]),
        (Endpoint, &["*"], &[], &["ClusterLoadAssignment +a@1"]),
        (Endpoint, &[], &[], &[]),
        (Route, &[], &[], &[]),
        (Extension, &[], &[], &[]),
        (Cluster, &["b"], &[], &["Cluster -b"]),
        (Cluster, &["b"], &["*"], &["Cluster -b", "Cluster +a@1"]),
        (Cluster, &["b", "*"], &[], &["Cluster +a@1 -b"]),
    ] {
        let mut harness = Harness::new();
        harness.publish(mk_set(kind, "a", 1));
        harness.ask(kind, first);
        let mut all = harness.settle();
        harness.ask(kind, then);
        all.extend(harness.settle());
        assert_eq!(all, lines, "{kind} {first:?} {then:?}");
    }
}

#[test]
fn a_wildcard_stays_when_a_name_is_added_and_goes_when_it_is_dropped() {
    let mut harness = Harness::connected([mk_set(Cluster, "a", 1)], &[(Cluster, &[])]);
    harness.ask(Cluster, &["a"]);
    assert_eq!(harness.settle(), ["Cluster +a@1"]);
    harness.publish(mk_set(Cluster, "b", 1));
    assert_eq!(harness.settle(), ["Cluster +b@1"]);
    harness.drop_names(Cluster, &["*"]);
    harness.publish(mk_set(Cluster, "b", 2));
    harness.publish(mk_set(Cluster, "a", 2));
    assert_eq!(harness.settle(), ["Cluster +a@2"]);
}

#[test]
fn a_name_that_is_dropped_while_the_wildcard_covers_it_is_answered() {
    let mut harness = Harness::connected([mk_set(Cluster, "a", 1)], &[(Cluster, &["*", "a", "b"])]);
    harness.drop_names(Cluster, &["a", "b"]);
    assert_eq!(harness.settle(), ["Cluster +a@1 -b"]);
}

#[test]
fn a_resubscribed_name_is_answered_even_when_its_version_is_known() {
    for kind in ResourceType::ALL {
        let mut harness = Harness::connected([mk_set(kind, "a", 1)], &[(kind, &["a"])]);
        assert_eq!(harness.settle(), [""; 0]);
        harness.ask(kind, &["a"]);
        assert_eq!(harness.settle(), [format!("{kind} +a@1")]);
    }
}

#[test]
fn a_resubscribed_wildcard_is_answered_whole() {
    let mut harness = Harness::connected([mk_set(Cluster, "a", 1)], &[(Cluster, &["*"])]);
    harness.ask(Cluster, &["*"]);
    assert_eq!(harness.settle(), ["Cluster +a@1"]);
}

#[test]
fn a_missing_name_is_answered_as_gone_and_remembered() {
    for kind in ResourceType::ALL {
        let mut harness = Harness::new();
        harness.ask(kind, &["a"]);
        assert_eq!(harness.settle(), [format!("{kind} -a")]);
        harness.publish(mk_set(kind, "a", 1));
        assert_eq!(harness.settle(), [format!("{kind} +a@1")]);
    }
}

#[test]
fn a_name_that_is_not_subscribed_is_not_sent() {
    let mut harness = Harness::connected([mk_set(Endpoint, "a", 1)], &[(Endpoint, &["a"])]);
    harness.drop_names(Endpoint, &["a"]);
    harness.publish(mk_set(Endpoint, "a", 2));
    harness.publish(mk_set(Endpoint, "b", 1));
    harness.publish(mk_removed(Endpoint, "a"));
    assert_eq!(harness.settle(), [""; 0]);
}

#[test]
fn an_acceptance_carries_subscriptions() {
    let mut harness = Harness::new();
    harness.publish(mk_set(Endpoint, "b", 1));
    harness.ask(Endpoint, &["a"]);
    assert_eq!(harness.poll(), ["ClusterLoadAssignment -a"]);
    let ack = DeltaDiscoveryRequest {
        response_nonce: harness.mk_ack(Endpoint).response_nonce,
        ..mk_ask(Endpoint, &["b"])
    };
    harness.request(&ack);
    assert_eq!(harness.poll(), ["ClusterLoadAssignment +b@1"]);
}

#[test]
fn a_subscription_with_a_stale_nonce_counts_but_its_verdict_does_not() {
    let mut harness = Harness::new();
    harness.ask(Endpoint, &["a"]);
    assert_eq!(harness.poll(), ["ClusterLoadAssignment -a"]);
    let stale = DeltaDiscoveryRequest {
        response_nonce: "before".to_owned(),
        ..mk_ask(Endpoint, &["b"])
    };
    harness.request(&stale);
    assert_eq!(harness.poll(), [""; 0]);
    harness.ack(Endpoint);
    assert_eq!(harness.poll(), ["ClusterLoadAssignment -b"]);
}

#[test]
fn an_equal_version_is_not_sent_again() {
    let mut harness = Harness::connected([mk_set(Listener, "a", 1)], &[(Listener, &[])]);
    harness.publish(mk_set(Listener, "a", 2));
    harness.publish(mk_set(Listener, "a", 1));
    assert_eq!(harness.settle(), [""; 0]);
}

#[test]
fn one_response_of_a_type_is_out_at_a_time_and_what_changes_meanwhile_is_sent_once() {
    let mut harness = Harness::connected([], &[(Cluster, &[])]);
    harness.publish(mk_set(Cluster, "a", 1));
    assert_eq!(harness.poll(), ["Cluster +a@1"]);
    for version in 2..=9 {
        harness.publish(mk_set(Cluster, "a", version));
        assert_eq!(harness.poll(), [""; 0]);
    }
    harness.ack(Cluster);
    assert_eq!(harness.poll(), ["Cluster +a@9"]);
}

#[test]
fn a_session_that_fell_behind_the_log_compares_everything() {
    let mut harness = Harness::connected([mk_set(Endpoint, "a", 1)], &[(Endpoint, &["a", "b"])]);
    for version in 0..2000 {
        harness.publish(mk_set(Endpoint, "other", version));
    }
    harness.publish(mk_removed(Endpoint, "a"));
    harness.publish(mk_set(Endpoint, "b", 1));
    for version in 0..2000 {
        harness.publish(mk_set(Endpoint, "other", version));
    }
    assert_eq!(
        harness.settle(),
        ["ClusterLoadAssignment +b@1", "ClusterLoadAssignment -a"]
    );
}

#[test]
fn a_type_that_is_not_served_is_ignored() {
    let mut harness = Harness::new();
    harness.request(&DeltaDiscoveryRequest {
        type_url: "type.googleapis.com/envoy.service.runtime.v3.Runtime".to_owned(),
        resource_names_subscribe: vec!["a".to_owned()],
        ..DeltaDiscoveryRequest::default()
    });
    assert_eq!(harness.poll(), [""; 0]);
}

#[test]
fn a_client_cannot_make_the_server_keep_any_amount_of_names() {
    let limits = Limits {
        names: 3,
        name_length: 5,
        ..Limits::default()
    };
    let versions = |count: usize| {
        (0..count)
            .map(|name| (name.to_string(), "1".to_owned()))
            .collect()
    };
    let resumed = |count| DeltaDiscoveryRequest {
        initial_resource_versions: versions(count),
        ..mk_ask(Cluster, &[])
    };
    for (requests, verdict) in [
        (vec![mk_ask(Endpoint, &["1", "2", "3"])], Ok(())),
        (
            vec![
                mk_ask(Endpoint, &["1", "2", "3"]),
                mk_ask(Endpoint, &["1", "2", "3"]),
            ],
            Ok(()),
        ),
        (
            vec![mk_ask(Endpoint, &["1", "2", "3", "4"])],
            Err(Excess::Names(3)),
        ),
        (
            vec![mk_ask(Endpoint, &["1", "2"]), mk_ask(Route, &["1", "2"])],
            Err(Excess::Names(3)),
        ),
        (vec![mk_ask(Endpoint, &["12345"])], Ok(())),
        (vec![mk_ask(Endpoint, &["123456"])], Err(Excess::Name(5))),
        (vec![resumed(3)], Ok(())),
        (vec![resumed(4)], Err(Excess::Names(3))),
    ] {
        let mut session = Session::new(limits);
        let now = Instant::now();
        let got = requests
            .iter()
            .try_for_each(|request| session.on_request(request, now));
        assert_eq!(got, verdict, "{requests:?}");
    }
}
