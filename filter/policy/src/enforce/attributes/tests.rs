use super::*;
use crate::enforce::tests::{Client, Proxy};
use std::collections::{BTreeMap, BTreeSet};
use wasm_bindgen_test::wasm_bindgen_test;

/// Claims by name.
struct Token(BTreeMap<&'static str, &'static str>);

impl ClaimSource for Token {
    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.get(name).copied().map(Cow::Borrowed)
    }
}

fn when(json: &str) -> When {
    crate::config::parse::parse(json.as_bytes()).unwrap()
}

fn key(parts: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let parts: Vec<KeyPart> = crate::config::parse::parse(parts.as_bytes()).unwrap();
    let client = Client::new(headers);
    let attributes = Attributes {
        host: &Proxy::default(),
        request: client.request(),
        claims: &Token([("sub", "ann")].into()),
    };
    attributes.key(&parts)
}

#[wasm_bindgen_test(unsupported = test)]
fn condition_needs_all_of_its_parts() {
    let both = r#"{"methods": ["GET", "PUT"], "prefix": "/a", "headers": [{"name": "x-a"}, {"name": "x-b", "value": "1"}]}"#;
    for (json, headers, want) in [
        ("{}", &[][..], true),
        (r#"{"methods": ["GET"]}"#, &[], true),
        (r#"{"methods": ["get"]}"#, &[], false),
        (r#"{"methods": ["PUT", "GET"]}"#, &[], true),
        (r#"{"methods": ["PUT"]}"#, &[], false),
        (r#"{"prefix": "/a"}"#, &[(":path", "/a")], true),
        (r#"{"prefix": "/a"}"#, &[(":path", "/a/b?c")], true),
        (r#"{"prefix": "/a"}"#, &[(":path", "/ab")], false),
        (r#"{"prefix": "/"}"#, &[(":path", "/ab")], true),
        (r#"{"headers": [{"name": "x-a"}]}"#, &[], false),
        (r#"{"headers": [{"name": "x-a"}]}"#, &[("x-a", "")], true),
        (
            r#"{"headers": [{"name": "x-a", "value": "1"}]}"#,
            &[("x-a", "2")],
            false,
        ),
        (
            r#"{"headers": [{"name": "x-a", "value": "1"}]}"#,
            &[("x-a", "2"), ("x-a", "1")],
            true,
        ),
        (
            r#"{"headers": [{"name": "host", "value": "bar.com"}]}"#,
            &[],
            true,
        ),
        (both, &[(":path", "/a"), ("x-a", "0"), ("x-b", "1")], true),
        (both, &[(":path", "/a"), ("x-b", "1")], false),
        (both, &[(":path", "/b"), ("x-a", "0"), ("x-b", "1")], false),
        (
            both,
            &[(":method", "POST"), (":path", "/a"), ("x-a", "0"), ("x-b", "1")],
            false,
        ),
    ] {
        let client = Client::new(headers);
        let request = client.request();
        assert_eq!(
            when(json).applies(request, request.path()),
            want,
            "{json} {headers:?}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn unknown_path_matches_no_prefix() {
    let client = Client::new(&[]);
    assert!(!when(r#"{"prefix": "/"}"#).applies(client.request(), None));
}

#[wasm_bindgen_test(unsupported = test)]
fn different_requests_have_different_keys() {
    for (parts, requests) in [
        (
            r#"["path"]"#,
            &[&[(":path", "/a")][..], &[(":path", "/b")], &[(":path", "/")]][..],
        ),
        (r#"["method"]"#, &[&[], &[(":method", "PUT")]]),
        (
            r#"[{"header": "x-a"}]"#,
            &[
                &[],
                &[("x-a", "")],
                &[("x-a", "1")],
                &[("x-a", "1"), ("x-a", "2")],
            ],
        ),
        (
            r#"[{"cookie": "a"}]"#,
            &[
                &[],
                &[("cookie", "a=")],
                &[("cookie", "b=1; a=1")],
                &[("cookie", "a=2")],
            ],
        ),
        (
            r#"[{"header": "x-a"}, {"header": "x-b"}]"#,
            &[
                &[],
                &[("x-a", "1")],
                &[("x-b", "1")],
                &[("x-a", "1"), ("x-b", "1")],
                &[("x-a", "11")],
                &[("x-a", ""), ("x-b", "11")],
            ],
        ),
        (r#"[{"claim": "sub"}, "path"]"#, &[&[], &[(":path", "/a")]]),
    ] {
        let keys: BTreeSet<_> = requests.iter().map(|headers| key(parts, headers)).collect();
        assert_eq!(keys.len(), requests.len(), "{parts}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn equal_requests_have_equal_keys() {
    for (parts, one, other) in [
        (r#"["path"]"#, &[(":path", "/a?b")][..], &[(":path", "/a?c")][..]),
        (
            r#"["clientIP", "method"]"#,
            &[("x-forwarded-for", "192.0.2.9")],
            &[],
        ),
        (
            r#"[{"header": "x-a"}]"#,
            &[("x-a", "1"), ("x-b", "1")],
            &[("x-b", "2"), ("x-a", "1")],
        ),
        (r#"[{"claim": "nothing"}]"#, &[], &[(":path", "/a")]),
        ("[]", &[], &[(":path", "/a")]),
    ] {
        assert_eq!(key(parts, one), key(parts, other), "{parts}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn mapped_address_has_the_key_of_ipv4() {
    let client = Client::new(&[]);
    let [one, other] = ["192.0.2.1", "::ffff:192.0.2.1"].map(|address| {
        let proxy = Proxy {
            client_ip: address.parse().ok(),
            ..Proxy::default()
        };
        let attributes = Attributes {
            host: &proxy,
            request: client.request(),
            claims: &(),
        };
        attributes.key(&[KeyPart::ClientIp])
    });
    assert_eq!(one, other);
}

#[wasm_bindgen_test(unsupported = test)]
fn addresses_of_one_network_share_a_key() {
    let key_of = |part: &str, address: &str| {
        let client = Client::new(&[]);
        let proxy = Proxy {
            client_ip: address.parse().ok(),
            ..Proxy::default()
        };
        let attributes = Attributes {
            host: &proxy,
            request: client.request(),
            claims: &(),
        };
        let part: KeyPart = crate::config::parse::parse(part.as_bytes()).unwrap();
        String::from_utf8(attributes.value(&part).unwrap().into_owned()).unwrap()
    };
    let wide = r#"{"clientIP": {"ipv4PrefixLength": 24, "ipv6PrefixLength": 56}}"#;
    for (part, address, want) in [
        (r#""clientIP""#, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (r#"{"clientIP": {}}"#, "2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        (r#""clientIP""#, "192.0.2.7", "192.0.2.7"),
        (r#""clientIP""#, "::ffff:192.0.2.7", "192.0.2.7"),
        (wide, "2001:db8:1:2ff::4", "2001:db8:1:200::/56"),
        (wide, "192.0.2.7", "192.0.2.0/24"),
        (
            r#"{"clientIP": {"ipv6PrefixLength": 128}}"#,
            "2001:db8::1",
            "2001:db8::1",
        ),
    ] {
        assert_eq!(key_of(part, address), want, "{part} {address}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn prefix_lengths_beyond_an_address_are_refused() {
    for (lengths, want) in [
        (r#""ipv4PrefixLength": 0"#, "must be in the range 1-32"),
        (r#""ipv4PrefixLength": 33"#, "must be in the range 1-32"),
        (r#""ipv6PrefixLength": 0"#, "must be in the range 1-128"),
        (r#""ipv6PrefixLength": 129"#, "must be in the range 1-128"),
        (r#""ipv6PrefixLength": 300"#, "invalid value: integer `300`"),
        (r#""length": 64"#, "unknown field"),
    ] {
        let json = format!(
            r#"{{"policies": {{"p": {{"source": "s", "concurrency": {{"max": 1, "key": [{{"clientIP": {{{lengths}}}}}]}}}}}}}}"#
        );
        let error = crate::config::Config::from_json(json.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(want), "{lengths}: {error}");
    }
}
