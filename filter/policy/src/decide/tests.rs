mod chance;
mod policies;

use super::*;
use crate::request::RequestHeaderMap;
use std::collections::BTreeMap;
use wasm_bindgen_test::wasm_bindgen_test;

/// Blue is active, green stands by: mounted at `/`, below `/shop`.
const SHOP: &str = r#""root": "default/root", "prefix": "/shop", "mount": "/",
    "active": "default/blue", "standby": ["default/green"],
    "branches": {
        "default/blue": [{"prefix": "/", "leaf": {"clusters": [{"name": "blue"}]}}],
        "default/green": [{"prefix": "/", "leaf": {"clusters": [{"name": "green"}]}}]
    }"#;

fn store(switches: &[(&str, &str)]) -> Store {
    let switches: Vec<_> = switches
        .iter()
        .map(|(key, fields)| format!("{key:?}: {{{fields}}}"))
        .collect();
    let json = format!(r#"{{"switches": {{{}}}}}"#, switches.join(","));
    Store::new(json.into_bytes(), Rc::default()).unwrap()
}

/// A switch `s` on `/` with one branch.
fn branch(routes: &str) -> Store {
    store(&[("s", &one_branch("/", "b", routes))])
}

fn one_branch(prefix: &str, name: &str, routes: &str) -> String {
    format!(r#""prefix": {prefix:?}, "active": {name:?}, "branches": {{{name:?}: [{routes}]}}"#)
}

fn leaf(prefix: &str, route: &str) -> String {
    format!(r#"{{"prefix": {prefix:?}, "leaf": {{"route": {route:?}}}}}"#)
}

/// A path, and the other headers.
struct Client(Vec<u8>, Vec<(String, Vec<u8>)>);

impl RequestHeaderMap for Client {
    fn target(&self) -> &[u8] {
        &self.0
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.1
    }
}

fn ask_with(store: &Store, path: &str, headers: &[(&str, &str)], rng: &mut Rng) -> Decision {
    let headers = [(":authority", "bar.com")].iter().chain(headers);
    let headers = headers.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    let request = Request {
        route_name: "s",
        headers: &Client(path.into(), headers.collect()),
    };
    decide(store, request, rng)
}

fn ask(store: &Store, path: &str, headers: &[(&str, &str)]) -> Decision {
    ask_with(store, path, headers, &mut Rng::new(1))
}

fn forward(store: &Store, path: &str, headers: &[(&str, &str)]) -> Forward {
    ask(store, path, headers).outcome.unwrap()
}

fn refusal(store: &Store, path: &str) -> RouteError {
    ask(store, path, &[]).outcome.unwrap_err()
}

/// How often each cluster was picked.
fn count(store: &Store, times: usize) -> BTreeMap<String, usize> {
    let mut rng = Rng::new(3);
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        let Forward { cluster, .. } = ask_with(store, "/shop", &[], &mut rng).outcome.unwrap();
        *counts.entry(cluster.unwrap()).or_default() += 1;
    }
    counts
}

/// Getting headers is expensive.
#[wasm_bindgen_test(unsupported = test)]
fn unneeded_headers_are_not_fetched() {
    struct Silent;

    impl RequestHeaderMap for Silent {
        fn target(&self) -> &[u8] {
            panic!("asked for the path")
        }

        fn all(&self) -> &[(String, Vec<u8>)] {
            panic!("asked for all headers")
        }
    }

    let below = one_branch("/shop", "c", &leaf("/shop", "there"));
    let to_below = r#"{"prefix": "/shop", "switch": "t"}"#;
    let store = store(&[("s", &one_branch("/shop", "b", to_below)), ("t", &below)]);
    let request = Request {
        route_name: "s",
        headers: &Silent,
    };
    let decision = decide(&store, request, &mut Rng::new(1));
    assert!(decision.scopes.is_empty());
    assert_eq!(decision.outcome.unwrap().route.as_deref(), Some("there"));
    assert_eq!(decision.trail.branches, "b, c");
}

#[wasm_bindgen_test(unsupported = test)]
fn active_branch_receives_requests() {
    let store = store(&[("s", SHOP)]);
    let got = ask(&store, "/shop/cart?x=/shop/y", &[]);
    let trail = Trail {
        root: "default/root".to_owned(),
        branches: "default/blue".to_owned(),
        leaf: "/".to_owned(),
    };
    let forward = Forward {
        route: Some(FORWARD.to_owned()),
        cluster: Some("blue".to_owned()),
        path: Some("/cart".to_owned()),
        set_cookies: Vec::new(),
        mapping: Some(PathMapping::identity().then("/shop", "/")),
        is_plain: false,
        overrides: RouteOverrides::default(),
    };
    assert_eq!(
        got,
        Decision {
            trail,
            scopes: PolicyScopes::new(),
            outcome: Ok(forward)
        }
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn longest_prefix_by_whole_segments_wins() {
    let routes = [leaf("/", "root"), leaf("/a", "a"), leaf("/a/b/c", "abc")].join(",");
    let store = branch(&routes);
    for (path, want) in [
        ("/", "root"),
        ("/x", "root"),
        ("/ab", "root"),
        ("/a", "a"),
        ("/a/", "a"),
        ("/a?b/c", "a"),
        ("/a/b", "a"),
        ("/a/b/cd", "a"),
        ("/a/b/c", "abc"),
        ("/a/b/c/d/e", "abc"),
        ("//a", "root"),
    ] {
        let Forward {
            route,
            path: sent,
            mapping,
            ..
        } = forward(&store, path, &[]);
        assert_eq!(
            (route.as_deref(), sent, mapping),
            (Some(want), None, None),
            "{path}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn rewrites_compose_down_the_delegation() {
    let store = store(&[
        (
            "s",
            &format!(
                r#"{}, "mount": "/""#,
                one_branch("/shop", "a/top", r#"{"prefix": "/cart", "switch": "below"}"#)
            ),
        ),
        (
            "below",
            &format!(
                r#"{}, "mount": "/c""#,
                one_branch(
                    "/cart",
                    "b/cart",
                    r#"{"prefix": "/c", "leaf": {"route": "r"}}, {"prefix": "/c/v1", "leaf": {"route": "r", "rewrite": "/api/"}}"#
                )
            ),
        ),
    ]);
    for (path, sent, mapped, leaf) in [
        ("/shop/cart", "/c", "/shop/cart", "/c"),
        ("/shop/cart/", "/c/", "/shop/cart", "/c"),
        ("/shop/cart/x?y=1", "/c/x", "/shop/cart", "/c"),
        ("/shop/cart/v1", "/api/", "/shop/cart/v1", "/c/v1"),
        ("/shop/cart/v1//x", "/api/x", "/shop/cart/v1", "/c/v1"),
        ("/shop/cart/v12", "/c/v12", "/shop/cart", "/c"),
    ] {
        let Decision { trail, outcome, .. } = ask(&store, path, &[]);
        let Forward {
            path: got, mapping, ..
        } = outcome.unwrap();
        let upstream = if leaf == "/c" { "/c" } else { "/api" };
        assert_eq!(got.as_deref(), Some(sent), "{path}");
        assert_eq!(mapping.unwrap().visible(upstream), mapped, "{path}");
        assert_eq!(
            (trail.branches.as_str(), trail.leaf.as_str()),
            ("a/top, b/cart", leaf),
            "{path}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn unservable_requests_are_refused() {
    let routes = [
        leaf("/ok", "ok"),
        r#"{"prefix": "/bad", "unavailable": "service is missing"}"#.to_owned(),
    ];
    let store = branch(&routes.join(","));
    for (path, want) in [
        ("/", RouteError::NoRoute),
        ("/okay", RouteError::NoRoute),
        ("*", RouteError::NoRoute),
        ("", RouteError::NoRoute),
        ("/bad/x", RouteError::Unavailable("service is missing".to_owned())),
        ("/ok/../bad", RouteError::BadPath),
        ("/ok/%2E%2e%2fbad", RouteError::BadPath),
    ] {
        assert_eq!(refusal(&store, path), want, "{path}");
    }
    // The branch, mounted at `/`, would take it.
    let mounted = self::store(&[("s", SHOP)]);
    assert_eq!(refusal(&mounted, "/shopping"), RouteError::NoRoute);
    let unknown = Request {
        route_name: "t",
        headers: &Client(vec![], vec![]),
    };
    let refused = decide(&store, unknown, &mut Rng::new(1)).outcome.unwrap_err();
    assert_eq!(refused, RouteError::NoSwitch("t".to_owned()));
}

#[wasm_bindgen_test(unsupported = test)]
fn errors_have_the_statuses_of_envoy() {
    for (refusal, want) in [
        (RouteError::BadPath, 400),
        (RouteError::NoRoute, 404),
        (RouteError::Unavailable(String::new()), 503),
        (RouteError::NoSwitch(String::new()), 503),
        (RouteError::TooDeep, 503),
    ] {
        assert_eq!(refusal.status(), want, "{refusal:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn packed_switch_cycle_ends() {
    let json = format!(
        "{{{}}}",
        one_branch("/", "b", r#"{"prefix": "/", "switch": "s"}"#)
    );
    let bucket = crate::packed::encode_bucket([("s", json.as_bytes())]).unwrap();
    let bytes = crate::packed::assemble(crate::packed::Flags::default(), &[bucket]).unwrap();
    let store = Store::new(bytes, Rc::default()).unwrap();
    assert_eq!(refusal(&store, "/x"), RouteError::TooDeep);
}

#[wasm_bindgen_test(unsupported = test)]
fn preview_header_selects_branch_without_session() {
    let store = store(&[(
        "s",
        &format!(
            r#"{SHOP}, "preview": {{"header": "x-preview", "value": "yes"}}, "sticky": {{"cookie": "c"}}"#
        ),
    )]);
    for (headers, want) in [
        (&[("x-preview", "yes")][..], "green"),
        (&[("x-preview", "no"), ("x-preview", "yes")], "green"),
        (&[("x-preview", "Yes")], "blue"),
        (&[("x-preview", "yes, yes")], "blue"),
        (&[], "blue"),
    ] {
        let Forward {
            cluster, set_cookies, ..
        } = forward(&store, "/shop", headers);
        assert_eq!(cluster.as_deref(), Some(want), "{headers:?}");
        assert_eq!(set_cookies.is_empty(), want == "green", "{headers:?}");
    }
}

/// Three branches, of which `active` is active, with a preview and a canary that get all that they can.
fn choosing(active: &str, standby: &str, branches: [&str; 2]) -> Store {
    let [preview, canary] = branches.map(|branch| match branch {
        "" => String::new(),
        branch => format!(r#", "branch": {branch:?}"#),
    });
    let routes = ["blue", "green", "red"].map(|name| {
        format!(r#"{name:?}: [{{"prefix": "/", "leaf": {{"clusters": [{{"name": {name:?}}}]}}}}]"#)
    });
    let fields = format!(
        r#""prefix": "/", "active": {active:?}, "standby": {standby}, "sticky": {{"cookie": "c"}},
        "preview": {{"header": "x-preview", "value": "yes"{preview}}}, "canary": {{"percent": 100{canary}}},
        "branches": {{{}}}"#,
        routes.join(", ")
    );
    store(&[("s", &fields)])
}

#[wasm_bindgen_test(unsupported = test)]
fn preview_and_canary_of_active_branch_have_no_effect() {
    for (active, standby, branches, want) in [
        ("blue", r#"["green"]"#, ["", ""], ["green", "green"]),
        // The edit of one word.
        ("green", r#"["green"]"#, ["", ""], ["green", "green"]),
        (
            "green",
            r#"["blue", "green"]"#,
            ["green", "green"],
            ["green", "green"],
        ),
        ("blue", r#"["blue", "green"]"#, ["", ""], ["green", "green"]),
        ("blue", r#"["green", "red"]"#, ["red", ""], ["red", "green"]),
        ("blue", r#"["green", "red"]"#, ["", "red"], ["green", "red"]),
        ("red", r#"["green", "red"]"#, ["red", "green"], ["green", "green"]),
        ("red", r#"["green", "red"]"#, ["green", "red"], ["green", "red"]),
    ] {
        let store = choosing(active, standby, branches);
        let asked = |headers: &[(&str, &str)]| forward(&store, "/", headers);
        let [preview, canary] = [asked(&[("x-preview", "yes")]), asked(&[])];
        let got = [preview.cluster.as_deref(), canary.cluster.as_deref()];
        assert_eq!(got, want.map(Some), "{active} {standby} {branches:?}");
        // A preview or a canary without effect does not end a session.
        let cookie = format!("c={}", session::token(active));
        let is_plain = asked(&[("cookie", &cookie), ("x-preview", "yes")]);
        let previews = want[0] != active && (branches[0].is_empty() || branches[0] != active);
        let want = if previews { want[0] } else { active };
        assert_eq!(
            is_plain.cluster.as_deref(),
            Some(want),
            "{active} {standby} {branches:?}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn session_stays_on_its_branch() {
    let store = store(&[("s", &format!(r#"{SHOP}, "sticky": {{"cookie": "c"}}"#))]);
    let (blue, green) = (session::token("default/blue"), session::token("default/green"));
    for (cookies, want, starts) in [
        (&[][..], "blue", true),
        (&[format!("c={green}")], "green", false),
        (&[format!("c={blue}")], "blue", false),
        (&[format!("a=1; c={green};b=2")], "green", false),
        (&["c=0".to_owned(), format!("c={green}")], "green", false),
        (&[format!("cc={green}")], "blue", true),
        (&["c=default/green".to_owned()], "blue", true),
        (&["c".to_owned()], "blue", true),
    ] {
        let headers: Vec<_> = cookies.iter().map(|cookie| ("cookie", cookie.as_str())).collect();
        let Forward {
            cluster, set_cookies, ..
        } = forward(&store, "/shop", &headers);
        assert_eq!(cluster.as_deref(), Some(want), "{cookies:?}");
        assert_eq!(!set_cookies.is_empty(), starts, "{cookies:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn session_cookie_has_the_visible_prefix() {
    let below = format!(
        r#"{}, "sticky": {{"cookie": "c", "ttlSeconds": 60}}"#,
        one_branch("/cart", "x/y", &leaf("/cart", "r"))
    );
    let top = one_branch("/shop", "t", r#"{"prefix": "/cart", "switch": "below"}"#);
    let store = store(&[("s", &format!(r#"{top}, "mount": "/""#)), ("below", &below)]);
    let token = session::token("x/y");
    for (scheme, secure) in [("http", ""), ("https", "; Secure")] {
        let Forward { set_cookies, .. } = forward(&store, "/shop/cart", &[("x-forwarded-proto", scheme)]);
        let want = format!("c={token}; Path=/shop/cart; Max-Age=60; HttpOnly; SameSite=Lax{secure}");
        assert_eq!(set_cookies, [want]);
    }
    // Sessions outlive releases.
    assert_eq!(token, "796cd714aeecf1d0");
}

/// An attribute of a cookie ends at a semicolon.
#[wasm_bindgen_test(unsupported = test)]
fn prefix_with_semicolon_is_not_in_cookie() {
    let switch = one_branch("/a;b", "x", &leaf("/a;b", "r"));
    let store = store(&[("s", &format!(r#"{switch}, "sticky": {{"cookie": "c"}}"#))]);
    let Forward { set_cookies, .. } = forward(&store, "/a;b", &[]);
    let token = session::token("x");
    assert_eq!(
        set_cookies,
        [format!("c={token}; Path=/; HttpOnly; SameSite=Lax")]
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn canary_gets_its_share_of_new_sessions() {
    for (percent, want) in [
        (0, 0..=0),
        (1, 60..=140),
        (10, 800..=1200),
        (100, 10_000..=10_000),
    ] {
        let store = store(&[("s", &format!(r#"{SHOP}, "canary": {{"percent": {percent}}}"#))]);
        let green = count(&store, 10_000).get("green").copied().unwrap_or_default();
        assert!(want.contains(&green), "{percent}%: {green}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn clusters_are_chosen_by_weight() {
    let clusters = r#"[{"name": "a"}, {"name": "none", "weight": 0}, {"name": "b", "weight": 3}]"#;
    let routes = format!(r#"{{"prefix": "/", "leaf": {{"route": "r", "clusters": {clusters}}}}}"#);
    let counts = count(&branch(&routes), 10_000);
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!((2300..2700).contains(counts.get("a").unwrap()), "{counts:?}");
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::{Rng, *};
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
    use std::collections::BTreeSet;

    fn path_of(segments: &'static str) -> impl Strategy<Value = String> {
        let segment = proptest::string::string_regex(segments).unwrap();
        prop::collection::vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
    }

    /// The longest prefix by the wording of the rule, prefix by prefix.
    fn longest<'p>(prefixes: &'p BTreeSet<String>, path: &str) -> Option<&'p str> {
        let within = |prefix: &&String| {
            prefix.as_str() == "/" || path == prefix.as_str() || path.starts_with(&format!("{prefix}/"))
        };
        prefixes
            .iter()
            .filter(within)
            .max_by_key(|prefix| prefix.len())
            .map(String::as_str)
    }

    proptest! {
        #[test]
        fn longest_prefix_matches_a_linear_search(
            prefixes in prop::collection::btree_set(path_of("[ab]{1,2}"), 0..12),
            paths in prop::collection::vec(path_of("[ab]{0,2}"), 1..20),
        ) {
            let routes: Vec<_> = prefixes.iter().map(|prefix| leaf(prefix, prefix)).collect();
            let store = branch(&routes.join(","));
            for path in paths {
                let got = ask(&store, &path, &[]).outcome.ok().and_then(|forward| forward.route);
                prop_assert_eq!(got.as_deref(), longest(&prefixes, &path), "{}", path);
            }
        }

        #[test]
        fn arbitrary_requests_do_not_panic(
            path: Vec<u8>,
            headers: Vec<(String, Vec<u8>)>,
            cookie: Vec<u8>,
            route_name in prop_oneof![Just("s".to_owned()), any::<String>()],
        ) {
            let store = store(&[("s", &format!(r#"{SHOP}, "sticky": {{"cookie": "c"}}"#))]);
            let mut headers = headers;
            let target = [b"/shop/".to_vec(), path].concat();
            headers.push(("cookie".to_owned(), cookie));
            let request = Request { route_name: &route_name, headers: &Client(target, headers) };
            let _decision = decide(&store, request, &mut Rng::new(1));
        }
    }
}
