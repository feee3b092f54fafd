use super::*;

fn names(names: &[&str]) -> Vec<Name> {
    names.iter().map(|name| Name::new("default", *name)).collect()
}

fn set(wanted: &mut SecretReferences, route: &str, secrets: &[&str]) -> Wants {
    wanted.set(&Name::new("default", route), names(secrets).into_iter().collect())
}

#[test]
fn secret_is_wanted_while_any_route_references_it() {
    let mut wanted = SecretReferences::default();
    for (route, secrets, new, over) in [
        ("a", &["s", "t"][..], &["s", "t"][..], &[][..]),
        ("b", &["t"], &[], &[]),
        ("a", &["s"], &[], &[]),
        ("a", &["s", "u"], &["u"], &[]),
        ("b", &[], &[], &["t"]),
        ("a", &[], &[], &["s", "u"]),
        ("a", &[], &[], &[]),
        ("c", &["t"], &["t"], &[]),
    ] {
        let wants = set(&mut wanted, route, secrets);
        assert_eq!(
            (wants.new, wants.over),
            (names(new), names(over)),
            "{route} {secrets:?}"
        );
    }
}

#[test]
fn change_during_fetch_triggers_another_fetch() {
    let mut fetches = Fetches::default();
    let s = Name::new("default", "s");
    let once = BTreeSet::from([s.clone()]);
    fetches.request(s.clone());
    assert_eq!(fetches.start(), once);
    fetches.request(s.clone());
    assert_eq!(fetches.start(), BTreeSet::new());
    assert!(!fetches.are_answered());
    fetches.end(&s);
    assert!(fetches.are_answered());
    assert_eq!(fetches.start(), once);
    fetches.end(&s);
    assert_eq!(fetches.start(), BTreeSet::new());
}
