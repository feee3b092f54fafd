//! The policies that a request has to meet.

use super::*;

fn store_of(json: &str) -> Store {
    Store::new(json.as_bytes().to_vec(), Rc::default()).unwrap()
}

fn ask_on(store: &Store, route_name: &str, path: &str) -> Decision {
    let request = Request {
        route_name,
        headers: &Client(path.into(), vec![]),
    };
    decide(store, request, &mut Rng::new(1))
}

/// The sources of the policies, and how they see the path.
fn levels(decision: &Decision) -> Vec<(&str, Option<&str>)> {
    let levels = decision.levels.iter();
    levels
        .map(|level| (level.policy.source.as_str(), level.path.as_deref()))
        .collect()
}

/// A virtualhost, a delegating route that mounts what is below, another, and leaves.
const CHAIN: &str = r#"{
  "switches": {
    "s": {"prefix": "/shop", "mount": "/", "policies": ["vhost", "top"], "active": "a", "branches": {"a": [
      {"prefix": "/cart", "switch": "t"},
      {"prefix": "/open", "leaf": {"route": "r", "ownTimeout": true}},
      {"prefix": "/broken", "unavailable": "no service"}
    ]}},
    "t": {"prefix": "/cart", "mount": "/c", "policies": ["nested"], "active": "b", "branches": {"b": [
      {"prefix": "/c", "leaf": {"route": "r", "rewrite": "/up", "policy": "leaf", "ownRetry": true}}
    ]}}
  },
  "policies": {
    "vhost": {"source": "virtualhost"},
    "top": {"source": "top", "rateLimits": [{"match": {"prefix": "/shop/cart"},
            "local": {"requests": 1, "perSeconds": 1, "burst": 1}}]},
    "nested": {"source": "nested", "mirror": [{"cluster": "m", "percent": 1, "match": {"prefix": "/cart"}}]},
    "leaf": {"source": "leaf", "mirror": [{"cluster": "m", "percent": 1, "match": {"prefix": "/c"}}]}
  }
}"#;

#[wasm_bindgen_test(unsupported = test)]
fn a_request_meets_every_level_that_it_comes_through_as_that_sees_it() {
    let store = store_of(CHAIN);
    let decision = ask_on(&store, "s", "/shop/cart/x?y");
    let want = [
        ("virtualhost", None),
        ("top", Some("/shop/cart/x")),
        ("nested", Some("/cart/x")),
        ("leaf", Some("/c/x")),
    ];
    assert_eq!(levels(&decision), want);
    let forward = decision.outcome.unwrap();
    assert_eq!(forward.path.as_deref(), Some("/up/x"));
    assert_eq!((forward.own.timeout, forward.own.retry), (false, true));
    let decision = ask_on(&store, "s", "/shop/open");
    assert_eq!(
        levels(&decision),
        want.get(..2)
            .unwrap()
            .iter()
            .map(|(source, path)| (*source, path.map(|_| "/shop/open")))
            .collect::<Vec<_>>()
    );
    assert!(decision.outcome.unwrap().own.timeout);
}

/// A client that a level refuses is not told that there is no route.
#[wasm_bindgen_test(unsupported = test)]
fn what_leads_nowhere_meets_the_levels_on_the_way() {
    let store = store_of(CHAIN);
    for (path, want) in [
        ("/shop/broken", Refusal::Unavailable("no service".to_owned())),
        ("/shop/nothing", Refusal::NoRoute),
    ] {
        let decision = ask_on(&store, "s", path);
        assert_eq!(levels(&decision).len(), 2, "{path}");
        let refusal = decision.outcome.unwrap_err();
        assert!(refusal.is_at_end());
        assert_eq!(refusal, want);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_path_that_climbs_is_refused_where_a_policy_looks_at_it() {
    let json = r#"{"switches": {"s": {"prefix": "/", "policies": ["p"], "active": "a", "branches": {"a": [
            {"prefix": "/", "leaf": {"route": "r"}}]}}},
        "policies": {"p": {"source": "p"}}}"#;
    let looks = json.replace(
        r#""source": "p""#,
        r#""source": "p", "mirror": [{"cluster": "m", "percent": 1, "match": {"prefix": "/a"}}]"#,
    );
    for path in ["/a/../b", "/a/..%2fb", "/a/..;x/b"] {
        assert!(ask_on(&store_of(json), "s", path).outcome.is_ok(), "{path}");
        let refusal = ask_on(&store_of(&looks), "s", path).outcome.unwrap_err();
        assert_eq!(refusal, Refusal::BadPath);
        assert!(!refusal.is_at_end());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_plain_route_has_policies_and_goes_where_the_proxy_says() {
    let store = store_of(
        r#"{"routes": {"a.com/plain": {"policies": ["p", "q"], "ownRetry": true}},
            "policies": {"p": {"source": "p"}, "q": {"source": "q"}}}"#,
    );
    let decision = ask_on(&store, "a.com/plain", "/plain");
    assert_eq!(levels(&decision), [("p", None), ("q", None)]);
    let forward = Forward {
        route: None,
        cluster: None,
        path: None,
        set_cookies: Vec::new(),
        mapping: None,
        stays: true,
        own: Own {
            timeout: false,
            retry: true,
        },
    };
    assert_eq!(decision.outcome, Ok(forward));
    assert_eq!(decision.trail, Trail::default());
}

/// A store with sections that may be invalid, which control never sends.
fn packed(sections: &[(String, &str)]) -> Store {
    let entries = sections.iter().map(|(key, json)| (key.as_str(), json.as_bytes()));
    let bucket = crate::packed::encode_bucket(entries).unwrap();
    let bytes = crate::packed::assemble(crate::packed::Flags::default(), &[bucket]).unwrap();
    Store::new(bytes, Rc::default()).unwrap()
}

/// The filter fails closed.
#[wasm_bindgen_test(unsupported = test)]
fn a_policy_that_is_missing_or_broken_is_503() {
    use crate::packed::{policy_key, route_key};
    let switch = r#"{"prefix": "/", "policies": ["p", "missing"], "active": "a", "branches": {"a": []}}"#;
    let leaf = r#"{"prefix": "/", "active": "a", "branches": {"a": [{"prefix": "/", "leaf": {"route": "r", "policy": "bad"}}]}}"#;
    let store = packed(&[
        ("s".to_owned(), switch),
        ("t".to_owned(), leaf),
        (route_key("r"), r#"{"policies": ["worse"]}"#),
        (route_key("q"), "{"),
        (policy_key("p"), r#"{"source": "p"}"#),
        (policy_key("bad"), r#"{"source": "bad", "auth": [{"anyOf": []}]}"#),
        (policy_key("worse"), r#"{"source": "worse", "unknown": 1}"#),
    ]);
    for (route_name, want) in [
        ("s", r#"no policy "missing""#),
        ("t", r#"policy "bad": auth[0].anyOf: "#),
        ("r", r#"policy "worse": unknown: unknown field"#),
        ("q", r#"route "q": "#),
        ("p", r#"no switch "p""#),
    ] {
        let refusal = ask_on(&store, route_name, "/").outcome.unwrap_err();
        assert!(refusal.to_string().starts_with(want), "{refusal}");
        assert_eq!(
            (refusal.status(), refusal.is_fault(), refusal.is_at_end()),
            (503, true, false)
        );
    }
}
