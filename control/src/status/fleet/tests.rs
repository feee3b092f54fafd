use super::*;

fn mark(generation: u64, version: u64) -> Mark {
    Mark { generation, version }
}

fn elsewhere(proxies: &[(u64, usize)], refused: &[Refused]) -> Progress {
    Progress {
        proxies: proxies.iter().copied().collect(),
        refused: refused.to_vec(),
    }
}

fn refused(since: u64, until: u64, proxies: usize, example: &str) -> Refused {
    Refused {
        since,
        until,
        proxies,
        example: example.to_owned(),
    }
}

#[test]
fn local_proxies_count_by_generation_and_remote_by_version() {
    let mut fleet = Fleet::of(&[3, 5], &[]);
    fleet.hear(elsewhere(&[(70, 1), (90, 2)], &[]));
    for (want, of) in [
        (5, mark(0, 0)),
        (4, mark(4, 70)),
        (3, mark(4, 80)),
        (0, mark(6, 91)),
    ] {
        assert_eq!(fleet.with(of), want, "{of:?}");
    }
    assert_eq!(fleet.len(), 5);
}

#[test]
fn proxy_with_nack_does_not_count_as_live() {
    let mut fleet = Fleet::of(&[9, 9], &[4]);
    fleet.hear(elsewhere(&[(90, 3)], &[refused(40, 50, 2, "")]));
    for (of, want, programmed) in [
        (mark(3, 30), 5, Programmed::Live),
        (mark(4, 30), 4, Programmed::Refused),
        (mark(5, 40), 3, Programmed::Refused),
        (mark(5, 51), 5, Programmed::Live),
        (mark(10, 90), 3, Programmed::Pending),
        (mark(9, 91), 2, Programmed::Pending),
        (mark(10, 45), 1, Programmed::Refused),
    ] {
        assert_eq!(
            (fleet.with(of), fleet.programmed(of)),
            (want, programmed),
            "{of:?}"
        );
    }
}

#[test]
fn message_names_missing_proxies_and_reasons() {
    let mut fleet = Fleet::of(&[7, 7, 6], &[7]);
    assert_eq!(
        fleet.told(mark(7, 0)),
        "1 of 3 connected proxies have acknowledged it; envoy-0 rejected Listener web: bad; envoy-2 has not answered"
    );
    assert_eq!(
        fleet.told(mark(6, 0)),
        "3 of 3 connected proxies have acknowledged it"
    );
    let example = "edge rejected Listener web: bad";
    fleet.hear(elsewhere(&[(60, 1), (70, 2)], &[refused(70, 70, 1, example)]));
    assert_eq!(
        fleet.told(mark(6, 70)),
        "4 of 6 connected proxies have acknowledged it; edge rejected Listener web: bad; \
         proxies of other replicas that have not answered: 1"
    );
    let many = Fleet::of(&[0; 9], &[]);
    let told = many.told(mark(1, 0));
    assert!(told.ends_with("envoy-3 has not answered; and 5 more"), "{told}");
}

#[test]
fn proxy_generation_maps_to_its_version() {
    let mut versions = Versions::default();
    for (generation, version) in [(1, 10), (4, 20), (4, 25), (6, 30)] {
        versions.reached(mark(generation, version));
    }
    let told = versions.progress(&Fleet::of(&[3, 4, 5, 6, 0], &[]));
    assert_eq!(told, elsewhere(&[(0, 1), (10, 1), (25, 2), (30, 1)], &[]));
}

#[test]
fn each_nacked_version_is_shared_once() {
    let mut versions = Versions::default();
    for generation in 1..=9 {
        versions.reached(mark(generation, generation * 10));
    }
    versions.reached(mark(4, 30));
    let mut fleet = Fleet::of(&[9], &[7, 3, 4]);
    let same = fleet.here.clone();
    fleet.here.extend(same);
    let example = "envoy-0 rejected Listener web: bad";
    let want = [refused(30, 30, 2, example), refused(70, 70, 2, example)];
    for _ in 0..2 {
        assert_eq!(versions.progress(&fleet), elsewhere(&[(90, 2)], &want));
    }
}

#[test]
fn unneeded_versions_are_dropped() {
    let mut versions = Versions::default();
    for generation in 1..=100 {
        versions.reached(mark(generation, generation * 10));
    }
    versions.progress(&Fleet::of(&[98, 100], &[96]));
    assert_eq!(versions.reached.len(), 5);
    versions.progress(&Fleet::of(&[98, 100], &[]));
    assert_eq!(versions.reached.len(), 3);
    assert_eq!(versions.progress(&Fleet::default()), Progress::default());
    assert_eq!(versions.reached.len(), 1);
}
