use super::*;

fn name(text: &str) -> Name {
    Name::new("default", text)
}

fn judged(generation: u64, switches: &[(&str, u64)]) -> Judged {
    let switch = |(active, generation): &(&str, u64)| JudgedSwitch {
        host: "a.com".to_owned(),
        prefix: "/".into(),
        active: name(active),
        standby: Vec::new(),
        previous: None,
        since: mark(*generation),
    };
    Judged {
        status: Status {
            state: State::Valid,
            errors: Vec::new(),
            warnings: Vec::new(),
        },
        observed: 3,
        since: mark(generation),
        switches: switches.iter().map(switch).collect(),
    }
}

/// A mark by its generation; the version does not matter here.
fn mark(generation: u64) -> Mark {
    Mark {
        generation,
        version: 0,
    }
}

fn fleet(acked: &[u64]) -> Fleet {
    Fleet::of(acked, &[])
}

#[test]
fn switch_is_live_on_proxies_with_its_last_change() {
    for (acked, want, programmed) in [
        (&[][..], "0/0", ("False", "NoProxies")),
        (&[6], "0/1", ("False", "Pending")),
        (&[7], "1/1", ("True", "Programmed")),
        (&[7, 9, 6], "2/3", ("False", "Pending")),
        (&[7, 9, 8], "3/3", ("True", "Programmed")),
    ] {
        let status = judged(5, &[("blue", 7)]).to_status(&fleet(acked));
        assert_eq!(status.switches[0].proxies, want);
        let condition = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == PROGRAMMED)
            .unwrap();
        assert_eq!((&*condition.status, &*condition.reason), programmed, "{acked:?}");
        assert_eq!(condition.observed_generation, Some(3));
    }
}

#[test]
fn nacked_change_is_not_live_on_the_proxy() {
    for (refused, reason, proxies) in [
        (&[][..], "Programmed", "2/2"),
        (&[6], "Programmed", "2/2"),
        (&[7], "Refused", "1/2"),
        (&[8], "Programmed", "2/2"),
    ] {
        let status = judged(7, &[("blue", 7)]).to_status(&Fleet::of(&[9, 9], refused));
        assert_eq!(status.conditions[1].reason, reason, "{refused:?}");
        assert_eq!(status.switches[0].proxies, proxies, "{refused:?}");
    }
}

#[test]
fn active_branch_column_is_shortened() {
    for (branches, want) in [
        (&[][..], ""),
        (&["blue"], "default/blue"),
        (&["blue", "blue", "green"], "default/blue, default/green"),
        (
            &["a", "b", "c", "d", "e", "f"],
            "default/a, default/b, default/c, default/d and 2 more",
        ),
    ] {
        let switches: Vec<_> = branches.iter().map(|branch| (*branch, 0)).collect();
        assert_eq!(judged(0, &switches).to_status(&fleet(&[])).active_branch, want);
    }
}

/// The names of the statuses that are due at a time, in milliseconds from the start.
fn due(reporter: &mut Reporter, start: Instant, millis: u64) -> Vec<String> {
    let due = reporter.due(start + Duration::from_millis(millis));
    due.into_iter().map(|(name, _)| name.name.to_string()).collect()
}

#[test]
fn status_waits_for_proxies_and_is_rewritten_when_live() {
    let (orders, _ordered) = mpsc::unbounded_channel();
    let start = Instant::now();
    let mut reporter = Reporter {
        fleet: fleet(&[1, 1]),
        connected_by: Some(start),
        ..Default::default()
    };
    assert_eq!(due(&mut reporter, start, 0), [""; 0]);
    for (route, generation) in [("fast", 2), ("slow", 3)] {
        reporter.judge(vec![(name(route), Some(judged(generation, &[])))], &orders);
    }
    assert_eq!(due(&mut reporter, start, 0), [""; 0]);
    reporter.fleet = fleet(&[2, 2]);
    assert_eq!(due(&mut reporter, start, 10), ["fast"]);
    assert_eq!(due(&mut reporter, start, 100), [""; 0]);
    assert_eq!(due(&mut reporter, start, 1000), ["slow"], "as far as it came");
    assert_eq!(due(&mut reporter, start, 2000), [""; 0]);
    reporter.fleet = fleet(&[3, 3]);
    assert_eq!(due(&mut reporter, start, 3000), ["slow"]);
    assert_eq!(due(&mut reporter, start, 9000), [""; 0]);
}

#[test]
fn proxy_change_recounts_statuses_every_five_seconds_at_most() {
    let (orders, _ordered) = mpsc::unbounded_channel();
    let start = Instant::now();
    let mut reporter = Reporter {
        connected_by: Some(start),
        ..Default::default()
    };
    reporter.judge(vec![(name("a"), Some(judged(1, &[])))], &orders);
    assert_eq!(due(&mut reporter, start, 0), ["a"]);
    reporter.fleet = fleet(&[1]);
    assert_eq!(due(&mut reporter, start, 1000), [""; 0]);
    reporter.fleet = fleet(&[1, 1]);
    assert_eq!(due(&mut reporter, start, 4999), [""; 0]);
    assert_eq!(due(&mut reporter, start, 5000), ["a"]);
    assert_eq!(due(&mut reporter, start, 20_000), [""; 0]);
}

#[test]
fn statuses_wait_after_start_for_proxies_to_connect() {
    let (orders, _ordered) = mpsc::unbounded_channel();
    let mut reporter = Reporter::default();
    let start = Instant::now();
    for (route, generation) in [("fast", 1), ("slow", 2)] {
        reporter.judge(vec![(name(route), Some(judged(generation, &[])))], &orders);
    }
    assert_eq!(due(&mut reporter, start, 1000), [""; 0], "no proxy is there");
    reporter.fleet = fleet(&[1]);
    assert_eq!(
        due(&mut reporter, start, 2000),
        ["fast", "slow"],
        "as far as it came"
    );
    reporter.fleet = fleet(&[2]);
    assert_eq!(due(&mut reporter, start, 4900), ["slow"]);
    assert!(!reporter.trusts_count(start + Duration::from_millis(4900)));
    assert_eq!(due(&mut reporter, start, 5100), ["fast", "slow"]);
    assert!(reporter.trusts_count(start + Duration::from_millis(5100)));
    assert_eq!(due(&mut reporter, start, 20_000), [""; 0]);
    assert_eq!(reporter.next(), None);
}

#[test]
fn many_statuses_use_a_longer_recount_interval() {
    let (orders, _ordered) = mpsc::unbounded_channel();
    let start = Instant::now();
    let mut reporter = Reporter {
        fleet: fleet(&[1]),
        connected_by: Some(start),
        counted: Some((1, start)),
        ..Default::default()
    };
    let route = |number: usize| (name(&number.to_string()), Some(judged(2, &[])));
    reporter.judge((0..10_000).map(route).collect(), &orders);
    assert_eq!(due(&mut reporter, start, 9_000).len(), 0);
    reporter.fleet = fleet(&[2]);
    assert_eq!(due(&mut reporter, start, 9_100).len(), 10_000);
}

#[test]
fn deleted_object_withdraws_its_status() {
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let mut reporter = Reporter::default();
    reporter.judge(vec![(name("a"), Some(judged(9, &[])))], &orders);
    reporter.judge(vec![(name("a"), None)], &orders);
    assert_eq!(due(&mut reporter, Instant::now(), 1000), [""; 0]);
    assert_eq!(ordered.try_recv(), Ok(StatusRequest::Desired(name("a"), None)));
}
