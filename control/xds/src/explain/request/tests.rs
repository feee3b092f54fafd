use super::*;

#[test]
fn a_url_is_a_request() {
    for (url, scheme, authority, host, target) in [
        ("bar.com", Scheme::Http, "bar.com", "bar.com", "/"),
        ("bar.com/", Scheme::Http, "bar.com", "bar.com", "/"),
        (
            "Bar.COM:8080/a/b?c=/d",
            Scheme::Http,
            "Bar.COM:8080",
            "bar.com",
            "/a/b?c=/d",
        ),
        ("http://bar.com?x", Scheme::Http, "bar.com", "bar.com", "/?x"),
        ("HTTPS://bar.com./a", Scheme::Https, "bar.com.", "bar.com", "/a"),
        ("[::1]:80/x", Scheme::Http, "[::1]:80", "[::1]", "/x"),
        ("[::1]/x", Scheme::Http, "[::1]", "[::1]", "/x"),
        (
            "bar.com//a/../b\\c",
            Scheme::Http,
            "bar.com",
            "bar.com",
            "//a/../b\\c",
        ),
    ] {
        let request = Request::get(url).unwrap();
        assert_eq!(
            (
                request.scheme,
                &*request.authority,
                &*request.host(),
                &*request.target
            ),
            (scheme, authority, host, target),
            "{url}"
        );
    }
}

#[test]
fn what_no_client_can_send_is_told() {
    let cases = [
        (
            "",
            r#""": there is no host: write HOST/PATH or https://HOST/PATH, such as www.example.com/cart"#,
        ),
        (
            "/cart",
            r#""/cart": there is no host: write HOST/PATH or https://HOST/PATH, such as www.example.com/cart"#,
        ),
        (
            "http:///cart",
            r#""http:///cart": there is no host: write HOST/PATH or https://HOST/PATH, such as www.example.com/cart"#,
        ),
        (
            ":80/",
            r#"":80/": there is no host: write HOST/PATH or https://HOST/PATH, such as www.example.com/cart"#,
        ),
        (
            "ftp://bar.com/",
            r#""ftp://bar.com/": the scheme must be http or https: write HOST/PATH or https://HOST/PATH, such as www.example.com/cart"#,
        ),
        (
            "me:pw@bar.com/",
            r#""me:pw@bar.com/": user names and passwords are headers of their own: write HOST/PATH or https://HOST/PATH, such as www.example.com/cart"#,
        ),
        ("b ar.com/", r#""b ar.com" is no host name, nor an address"#),
        ("*.bar.com/", r#""*.bar.com" is no host name, nor an address"#),
        ("[::x]/", r#""[::x]" is no host name, nor an address"#),
        (
            "bar.com:http/",
            r#""bar.com:http": the port must be a number up to 65535"#,
        ),
        (
            "bar.com:65536/",
            r#""bar.com:65536": the port must be a number up to 65535"#,
        ),
        (
            "bar.com/a#b",
            r##""/a#b": what comes after a # is never sent: leave it out"##,
        ),
        ("bar.com/a b", r#""/a b": ' ' must be percent-encoded"#),
        ("bar.com/ü", r#""/ü": 'ü' must be percent-encoded"#),
    ];
    for (url, want) in cases {
        assert_eq!(Request::get(url).unwrap_err().to_string(), want, "{url}");
    }
}

#[test]
fn methods_and_headers_are_looked_at() {
    let request = || Request::get("bar.com").unwrap();
    assert_eq!(request().method("PURGE").unwrap().method, "PURGE");
    let error = |method| request().method(method).unwrap_err().to_string();
    assert_eq!(error("G T"), r#""G T" is no method, such as GET"#);
    assert_eq!(error(""), r#""" is no method, such as GET"#);
    assert_eq!(
        error("CONNECT"),
        "CONNECT asks for a tunnel, of which the proxy opens none"
    );
    let with = request().header("X-A:  b: c ").unwrap().header("x-a:").unwrap();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(with.headers, [header("x-a", "b: c"), header("x-a", "")]);
    for (line, want) in [
        (
            "x-a",
            "a header is written as 'Name: value', and one of these has no colon",
        ),
        (":path: /x", r#""" is no name of a header"#),
        ("x a: b", r#""x a" is no name of a header"#),
        (
            "x-a: b\r\nx-b: c",
            "x-a: its value has a character that no header can say",
        ),
        ("Host: bar.com", "host: the host is that of HOST/PATH"),
    ] {
        assert_eq!(request().header(line).unwrap_err().to_string(), want);
    }
}
