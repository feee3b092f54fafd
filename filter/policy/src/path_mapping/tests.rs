use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

fn mapping(visible: &str, upstream: &str) -> PathMapping {
    PathMapping {
        rewrites: vec![Rewrite {
            visible: visible.to_owned(),
            upstream: upstream.to_owned(),
        }],
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn rewrites_of_a_delegation_combine() {
    for (rewrites, want) in [
        (&[("/shop", "/")][..], ("/shop", "/")),
        (&[("/shop", "/"), ("/cart", "/c")], ("/shop/cart", "/c")),
        (&[("/shop", "/app/")], ("/shop", "/app")),
        (&[("/", "/app")], ("/", "/app")),
        (&[("/", "/app"), ("/app", "/")], ("/", "/")),
        (&[("/shop", "/"), ("/", "/x")], ("/shop", "/x")),
        (&[("/a", "/b"), ("/b/c", "/a/c")], ("/a/c", "/a/c")),
        (&[("/shop", "/a/b"), ("/a", "/z")], ("/shop", "/z/b")),
        (&[("/shop", "/a"), ("/elsewhere", "/z")], ("/shop", "/a")),
    ] {
        assert_eq!(mapped_by(rewrites).innermost(), want, "{rewrites:?}");
    }
}

fn mapped_by(rewrites: &[(&str, &str)]) -> PathMapping {
    let rewrites = rewrites.iter();
    rewrites.fold(PathMapping::identity(), |mapping, (prefix, mount)| {
        mapping.then(prefix, mount)
    })
}

#[wasm_bindgen_test(unsupported = test)]
fn outer_mount_is_mapped_by_its_rewrite() {
    let mounted = mapped_by(&[("/api", "/v1"), ("/v1/cart", "/inner"), ("/inner/x", "/y")]);
    let at_root = mapped_by(&[("/shop", "/"), ("/cart", "/c")]);
    let back = mapped_by(&[("/shop", "/a"), ("/a", "/shop")]);
    for (mapping, path, want) in [
        (&mounted, "/y/1", Some("/api/cart/x/1")),
        (&mounted, "/inner/z", Some("/api/cart/z")),
        (&mounted, "/v1/login", Some("/api/login")),
        (&mounted, "/v2/login", None),
        (&mounted, "/api/login", None),
        (&at_root, "/c/1", Some("/shop/cart/1")),
        (&at_root, "/login", Some("/shop/login")),
        // The upstream knows where it is mounted.
        (&at_root, "/shop/login", None),
        (&back, "/shop/x", None),
        (&back, "/a/x", Some("/shop/x")),
    ] {
        let got = mapping.location(path.as_bytes(), "");
        assert_eq!(got.as_deref(), want, "{path} with {mapping:?}");
        let cookie = mapping.set_cookie(format!("id=1; Path={path}").as_bytes());
        let want = want.map(|want| format!("id=1; Path={want}").into_bytes());
        assert_eq!(cookie, want, "{path} with {mapping:?}");
    }
    assert!(mapped_by(&[("/a", "/a")]).is_identity());
    assert!(!back.is_identity());
}

#[wasm_bindgen_test(unsupported = test)]
fn location_is_mapped_to_the_visible_path() {
    let to_root = mapping("/shop", "/");
    let to_app = mapping("/shop", "/app");
    let from_root = mapping("/", "/app");
    let deeper = mapping("/a", "/a/b");
    for (mapping, value, want) in [
        (&to_root, "/login?next=/x#top", Some("/shop/login?next=/x#top")),
        (&to_root, "/", Some("/shop/")),
        (&to_root, "/shopping", Some("/shop/shopping")),
        // The upstream knows where it is mounted.
        (&to_root, "/shop", None),
        (&to_root, "/shop/cart", None),
        (&to_app, "/app/cart", Some("/shop/cart")),
        (&to_app, "/app", Some("/shop")),
        (&to_app, "/apple", None),
        (&to_app, "/other", None),
        (&from_root, "/app", Some("/")),
        (&from_root, "/app/", Some("/")),
        (&from_root, "/app/x", Some("/x")),
        (&from_root, "/app//evil.com", Some("/evil.com")),
        (&from_root, "/app/\\evil.com", Some("/evil.com")),
        (&from_root, "/x", None),
        (&deeper, "/a/b/c", Some("/a/c")),
        (&deeper, "/a/c", None),
        // URLs of the requested host.
        (
            &to_root,
            "http://bar.com/login",
            Some("http://bar.com/shop/login"),
        ),
        (
            &to_root,
            "HTTPS://BAR.com/login",
            Some("HTTPS://BAR.com/shop/login"),
        ),
        (&to_root, "//bar.com/login", Some("//bar.com/shop/login")),
        (&to_root, "http://bar.com", Some("http://bar.com/shop/")),
        (&to_root, "http://bar.com?q", Some("http://bar.com/shop/?q")),
        (&to_root, "http://bar.com/shop/x", None),
        // URLs of other hosts, and values that are not paths.
        (&to_root, "http://bar.com:8080/login", None),
        (&to_root, "http://evil.com/login", None),
        (&to_root, "http://bar.com@evil.com/", None),
        (&to_root, "//evil.com/", None),
        (&to_root, "ftp://bar.com/x", None),
        (&to_root, "http:/x", None),
        (&to_root, "login", None),
        (&to_root, "../login", None),
        (&to_root, "?q", None),
        (&to_root, "", None),
    ] {
        let got = mapping.location(value.as_bytes(), "bar.com");
        assert_eq!(got.as_deref(), want, "{value} with {mapping:?}");
    }
    assert_eq!(to_root.location(b"/\xff", "bar.com"), None);
}

#[wasm_bindgen_test(unsupported = test)]
fn cookie_path_is_mapped_to_the_visible_path() {
    let to_root = mapping("/shop", "/");
    let from_root = mapping("/", "/app");
    for (mapping, value, want) in [
        (
            &to_root,
            &b"id=1; Path=/; HttpOnly"[..],
            Some(&b"id=1; Path=/shop; HttpOnly"[..]),
        ),
        (
            &to_root,
            b"id=1;PATH = /cart ;Secure",
            Some(b"id=1; Path=/shop/cart;Secure"),
        ),
        (&to_root, b"id=1; path=/shop", None),
        (&to_root, b"id=1", None),
        (&to_root, b"Path=/; Secure", None),
        (&to_root, b"id=1; Path", None),
        (&to_root, b"id=1; Path=", None),
        (&to_root, b"id=1; Path=cart", None),
        (&to_root, b"id=\xff; Path=/", Some(b"id=\xff; Path=/shop")),
        (&to_root, b"id=1; Path=/\xff", None),
        (&to_root, b"__Host-id=1; Path=/; Secure", None),
        (
            &to_root,
            b"__Secure-id=1; Path=/; Secure",
            Some(b"__Secure-id=1; Path=/shop; Secure"),
        ),
        (&from_root, b"id=1; Path=/app", Some(b"id=1; Path=/")),
        (&from_root, b"id=1; Path=/app/x", Some(b"id=1; Path=/x")),
        (&from_root, b"id=1; Path=/", None),
        (&to_root, b"", None),
        (&to_root, b";;;", None),
    ] {
        let got = mapping.set_cookie(value);
        assert_eq!(got.as_deref(), want, "{:?}", String::from_utf8_lossy(value));
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    fn prefix() -> impl Strategy<Value = String> {
        prop_oneof![Just("/".to_owned()), "(/[a-c]{1,2}){1,3}"]
    }

    proptest! {
        #[test]
        fn rewritten_path_maps_back(visible in prefix(), upstream in prefix(), below in "(/[d-f]{1,2}){0,3}") {
            let mapping = mapping(&visible, &upstream);
            let asked = if visible == "/" { format!("{below}/d") } else { format!("{visible}{below}") };
            let sent = path::rebase(&asked, &visible, &upstream).unwrap();
            let back = mapping.location(sent.as_bytes(), "").unwrap_or(sent);
            // The root of the upstream is a directory; of the client's prefix it cannot tell.
            prop_assert_eq!(back.trim_end_matches('/'), asked.trim_end_matches('/'));
        }

        #[test]
        fn arbitrary_responses_do_not_panic(visible in prefix(), upstream in prefix(), value: Vec<u8>, text: String) {
            let mapping = mapping(&visible, &upstream);
            let _mapped = mapping.location(&value, "bar.com");
            let _mapped = mapping.location(text.as_bytes(), &text);
            let _mapped = mapping.set_cookie(&value);
        }
    }
}
