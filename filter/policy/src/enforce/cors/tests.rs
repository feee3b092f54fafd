use crate::enforce::{
    Step,
    edit::Edit,
    tests::{Scene, text},
};
use wasm_bindgen_test::wasm_bindgen_test;

fn cors(fields: &str) -> Scene {
    Scene::new(&[&format!(r#""cors": {{{fields}}}"#)])
}

/// The origin that a response to a page of that origin allows.
fn told(scene: &mut Scene, origin: &str) -> Option<String> {
    let arrived = scene.ask(&[("origin", origin)]);
    let edits = arrived.enforcement.answer_edits();
    edits.iter().find_map(|edit| match edit {
        Edit::Set("access-control-allow-origin", value) => Some(text(value).to_owned()),
        _ => None,
    })
}

#[wasm_bindgen_test(unsupported = test)]
fn an_origin_is_allowed_or_not() {
    let own = "https://www.bar.com";
    for (origins, origin, want) in [
        (r#""https://www.bar.com""#, own, Some(own)),
        (r#""https://www.bar.com""#, "http://www.bar.com", None),
        (r#""https://www.bar.com""#, "https://www.bar.com:8443", None),
        (r#""https://www.bar.com""#, "https://www.bar.com.evil.com", None),
        (r#""https://www.bar.com""#, "null", None),
        (r#""https://a.com", "https://www.bar.com""#, own, Some(own)),
        (r#""https://*.bar.com""#, own, Some(own)),
        (
            r#""https://*.bar.com""#,
            "https://a.b.bar.com",
            Some("https://a.b.bar.com"),
        ),
        (r#""https://*.bar.com""#, "https://bar.com", None),
        (r#""https://*.bar.com""#, "https://.bar.com", None),
        (r#""https://*.bar.com""#, "https://evilbar.com", None),
        (r#""https://*.bar.com""#, "https://evil.com/.bar.com", None),
        (r#""https://*.bar.com""#, "https://evil.com#.bar.com", None),
        (r#""https://*.bar.com""#, "http://www.bar.com", None),
        (
            r#""https://*.bar.com:8443""#,
            "https://a.bar.com:8443",
            Some("https://a.bar.com:8443"),
        ),
        (r#""https://*.bar.com:8443""#, "https://a.bar.com", None),
        (r#""*""#, own, Some("*")),
        (r#""*""#, "null", Some("*")),
        (r#""null""#, "null", Some("null")),
    ] {
        let mut scene = cors(&format!(r#""allowOrigins": [{origins}]"#));
        assert_eq!(told(&mut scene, origin).as_deref(), want, "{origins} {origin}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn two_origins_are_those_of_no_page() {
    let mut scene = cors(r#""allowOrigins": ["https://a.com"]"#);
    let arrived = scene.ask(&[("origin", "https://a.com"), ("origin", "https://a.com")]);
    let edits = arrived.enforcement.answer_edits();
    assert!(
        edits.contains(&Edit::Remove("access-control-allow-origin")),
        "{edits:?}"
    );
}

/// The upstream's own headers could allow more than the policy.
#[wasm_bindgen_test(unsupported = test)]
fn it_is_the_policy_that_says_it() {
    let all =
        r#""allowOrigins": ["https://a.com"], "exposeHeaders": ["x-a", "x-b"], "allowCredentials": true"#;
    let mut scene = cors(all);
    let allowed = scene.ask(&[("origin", "https://a.com")]);
    let want = [
        Edit::Set("access-control-allow-origin", b"https://a.com"),
        Edit::Set("access-control-allow-credentials", b"true"),
        Edit::Set("access-control-expose-headers", b"x-a, x-b"),
        Edit::Add("vary", b"origin"),
    ];
    assert_eq!(allowed.enforcement.answer_edits(), want);
    for headers in [&[("origin", "https://b.com")][..], &[]] {
        let other = scene.ask(headers);
        assert!(other.step.is_done());
        let want = [
            Edit::Remove("access-control-allow-origin"),
            Edit::Remove("access-control-allow-credentials"),
            Edit::Remove("access-control-expose-headers"),
            Edit::Add("vary", b"origin"),
        ];
        assert_eq!(other.enforcement.answer_edits(), want);
    }
}

const ASKS: [(&str, &str); 2] = [(":method", "OPTIONS"), ("access-control-request-method", "PUT")];

fn asks(origin: &'static str) -> [(&'static str, &'static str); 3] {
    let [method, asked] = ASKS;
    [method, asked, ("origin", origin)]
}

#[wasm_bindgen_test(unsupported = test)]
fn a_page_that_asks_is_answered_before_anything_is_asked_of_it() {
    let fields = r#""cors": {"allowOrigins": ["https://a.com"], "allowMethods": ["PUT", "DELETE"],
            "allowHeaders": ["x-a"], "maxAgeSeconds": 5},
        "auth": [{"anyOf": [{"ip": {"deny": ["0.0.0.0/0"]}}]}],
        "rateLimits": [{"local": {"requests": 1, "perSeconds": 60, "burst": 1}}]"#;
    let mut scene = Scene::new(&[fields]);
    for _ in 0..3 {
        let arrived = scene.ask(&asks("https://a.com"));
        let Step::Answer(mut response) = arrived.step else {
            panic!("{:?}", arrived.step);
        };
        response.edit(&arrived.enforcement.answer_edits());
        let headers: Vec<_> = response
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), text(value)))
            .collect();
        let want = [
            ("access-control-allow-methods", "PUT, DELETE"),
            ("access-control-allow-headers", "x-a"),
            ("access-control-max-age", "5"),
            ("access-control-allow-origin", "https://a.com"),
            ("vary", "origin"),
        ];
        assert_eq!((response.status, headers.as_slice()), (200, &want[..]));
    }
    let refusal = scene.ask(&asks("https://b.com")).refusal();
    assert_eq!((refusal.status, refusal.by.as_str()), (403, "0 cors"));
}

#[wasm_bindgen_test(unsupported = test)]
fn other_requests_are_no_questions_of_pages() {
    let fields = r#""cors": {"allowOrigins": ["*"]}, "auth": [{"anyOf": [{"ip": {"deny": ["0.0.0.0/0"]}}]}]"#;
    let mut scene = Scene::new(&[fields]);
    let [method, asked, origin] = asks("https://a.com");
    for headers in [
        &[method][..],
        &[method, asked],
        &[method, origin],
        &[asked, origin],
    ] {
        assert_eq!(scene.status(headers), 403, "{headers:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_innermost_level_says_it_for_those_above() {
    let outer = r#""cors": {"allowOrigins": ["https://outer.com"]}"#;
    let inner = r#""cors": {"allowOrigins": ["https://inner.com"]}"#;
    let mut scene = Scene::new(&[outer, inner, ""]);
    assert_eq!(
        told(&mut scene, "https://inner.com").as_deref(),
        Some("https://inner.com")
    );
    assert_eq!(told(&mut scene, "https://outer.com"), None);
    assert_eq!(scene.ask(&asks("https://outer.com")).refusal().by, "1 cors");
}

/// A page can read the reason.
#[wasm_bindgen_test(unsupported = test)]
fn refusals_may_be_read_by_pages_too() {
    let fields = r#""cors": {"allowOrigins": ["*"]}, "auth": [{"anyOf": [{"ip": {"deny": ["0.0.0.0/0"]}}]}]"#;
    let arrived = Scene::new(&[fields]).ask(&[("origin", "https://a.com")]);
    let edits = arrived.enforcement.answer_edits();
    assert!(
        edits.contains(&Edit::Set("access-control-allow-origin", b"*")),
        "{edits:?}"
    );
    assert_eq!(arrived.refusal().status, 403);
}
