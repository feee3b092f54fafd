use super::*;

#[test]
fn requests_wait_until_the_store_is_ready() {
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
fn first_wildcard_response_is_sent_even_if_empty() {
    for kind in [Cluster, Listener] {
        let mut harness = Harness::new();
        harness.ask(kind, &[]);
        assert_eq!(harness.poll(), [kind.to_string()]);
        harness.ack(kind);
        assert_eq!(harness.poll(), [""; 0]);
    }
}

#[test]
fn empty_first_request_is_a_wildcard_for_cds_and_lds_only() {
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
fn wildcard_survives_added_names_and_ends_when_dropped() {
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
fn name_dropped_under_a_wildcard_is_answered() {
    let mut harness = Harness::connected([mk_set(Cluster, "a", 1)], &[(Cluster, &["*", "a", "b"])]);
    harness.drop_names(Cluster, &["a", "b"]);
    assert_eq!(harness.settle(), ["Cluster +a@1 -b"]);
}

#[test]
fn resubscribed_name_is_answered_with_a_known_version() {
    for kind in ResourceType::ALL {
        let mut harness = Harness::connected([mk_set(kind, "a", 1)], &[(kind, &["a"])]);
        assert_eq!(harness.settle(), [""; 0]);
        harness.ask(kind, &["a"]);
        assert_eq!(harness.settle(), [format!("{kind} +a@1")]);
    }
}

#[test]
fn resubscribed_wildcard_is_answered_whole() {
    let mut harness = Harness::connected([mk_set(Cluster, "a", 1)], &[(Cluster, &["*"])]);
    harness.ask(Cluster, &["*"]);
    assert_eq!(harness.settle(), ["Cluster +a@1"]);
}

#[test]
fn missing_name_is_answered_as_removed_and_remembered() {
    for kind in ResourceType::ALL {
        let mut harness = Harness::new();
        harness.ask(kind, &["a"]);
        assert_eq!(harness.settle(), [format!("{kind} -a")]);
        harness.publish(mk_set(kind, "a", 1));
        assert_eq!(harness.settle(), [format!("{kind} +a@1")]);
    }
}

#[test]
fn unsubscribed_name_is_not_sent() {
    let mut harness = Harness::connected([mk_set(Endpoint, "a", 1)], &[(Endpoint, &["a"])]);
    harness.drop_names(Endpoint, &["a"]);
    harness.publish(mk_set(Endpoint, "a", 2));
    harness.publish(mk_set(Endpoint, "b", 1));
    harness.publish(mk_removed(Endpoint, "a"));
    assert_eq!(harness.settle(), [""; 0]);
}

#[test]
fn ack_can_carry_subscriptions() {
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
fn stale_nonce_keeps_subscription_but_not_ack() {
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
fn equal_version_is_not_resent() {
    let mut harness = Harness::connected([mk_set(Listener, "a", 1)], &[(Listener, &[])]);
    harness.publish(mk_set(Listener, "a", 2));
    harness.publish(mk_set(Listener, "a", 1));
    assert_eq!(harness.settle(), [""; 0]);
}

#[test]
fn one_response_per_type_is_in_flight_and_changes_are_merged() {
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
fn session_behind_the_log_compares_everything() {
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
fn unserved_type_is_ignored() {
    let mut harness = Harness::new();
    harness.request(&DeltaDiscoveryRequest {
        type_url: "type.googleapis.com/envoy.service.runtime.v3.Runtime".to_owned(),
        resource_names_subscribe: vec!["a".to_owned()],
        ..DeltaDiscoveryRequest::default()
    });
    assert_eq!(harness.poll(), [""; 0]);
}

#[test]
fn number_of_names_per_client_is_limited() {
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
