use super::*;
use crate::packed::{Flags, assemble, encode_bucket};
use wasm_bindgen_test::wasm_bindgen_test;

/// A switch whose only branch has that name.
fn section(branch: &str) -> String {
    format!(r#"{{"prefix": "/", "active": {branch:?}, "branches": {{{branch:?}: []}}}}"#)
}

/// One bucket of sections.
fn packed(sections: &[(&str, &str)]) -> Vec<u8> {
    let entries = sections.iter().map(|(key, json)| (*key, json.as_bytes()));
    assemble(Flags { expose_branch: true }, &[encode_bucket(entries).unwrap()]).unwrap()
}

fn store(sections: &[(&str, &str)], cache: &Rc<RefCell<SectionCache>>) -> Store {
    Store::new(packed(sections), Rc::clone(cache)).unwrap()
}

fn active(store: &Store, key: &str) -> Rc<PreparedSwitch> {
    store.switch(key).unwrap().unwrap()
}

#[wasm_bindgen_test(unsupported = test)]
fn sections_are_found_by_kind_and_name() {
    let (route, policy) = (r#"{"policies": ["x"]}"#, r#"{"source": "x"}"#);
    let json = format!(
        r#"{{"switches": {{"x": {}}}, "routes": {{"x": {route}}}, "policies": {{"x": {policy}}}}}"#,
        section("blue")
    );
    let (route_key, policy_key) = (packed::route_key("x"), packed::policy_key("x"));
    let sections = [
        ("x", &*section("blue")),
        (&route_key, route),
        (&policy_key, policy),
    ];
    for bytes in [json.into_bytes(), packed(&sections)] {
        let store = Store::new(bytes, Rc::default()).unwrap();
        assert_eq!(active(&store, "x").active.name, "blue");
        assert_eq!(store.route("x").unwrap().unwrap().policies, ["x"]);
        assert_eq!(store.policy("x").unwrap().unwrap().source, "x");
        assert!(store.route("y").unwrap().is_none());
        assert!(store.policy("y").unwrap().is_none());
        assert!(!matches!(store.switch(&route_key), Ok(Some(_))));
    }
}

/// It keeps its state: the progress of mirrors, and right credentials.
#[wasm_bindgen_test(unsupported = test)]
fn unchanged_policy_keeps_its_state() {
    let cache = Rc::default();
    let key = packed::policy_key("p");
    let old = store(&[(&key, r#"{"source": "p"}"#)], &cache);
    let first = old.policy("p").unwrap().unwrap();
    let same = store(&[("s", &section("blue")), (&key, r#"{"source": "p"}"#)], &cache);
    assert!(Rc::ptr_eq(&first, &same.policy("p").unwrap().unwrap()));
    let other = store(&[(&key, r#"{"source": "q"}"#)], &cache);
    assert_eq!(other.policy("p").unwrap().unwrap().source, "q");
}

#[wasm_bindgen_test(unsupported = test)]
fn routes_are_resolved_once_per_configuration() {
    let find = |store: &Store| {
        store.resolved_route("s", || {
            Ok::<_, StoreError>(ResolvedRoute {
                policies: Vec::new(),
                kind: RouteKind::Switch(active(store, "s")),
            })
        })
    };
    let came_to = |resolved_route: &ResolvedRoute| match &resolved_route.kind {
        RouteKind::Switch(switch) => switch.active.name.clone(),
        RouteKind::Plain(_) => String::new(),
    };
    let cache = Rc::default();
    let old = store(&[("s", &section("blue"))], &cache);
    let error = || Err::<ResolvedRoute, _>("not found");
    assert_eq!(old.resolved_route("s", error).unwrap_err(), "not found");
    let first = find(&old).unwrap();
    assert!(Rc::ptr_eq(&first, &old.resolved_route("s", error).unwrap()));
    assert!(old.resolved_route("t", error).is_err());
    let new = store(&[("s", &section("green"))], &cache);
    assert!(new.resolved_route("s", error).is_err());
    assert_eq!(
        (came_to(&first), came_to(&find(&new).unwrap())),
        ("blue".to_owned(), "green".to_owned())
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn json_and_packed_configurations_are_equivalent() {
    let json = format!(
        r#" {{"exposeBranch": true, "switches": {{"s": {}}}}}"#,
        section("blue")
    );
    for bytes in [json.into_bytes(), packed(&[("s", &section("blue"))])] {
        let store = Store::new(bytes, Rc::default()).unwrap();
        assert!(store.expose_branch());
        assert_eq!(active(&store, "s").active.name, "blue");
        assert!(store.switch("t").unwrap().is_none());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn malformed_configuration_is_refused() {
    for (bytes, want) in [
        (&b""[..], "neither JSON nor a packed configuration"),
        (b"[]", "neither JSON nor a packed configuration"),
        (b"{\"switches\": 1}", "switches: invalid type: integer `1`"),
    ] {
        let error = Store::new(bytes.to_vec(), Rc::default()).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn broken_section_does_not_affect_others() {
    let cache = Rc::default();
    let store = store(
        &[
            ("bad", "{"),
            ("worse", r#"{"prefix": "/", "active": "x", "branches": {}}"#),
            ("good", &section("blue")),
        ],
        &cache,
    );
    assert!(store.switch("bad").is_err());
    assert!(store.switch("worse").is_err());
    assert_eq!(active(&store, "good").active.name, "blue");
}

#[wasm_bindgen_test(unsupported = test)]
fn failed_decode_is_cached_until_section_changes() {
    let cache = Rc::default();
    let (blue, bad) = (section("blue"), store(&[("s", "{")], &cache));
    let error = bad.switch("s").unwrap_err();
    // Were it decoded again, this would be seen.
    let mended = active(&store(&[("s", &blue)], &Rc::default()), "s");
    let kept = cache
        .borrow_mut()
        .switches
        .sections
        .get_mut("s")
        .map(|(_, outcome)| std::mem::replace(outcome, Ok(mended)));
    assert_eq!(kept.unwrap().unwrap_err(), error);
    assert_eq!(active(&bad, "s").active.name, "blue");
    let green = store(&[("s", &section("green"))], &cache);
    assert_eq!(active(&green, "s").active.name, "green");
}

#[wasm_bindgen_test(unsupported = test)]
fn update_decodes_only_changed_sections() {
    let cache = Rc::default();
    let (blue, green) = (section("blue"), section("green"));
    let old = store(&[("a", &blue), ("b", &blue)], &cache);
    let (a, b) = (active(&old, "a"), active(&old, "b"));
    let new = store(&[("a", &blue), ("b", &green)], &cache);
    assert!(Rc::ptr_eq(&a, &active(&new, "a")));
    assert_eq!(active(&new, "b").active.name, "green");
    // A stream that began before the update keeps the configuration that it began with.
    assert_eq!(
        (b.active.name.as_str(), active(&old, "b").active.name.as_str()),
        ("blue", "blue")
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn stale_sections_are_swept_while_decoding() {
    let cache = Rc::default();
    let blue = section("blue");
    let keys: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    let sections: Vec<_> = keys.iter().map(|key| (key.as_str(), blue.as_str())).collect();
    let (gone, kept) = sections.split_at(10);
    let old = store(gone, &cache);
    for key in keys.iter().take(10) {
        active(&old, key);
    }
    let new = store(kept, &cache);
    for key in keys.iter().skip(10) {
        active(&new, key);
    }
    let cached: Vec<_> = cache.borrow().switches.sections.keys().cloned().collect();
    let stale = cached
        .iter()
        .filter(|key| gone.iter().any(|(gone, _)| gone == key))
        .count();
    assert!(stale <= 1, "{cached:?}");
    assert_eq!(cached.len() - stale, 10);
}
