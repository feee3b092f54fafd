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

fn observed(description: &str) -> Option<Observed> {
    Some(Observed {
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

fn desired(status: IngressRouteStatus) -> Option<Desired> {
    Some(Desired {
        status,
        counted: true,
    })
}

/// Takes the status that is due, and returns its description.
fn due(queue: &mut StatusQueue, now: Instant) -> Option<String> {
    queue.take(now).map(|(_, status)| status.description)
}

#[test]
fn current_status_is_not_written() {
    let (mut queue, now) = (StatusQueue::default(), Instant::now());
    queue.saw(&name(), observed("valid"), now);
    queue.want(&name(), desired(status("valid")), now);
    assert_eq!(due(&mut queue, now), None);
    queue.want(&name(), desired(status("invalid")), now);
    assert_eq!(due(&mut queue, now).as_deref(), Some("invalid"));
    assert_eq!(due(&mut queue, now), None, "being written");
    queue.wrote(&name(), Written::Done, now);
    queue.saw(&name(), observed("invalid"), now);
    assert_eq!(queue.next(), None);
}

#[test]
fn newest_desired_status_is_written() {
    let (mut queue, now) = (StatusQueue::default(), Instant::now());
    queue.saw(&name(), observed(""), now);
    for description in ["one", "two", "three"] {
        queue.want(&name(), desired(status(description)), now);
    }
    assert_eq!(due(&mut queue, now).as_deref(), Some("three"));
    queue.want(&name(), desired(status("four")), now);
    assert_eq!(due(&mut queue, now), None, "one write at a time");
    queue.wrote(&name(), Written::Done, now);
    assert_eq!(due(&mut queue, now).as_deref(), Some("four"));
}

#[test]
fn deleted_object_is_not_written_and_is_forgotten() {
    let (mut queue, now) = (StatusQueue::default(), Instant::now());
    queue.want(&name(), desired(status("valid")), now);
    assert_eq!(due(&mut queue, now), None, "never seen");
    queue.saw(&name(), observed(""), now);
    assert_eq!(due(&mut queue, now).as_deref(), Some("valid"));
    queue.wrote(&name(), Written::Gone, now);
    assert_eq!(queue.next(), None);
    queue.want(&name(), None, now);
    queue.saw(&name(), None, now);
    assert!(queue.entries.is_empty());
}

#[test]
fn overwritten_status_is_rewritten_with_backoff() {
    let (mut queue, start) = (StatusQueue::default(), Instant::now());
    queue.want(&name(), desired(status("ours")), start);
    let mut now = start;
    let mut writes = 0;
    // Somebody overwrites it at once, for ten minutes.
    while now < start + 600 * SECOND {
        queue.saw(&name(), observed("theirs"), now);
        now = now.max(queue.next().unwrap());
        assert_eq!(due(&mut queue, now).as_deref(), Some("ours"));
        queue.wrote(&name(), Written::Done, now);
        writes += 1;
    }
    assert!((7..20).contains(&writes), "{writes}");
    // A new status is written at once.
    queue.saw(&name(), observed("theirs"), now);
    queue.want(&name(), desired(status("new")), now);
    assert_eq!(due(&mut queue, now).as_deref(), Some("new"));
}

#[test]
fn failed_write_is_retried() {
    let (mut queue, now) = (StatusQueue::default(), Instant::now());
    queue.saw(&name(), observed(""), now);
    queue.want(&name(), desired(status("valid")), now);
    for wait in [1, 2, 4, 8, 16, 32, 64, 64] {
        let at = queue.next().unwrap();
        assert_eq!(due(&mut queue, at).as_deref(), Some("valid"));
        queue.wrote(&name(), Written::Failed, at);
        assert_eq!(queue.next(), Some(at + wait * SECOND));
    }
}

#[test]
fn condition_keeps_transition_time_until_status_changes() {
    let (mut queue, now) = (StatusQueue::default(), Instant::now());
    let with = |description: &str, condition| IngressRouteStatus {
        conditions: vec![condition],
        ..status(description)
    };
    let seen = Observed {
        status: with("old", condition("True", 1000)),
        ..Default::default()
    };
    queue.saw(&name(), Some(seen), now);
    queue.want(&name(), desired(with("old", condition("True", 0))), now);
    assert_eq!(due(&mut queue, now), None, "another time is no other status");
    for (status, kept) in [
        (with("new", condition("True", 0)), true),
        (with("old", condition("False", 0)), false),
    ] {
        queue.want(&name(), desired(status), now);
        let (name, written) = queue.take(now).unwrap();
        let since = written.conditions[0].last_transition_time.0.as_second();
        assert_eq!(since == 1000, kept, "{written:?}");
        queue.wrote(&name, Written::Failed, now);
    }
}

#[test]
fn unreadable_object_is_marked_and_keeps_previous_status() {
    let (mut queue, now) = (StatusQueue::default(), Instant::now());
    let switch = SwitchStatus {
        host: "a.com".to_owned(),
        ..Default::default()
    };
    let valid = IngressRouteStatus {
        switches: vec![switch],
        observed_generation: Some(1),
        ..status("valid IngressRoute")
    };
    queue.want(&name(), desired(valid.clone()), now);
    let unreadable = Observed {
        generation: 2,
        unreadable: Some("spec.routes: must be a list".to_owned()),
        ..Default::default()
    };
    queue.saw(&name(), Some(unreadable), now);
    let (_, written) = queue.take(now).unwrap();
    assert_eq!(written.current_status, "invalid");
    assert_eq!(written.errors, ["spec.routes: must be a list"]);
    assert_eq!(written.observed_generation, Some(2));
    assert_eq!(written.switches, valid.switches);
    assert_eq!(written.conditions[0].reason, "Unreadable");
}

#[test]
fn uncounted_proxies_do_not_cause_a_write() {
    let (mut queue, now) = (StatusQueue::default(), Instant::now());
    let with = |active: &str, proxies: &str| IngressRouteStatus {
        switches: vec![SwitchStatus {
            active: active.to_owned(),
            proxies: proxies.to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let seen = Observed {
        status: with("blue", "3/3"),
        ..Default::default()
    };
    queue.saw(&name(), Some(seen), now);
    for (active, proxies, counted, want) in [
        ("blue", "0/0", false, false),
        ("green", "0/0", false, true),
        ("blue", "3/3", true, false),
        ("blue", "2/3", true, true),
    ] {
        let status = with(active, proxies);
        queue.want(&name(), Some(Desired { status, counted }), now);
        assert_eq!(queue.next().is_some(), want, "{active} {proxies} {counted}");
    }
}

#[test]
fn previous_branch_survives_a_control_restart() {
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
        let (mut queue, now) = (StatusQueue::default(), Instant::now());
        let observed = Observed {
            status: seen,
            ..Default::default()
        };
        queue.saw(&name(), Some(observed), now);
        queue.want(&name(), desired(wanted_now.clone()), now);
        let written = queue
            .take(now)
            .map(|(_, status)| status.switches[0].previous.clone());
        assert_eq!(written.as_deref(), want, "{wanted_now:?}");
    }
}

#[test]
fn foreign_write_marks_status_contended() {
    for (written, is_contended) in [(Written::Done, true), (Written::Failed, false)] {
        let (mut queue, now) = (StatusQueue::default(), Instant::now());
        queue.saw(&name(), observed(""), now);
        queue.want(&name(), desired(status("valid")), now);
        assert_eq!(due(&mut queue, now).as_deref(), Some("valid"));
        assert!(!queue.is_contended(&name()), "the first write");
        queue.wrote(&name(), written, now);
        queue.saw(&name(), observed("theirs"), now);
        assert_eq!(due(&mut queue, now + FIRST_WAIT).as_deref(), Some("valid"));
        assert_eq!(queue.is_contended(&name()), is_contended, "{written:?}");
        queue.wrote(&name(), Written::Done, now + FIRST_WAIT);
        queue.saw(&name(), observed("theirs"), now + FIRST_WAIT);
        assert!(due(&mut queue, now + 10 * SECOND).is_some());
        assert!(!queue.is_contended(&name()), "told already, or tried too often");
    }
}

#[test]
fn manager_is_last_writer_of_the_routes() {
    let entry = |manager: &str, time: i64, subresource: &str, fields: serde_json::Value| {
        let time = Timestamp::from_second(time).unwrap().to_string();
        serde_json::json!({
            "manager": manager, "operation": "Update", "apiVersion": "contour.heptio.com/v1beta1", "time": time,
            "subresource": subresource, "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    };
    let routes = serde_json::json!({"f:spec": {"f:routes": {}}});
    let host = serde_json::json!({"f:spec": {"f:virtualhost": {}}});
    for (entries, want) in [
        (vec![], None),
        (
            vec![entry("kubectl-edit", 1, "", routes.clone())],
            Some("kubectl-edit"),
        ),
        (
            vec![
                entry("kubectl-patch", 3, "", routes.clone()),
                entry("kubectl-create", 2, "", routes.clone()),
                entry("kubectl-edit", 5, "", host),
                entry("switchyard", 7, "status", routes),
            ],
            Some("kubectl-patch"),
        ),
    ] {
        let object: DynamicObject = serde_json::from_value(serde_json::json!({
            "apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
            "metadata": {"name": "a", "managedFields": entries},
        }))
        .unwrap();
        assert_eq!(Observed::of(&object).manager.as_deref(), want);
    }
}
