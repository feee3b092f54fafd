use super::*;

const READY: &str = "ready";

/// A client with a readiness cluster, which has subscribed to clusters and listeners.
fn mk_client(updates: impl IntoIterator<Item = Update>) -> Harness {
    let mut harness = Harness::new();
    updates.into_iter().for_each(|update| harness.publish(update));
    harness.session.announce_readiness(READY);
    harness.ask(Cluster, &[]);
    harness.ask(Listener, &[]);
    harness
}

fn mk_updates() -> [Update; 3] {
    [
        mk_set(Cluster, "c", 1),
        mk_set(Listener, "web", 1),
        mk_set(Route, "web", 1),
    ]
}

fn readiness_sent(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.contains("+ready@")).count()
}

#[test]
fn client_is_ready_after_acking_its_routes() {
    let mut harness = mk_client(mk_updates());
    assert_eq!(readiness_sent(&harness.settle()), 0);
    harness.ask(Route, &["web"]);
    assert_eq!(harness.poll(), ["RouteConfiguration +web@1"]);
    harness.ack(Route);
    assert_eq!(readiness_sent(&harness.settle()), 1);
    assert_eq!(harness.acked(), harness.store.generation());
    assert_eq!(harness.refused(), [""; 0]);
}

#[test]
fn client_that_nacks_its_first_routes_is_not_ready() {
    let mut harness = mk_client(mk_updates());
    harness.ask(Route, &["web"]);
    harness.poll();
    harness.ack(Cluster);
    harness.ack(Listener);
    harness.nack(Route);
    assert_eq!(readiness_sent(&harness.settle()), 0);
    harness.publish(mk_set(Route, "web", 2));
    assert_eq!(readiness_sent(&harness.settle()), 1);
}

#[test]
fn client_that_nacks_an_update_stays_ready() {
    let mut harness = mk_client(mk_updates());
    harness.ask(Route, &["web"]);
    assert_eq!(readiness_sent(&harness.settle()), 1);
    harness.publish(mk_set(Route, "web", 2));
    harness.poll();
    harness.nack(Route);
    let lines = harness.settle();
    assert!(lines.iter().all(|line| !line.contains(READY)), "{lines:?}");
}

#[test]
fn reconnected_client_stays_ready() {
    let mut request = mk_ask(Cluster, &[]);
    request.initial_resource_versions = [(READY, 1), ("c", 7)]
        .map(|(name, version)| (name.to_owned(), Resource::version_text(version)))
        .into();
    let mut harness = Harness::new();
    mk_updates()
        .into_iter()
        .for_each(|update| harness.publish(update));
    harness.session.announce_readiness(READY);
    harness.request(&request);
    harness.ask(Listener, &[]);
    harness.ask(Route, &["web"]);
    let lines = harness.settle();
    assert!(lines.iter().any(|line| line.contains("+c@1")), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains(READY)), "{lines:?}");
}
