use super::{path::Plain, *};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::PathWithEscapedSlashesAction as Escaped;

/// As the translator has it.
fn manager() -> HttpConnectionManager {
    let proxy = Proxy::of(&HostSnapshot::default(), &Settings::default());
    let listener = &proxy.listeners[listener::HTTP];
    let Some(ConfigType::TypedConfig(config)) = &listener.filter_chains[0].filters[0].config_type else {
        panic!("no manager");
    };
    unpacked(config).unwrap()
}

fn plain(target: &str) -> Plain {
    path::plain(target, &manager())
}

/// What Envoy makes of them is asked by the end-to-end tests, of the same list and more.
#[test]
fn a_path_is_made_plain_as_the_listener_says() {
    for (target, want) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/.", "/a/"),
        ("/a/b/..", "/a/"),
        ("/../..", "/"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/%2E./b", "/b"),
        ("/a/..;/b", "/b"),
        ("//a///b//", "/a/b/"),
        ("////", "//"),
        ("/a\\b\\..\\c", "/a/c"),
        ("/%61%7e", "/a~"),
        ("/a;b=c/d", "/a;b=c/d"),
        ("/a%20b%zz%", "/a%20b%zz%"),
        ("/a\"<b>^`{|}", "/a%22%3Cb%3E%5E%60%7B%7C%7D"),
        ("/a?x=/../y//z%2f", "/a?x=/../y//z%2f"),
    ] {
        assert_eq!(plain(target), Plain::Path(want.to_owned()), "{target}");
    }
    for (target, want) in [("/a%2fb", "/a/b"), ("/a%5Cb?x", "/a/b?x"), ("/a%2F..%2fb", "/b")] {
        assert_eq!(plain(target), Plain::Redirect(want.to_owned()), "{target}");
    }
    assert_eq!(plain("/a%00"), Plain::Refused);
}

#[test]
fn what_the_listener_does_not_say_is_not_done() {
    let as_it_is = HttpConnectionManager::default();
    for target in ["/a/../b", "//a", "/a%2fb", "/%61"] {
        assert_eq!(path::plain(target, &as_it_is), Plain::Path(target.to_owned()));
    }
    let rejecting = HttpConnectionManager {
        path_with_escaped_slashes_action: Escaped::RejectRequest.into(),
        ..manager()
    };
    assert_eq!(path::plain("/a%2fb", &rejecting), Plain::Refused);
}

#[test]
fn a_host_is_known_without_its_port_and_its_dot() {
    for (authority, want) in [
        ("bar.com", "bar.com"),
        ("Bar.Com:80", "bar.com"),
        ("bar.com.", "bar.com"),
        ("bar.com.:8080", "bar.com"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
        ("bar.com:", "bar.com:"),
    ] {
        assert_eq!(host_of(authority), want, "{authority}");
    }
}

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    let proxy = Proxy::of(&HostSnapshot::default(), &Settings::default());
    let Connection::Http(manager) = proxy.plain() else {
        panic!("no manager");
    };
    let headers = [
        (":authority", "bar.com."),
        (":path", "/a/../b"),
        (":scheme", "http"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-envoy-retry-on", "5xx"),
        ("x-switchyard-user", "root"),
        ("x-switchyard-route", "forward"),
        ("upgrade", "websocket"),
        ("x-own", "stays"),
        ("x-own", "twice"),
        ("authorization", "Basic a"),
        ("authorization", "Basic b"),
    ];
    let Arrival::Plain(arrived) = manager.arrive(Headers::new(headers), [192, 0, 2, 7].into()) else {
        panic!("refused");
    };
    let mut arrived = arrived.0;
    arrived.sort();
    let want = [
        (":authority", "bar.com"),
        (":path", "/b"),
        (":scheme", "http"),
        ("authorization", "Basic a,Basic b"),
        ("x-envoy-external-address", "192.0.2.7"),
        ("x-forwarded-for", "10.0.0.1,192.0.2.7"),
        ("x-forwarded-proto", "http"),
        ("x-own", "stays"),
        ("x-own", "twice"),
    ];
    assert_eq!(Headers(arrived), Headers::new(want));
}

#[test]
fn who_is_connected_is_believed_as_far_as_it_is_trusted() {
    let connected: std::net::IpAddr = [192, 0, 2, 7].into();
    for (hops, lines, want) in [
        (0, &["10.0.0.1"][..], "192.0.2.7"),
        (1, &[], "192.0.2.7"),
        (1, &["10.0.0.1"], "10.0.0.1"),
        (1, &["10.0.0.1, 10.0.0.2"], "10.0.0.2"),
        (1, &["10.0.0.1", "10.0.0.2"], "10.0.0.2"),
        (1, &["10.0.0.1,"], "192.0.2.7"),
        (1, &["10.0.0.1, unknown"], "192.0.2.7"),
        (2, &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        (2, &["10.0.0.1"], "192.0.2.7"),
        (1, &["::1"], "::1"),
    ] {
        let settings = Settings {
            xff_trusted_hops: hops,
            ..Settings::default()
        };
        let proxy = Proxy::of(&HostSnapshot::default(), &settings);
        let Connection::Http(manager) = proxy.plain() else {
            panic!("no manager");
        };
        let headers = lines.iter().map(|line| ("x-forwarded-for", *line));
        let headers = Headers::new(
            [
                (":path", "/"),
                (":scheme", "http"),
                ("x-forwarded-proto", "https"),
            ]
            .into_iter()
            .chain(headers),
        );
        assert_eq!(
            manager.client(&headers, connected).to_string(),
            want,
            "{hops} {lines:?}"
        );
        let Arrival::Plain(arrived) = manager.arrive(headers, connected) else {
            panic!("refused");
        };
        assert_eq!(arrived.get("x-envoy-external-address"), Some(want));
        let scheme = if hops > 0 { "https" } else { "http" };
        assert_eq!(arrived.get("x-forwarded-proto"), Some(scheme));
    }
}
