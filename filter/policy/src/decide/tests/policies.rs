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
fn scopes(decision: &Decision) -> Vec<(&str, Option<&str>)> {
    let scopes = decision.scopes.iter();
    scopes
        .map(|scope| (scope.policy.source.as_str(), scope.path.as_deref()))
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
fn request_gets_a_scope_for_every_level() {
    let store = store_of(CHAIN);
    let decision = ask_on(&store, "s", "/shop/cart/x?y");
    let want = [
        ("virtualhost", None),
        ("top", Some("/shop/cart/x")),
        ("nested", Some("/cart/x")),
        ("leaf", Some("/c/x")),
    ];
    assert_eq!(scopes(&decision), want);
    let forward = decision.outcome.unwrap();
    assert_eq!(forward.path.as_deref(), Some("/up/x"));
    assert_eq!(
        (forward.overrides.timeout, forward.overrides.retry),
        (false, true)
    );
    let decision = ask_on(&store, "s", "/shop/open");
    assert_eq!(
        scopes(&decision),
        want.get(..2)
            .unwrap()
            .iter()
            .map(|(source, path)| (*source, path.map(|_| "/shop/open")))
            .collect::<Vec<_>>()
    );
    assert!(decision.outcome.unwrap().overrides.timeout);
}

/// A client that a scope refuses is not told that there is no route.
#[wasm_bindgen_test(unsupported = test)]
fn route_errors_keep_the_scopes_passed() {
    let store = store_of(CHAIN);
    for (path, want) in [
        ("/shop/broken", RouteError::Unavailable("no service".to_owned())),
        ("/shop/nothing", RouteError::NoRoute),
    ] {
        let decision = ask_on(&store, "s", path);
        assert_eq!(scopes(&decision).len(), 2, "{path}");
        let refusal = decision.outcome.unwrap_err();
        assert!(refusal.has_all_policies());
        assert_eq!(refusal, want);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn climbing_path_is_refused_if_a_policy_depends_on_it() {
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
        assert_eq!(refusal, RouteError::BadPath);
        assert!(!refusal.has_all_policies());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn plain_route_has_policies_and_keeps_its_cluster() {
    let store = store_of(
        r#"{"routes": {"a.com/plain": {"policies": ["p", "q"], "ownRetry": true}},
            "policies": {"p": {"source": "p"}, "q": {"source": "q"}}}"#,
    );
    let decision = ask_on(&store, "a.com/plain", "/plain");
    assert_eq!(scopes(&decision), [("p", None), ("q", None)]);
    let forward = Forward {
        route: None,
        cluster: None,
        path: None,
        set_cookies: Vec::new(),
        mapping: None,
        is_plain: true,
        overrides: RouteOverrides {
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
fn missing_or_broken_policy_answers_503() {
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
            (
                refusal.status(),
                refusal.is_config_error(),
                refusal.has_all_policies()
            ),
            (503, true, false)
        );
    }
}
