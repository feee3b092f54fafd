use super::*;
use crate::status::SwitchStatus;

const SECOND: Duration = Duration::from_secs(1);

fn name() -> Name {
    Name::new("default", "route")
}

fn status(description: &str) -> IngressRouteStatus {
    IngressRouteStatus {
        description: description.to_owned(),
        ..Default::default()
    }
}

fn sighting(description: &str) -> Option<Sighting> {
    Some(Sighting {
        status: status(description),
        ..Default::default()
    })
}

fn condition(status: &str, since: i64) -> Condition {
    Condition {
        type_: "Valid".to_owned(),
        status: status.to_owned(),
        last_transition_time: Time(Timestamp::from_second(since).unwrap()),
        reason: "Valid".to_owned(),
        message: String::new(),
        observed_generation: None,
    }
}

fn wanted(status: IngressRouteStatus) -> Option<Wanted> {
    Some(Wanted {
        status,
        counted: true,
    })
}

/// The description that is due.
fn due(ledger: &mut Ledger, now: Instant) -> Option<String> {
    ledger.take(now).map(|(_, status)| status.description)
}

#[test]
fn what_is_there_already_is_not_written() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.saw(&name(), sighting("valid"), now);
    ledger.want(&name(), wanted(status("valid")), now);
    assert_eq!(due(&mut ledger, now), None);
    ledger.want(&name(), wanted(status("invalid")), now);
    assert_eq!(due(&mut ledger, now).as_deref(), Some("invalid"));
    assert_eq!(due(&mut ledger, now), None, "being written");
    ledger.wrote(&name(), Written::Done, now);
    ledger.saw(&name(), sighting("invalid"), now);
    assert_eq!(ledger.next(), None);
}

#[test]
fn the_newest_that_is_wanted_is_written() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.saw(&name(), sighting(""), now);
    for description in ["one", "two", "three"] {
        ledger.want(&name(), wanted(status(description)), now);
    }
    assert_eq!(due(&mut ledger, now).as_deref(), Some("three"));
    ledger.want(&name(), wanted(status("four")), now);
    assert_eq!(due(&mut ledger, now), None, "one write at a time");
    ledger.wrote(&name(), Written::Done, now);
    assert_eq!(due(&mut ledger, now).as_deref(), Some("four"));
}

#[test]
fn what_is_gone_is_not_written_and_forgotten() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.want(&name(), wanted(status("valid")), now);
    assert_eq!(due(&mut ledger, now), None, "never seen");
    ledger.saw(&name(), sighting(""), now);
    assert_eq!(due(&mut ledger, now).as_deref(), Some("valid"));
    ledger.wrote(&name(), Written::Gone, now);
    assert_eq!(ledger.next(), None);
    ledger.want(&name(), None, now);
    ledger.saw(&name(), None, now);
    assert!(ledger.entries.is_empty());
}

#[test]
fn who_fights_for_a_status_is_answered_ever_more_seldom() {
    let (mut ledger, start) = (Ledger::default(), Instant::now());
    ledger.want(&name(), wanted(status("ours")), start);
    let mut now = start;
    let mut writes = 0;
    // Somebody overwrites it at once, for ten minutes.
    while now < start + 600 * SECOND {
        ledger.saw(&name(), sighting("theirs"), now);
        now = now.max(ledger.next().unwrap());
        assert_eq!(due(&mut ledger, now).as_deref(), Some("ours"));
        ledger.wrote(&name(), Written::Done, now);
        writes += 1;
    }
    assert!((7..20).contains(&writes), "{writes}");
    // What is new is written at once.
    ledger.saw(&name(), sighting("theirs"), now);
    ledger.want(&name(), wanted(status("new")), now);
    assert_eq!(due(&mut ledger, now).as_deref(), Some("new"));
}

#[test]
fn what_failed_is_tried_again() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.saw(&name(), sighting(""), now);
    ledger.want(&name(), wanted(status("valid")), now);
    for wait in [1, 2, 4, 8, 16, 32, 64, 64] {
        let at = ledger.next().unwrap();
        assert_eq!(due(&mut ledger, at).as_deref(), Some("valid"));
        ledger.wrote(&name(), Written::Failed, at);
        assert_eq!(ledger.next(), Some(at + wait * SECOND));
    }
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    let with = |description: &str, condition| IngressRouteStatus {
        conditions: vec![condition],
        ..status(description)
    };
    let seen = Sighting {
        status: with("old", condition("True", 1000)),
        ..Default::default()
    };
    ledger.saw(&name(), Some(seen), now);
    ledger.want(&name(), wanted(with("old", condition("True", 0))), now);
    assert_eq!(due(&mut ledger, now), None, "another time is no other status");
    for (status, kept) in [
        (with("new", condition("True", 0)), true),
        (with("old", condition("False", 0)), false),
    ] {
        ledger.want(&name(), wanted(status), now);
        let (name, written) = ledger.take(now).unwrap();
        let since = written.conditions[0].last_transition_time.0.as_second();
        assert_eq!(since == 1000, kept, "{written:?}");
        ledger.wrote(&name, Written::Failed, now);
    }
}

