use crate::{
    edit::Edit,
    enforce::{
        context::NextAction,
        tests::{PolicyFixture, text},
    },
};
use wasm_bindgen_test::wasm_bindgen_test;

fn cors(fields: &str) -> PolicyFixture {
    PolicyFixture::new(&[&format!(r#""cors": {{{fields}}}"#)])
}

/// The origin that a response to a page of that origin allows.
fn allowed_origin(fixture: &mut PolicyFixture, origin: &str) -> Option<String> {
    let advanced = fixture.send(&[("origin", origin)]);
    let edits = advanced.enforcement.response_edits();
    edits.iter().find_map(|edit| match edit {
        Edit::Set("access-control-allow-origin", value) => Some(text(value).to_owned()),
        _ => None,
    })
}

#[wasm_bindgen_test(unsupported = test)]
fn allowed_origins_match() {
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
        let mut fixture = cors(&format!(r#""allowOrigins": [{origins}]"#));
        assert_eq!(
            allowed_origin(&mut fixture, origin).as_deref(),
            want,
            "{origins} {origin}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn repeated_origin_is_not_allowed() {
    let mut fixture = cors(r#""allowOrigins": ["https://a.com"]"#);
    let advanced = fixture.send(&[("origin", "https://a.com"), ("origin", "https://a.com")]);
    let edits = advanced.enforcement.response_edits();
    assert!(
        edits.contains(&Edit::Remove("access-control-allow-origin")),
        "{edits:?}"
    );
}

/// The upstream's own headers could allow more than the policy.
#[wasm_bindgen_test(unsupported = test)]
fn policy_replaces_upstream_headers() {
    let all =
        r#""allowOrigins": ["https://a.com"], "exposeHeaders": ["x-a", "x-b"], "allowCredentials": true"#;
    let mut fixture = cors(all);
    let allowed = fixture.send(&[("origin", "https://a.com")]);
    let want = [
        Edit::Set("access-control-allow-origin", b"https://a.com"),
        Edit::Set("access-control-allow-credentials", b"true"),
        Edit::Set("access-control-expose-headers", b"x-a, x-b"),
        Edit::Add("vary", b"origin"),
    ];
    assert_eq!(allowed.enforcement.response_edits(), want);
    for headers in [&[("origin", "https://b.com")][..], &[]] {
        let other = fixture.send(headers);
        assert!(other.action.is_done());
        let want = [
            Edit::Remove("access-control-allow-origin"),
            Edit::Remove("access-control-allow-credentials"),
            Edit::Remove("access-control-expose-headers"),
            Edit::Add("vary", b"origin"),
        ];
        assert_eq!(other.enforcement.response_edits(), want);
    }
}

const ASKS: [(&str, &str); 2] = [(":method", "OPTIONS"), ("access-control-request-method", "PUT")];

fn asks(origin: &'static str) -> [(&'static str, &'static str); 3] {
    let [method, asked] = ASKS;
    [method, asked, ("origin", origin)]
}

#[wasm_bindgen_test(unsupported = test)]
fn preflight_is_answered_before_other_checks() {
    let fields = r#""cors": {"allowOrigins": ["https://a.com"], "allowMethods": ["PUT", "DELETE"],
            "allowHeaders": ["x-a"], "maxAgeSeconds": 5},
        "auth": [{"anyOf": [{"ip": {"deny": ["0.0.0.0/0"]}}]}],
        "rateLimits": [{"local": {"requests": 1, "perSeconds": 60, "burst": 1}}]"#;
    let mut fixture = PolicyFixture::new(&[fields]);
    for _ in 0..3 {
        let advanced = fixture.send(&asks("https://a.com"));
        let NextAction::LocalReply(mut response) = advanced.action else {
            panic!("{:?}", advanced.action);
        };
        response.edit(&advanced.enforcement.response_edits());
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
    let refusal = fixture.send(&asks("https://b.com")).refusal();
    assert_eq!((refusal.status, refusal.policy.as_str()), (403, "0 cors"));
}

#[wasm_bindgen_test(unsupported = test)]
fn other_requests_are_not_preflights() {
    let fields = r#""cors": {"allowOrigins": ["*"]}, "auth": [{"anyOf": [{"ip": {"deny": ["0.0.0.0/0"]}}]}]"#;
    let mut fixture = PolicyFixture::new(&[fields]);
    let [method, asked, origin] = asks("https://a.com");
    for headers in [
        &[method][..],
        &[method, asked],
        &[method, origin],
        &[asked, origin],
    ] {
        assert_eq!(fixture.status(headers), 403, "{headers:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn innermost_cors_policy_applies() {
    let outer = r#""cors": {"allowOrigins": ["https://outer.com"]}"#;
    let inner = r#""cors": {"allowOrigins": ["https://inner.com"]}"#;
    let mut fixture = PolicyFixture::new(&[outer, inner, ""]);
    assert_eq!(
        allowed_origin(&mut fixture, "https://inner.com").as_deref(),
        Some("https://inner.com")
    );
    assert_eq!(allowed_origin(&mut fixture, "https://outer.com"), None);
    assert_eq!(
        fixture.send(&asks("https://outer.com")).refusal().policy,
        "1 cors"
    );
}

/// A page can read the reason.
#[wasm_bindgen_test(unsupported = test)]
fn refusals_have_cors_headers() {
    let fields = r#""cors": {"allowOrigins": ["*"]}, "auth": [{"anyOf": [{"ip": {"deny": ["0.0.0.0/0"]}}]}]"#;
    let advanced = PolicyFixture::new(&[fields]).send(&[("origin", "https://a.com")]);
    let edits = advanced.enforcement.response_edits();
    assert!(
        edits.contains(&Edit::Set("access-control-allow-origin", b"*")),
        "{edits:?}"
    );
    assert_eq!(advanced.refusal().status, 403);
}