#[test]
fn what_cannot_be_read_says_so_and_what_it_said_before_goes_on() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    let switch = SwitchStatus {
        host: "a.com".to_owned(),
        ..Default::default()
    };
    let valid = IngressRouteStatus {
        switches: vec![switch],
        observed_generation: Some(1),
        ..status("valid IngressRoute")
    };
    ledger.want(&name(), wanted(valid.clone()), now);
    let unreadable = Sighting {
        generation: 2,
        unreadable: Some("spec.routes: must be a list".to_owned()),
        ..Default::default()
    };
    ledger.saw(&name(), Some(unreadable), now);
    let (_, written) = ledger.take(now).unwrap();
    assert_eq!(written.current_status, "invalid");
    assert_eq!(written.errors, ["spec.routes: must be a list"]);
    assert_eq!(written.observed_generation, Some(2));
    assert_eq!(written.switches, valid.switches);
    assert_eq!(written.conditions[0].reason, "Unreadable");
}

#[test]
fn proxies_that_were_not_counted_are_no_reason_to_write() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    let with = |active: &str, proxies: &str| IngressRouteStatus {
        switches: vec![SwitchStatus {
            active: active.to_owned(),
            proxies: proxies.to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let seen = Sighting {
        status: with("blue", "3/3"),
        ..Default::default()
    };
    ledger.saw(&name(), Some(seen), now);
    for (active, proxies, counted, want) in [
        ("blue", "0/0", false, false),
        ("green", "0/0", false, true),
        ("blue", "3/3", true, false),
        ("blue", "2/3", true, true),
    ] {
        let status = with(active, proxies);
        ledger.want(&name(), Some(Wanted { status, counted }), now);
        assert_eq!(ledger.next().is_some(), want, "{active} {proxies} {counted}");
    }
}

#[test]
fn what_was_active_before_outlives_a_control_that_saw_it() {
    let moved = |active: &str, previous: &str| IngressRouteStatus {
        switches: vec![SwitchStatus {
            active: active.to_owned(),
            previous: previous.to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    for (seen, wanted_now, want) in [
        (moved("green", "blue"), moved("green", ""), None),
        // Moved while control was away.
        (moved("green", "blue"), moved("red", ""), Some("green")),
        (moved("green", "blue"), moved("blue", "green"), Some("green")),
        (moved("", ""), moved("blue", ""), Some("")),
    ] {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let sighting = Sighting {
            status: seen,
            ..Default::default()
        };
        ledger.saw(&name(), Some(sighting), now);
        ledger.want(&name(), wanted(wanted_now.clone()), now);
        let written = ledger
            .take(now)
            .map(|(_, status)| status.switches[0].previous.clone());
        assert_eq!(written.as_deref(), want, "{wanted_now:?}");
    }
}

#[test]
fn a_status_is_contended_when_somebody_else_changed_it_and_not_when_a_write_failed() {
    for (written, is_contended) in [(Written::Done, true), (Written::Failed, false)] {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        ledger.saw(&name(), sighting(""), now);
        ledger.want(&name(), wanted(status("valid")), now);
        assert_eq!(due(&mut ledger, now).as_deref(), Some("valid"));
        assert!(!ledger.is_contended(&name()), "the first write");
        ledger.wrote(&name(), written, now);
        ledger.saw(&name(), sighting("theirs"), now);
        assert_eq!(due(&mut ledger, now + FIRST_WAIT).as_deref(), Some("valid"));
        assert_eq!(ledger.is_contended(&name()), is_contended, "{written:?}");
        ledger.wrote(&name(), Written::Done, now + FIRST_WAIT);
        ledger.saw(&name(), sighting("theirs"), now + FIRST_WAIT);
        assert!(due(&mut ledger, now + 10 * SECOND).is_some());
        assert!(!ledger.is_contended(&name()), "told already, or tried too often");
    }
}
