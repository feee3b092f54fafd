use super::*;
use crate::jwks::issuer::{IssuerServer, answer, key_set, ok};
use tempfile::NamedTempFile;

fn fetcher() -> Fetcher {
    Fetcher::new(AddressRule::new(vec![], true), None).unwrap()
}

fn kid(fetched: Result<Fetched<FetchedKeys>, FetchError>) -> String {
    fetched.unwrap().value.keys[0].kid.clone().unwrap()
}

#[tokio::test]
async fn keys_are_fetched_with_a_plain_get() {
    let issuer = IssuerServer::start(ok("a")).await;
    let uri = format!("http://localhost:{}/jwks?tenant=1", issuer.address.port());
    assert_eq!(kid(fetcher().fetch(&uri).await), "a");
    let requests = issuer.requests();
    let head = requests[0].as_str();
    assert!(head.starts_with("get /jwks?tenant=1 http/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("\r\nhost: localhost:{}\r\n", issuer.address.port())),
        "{head}"
    );
    for secret in ["authorization", "cookie"] {
        assert!(!head.contains(secret), "{head}");
    }
}

#[tokio::test]
async fn issuer_certificate_is_verified() {
    let (issuer, ca) = IssuerServer::start_tls(ok("a")).await;
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, ca).unwrap();
    let trusting = Fetcher::new(AddressRule::new(vec![], true), Some(file.path())).unwrap();
    let port = issuer.address.port();
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(
            kid(trusting.fetch(&format!("https://{host}:{port}/jwks")).await),
            "a"
        );
    }
    let heads = issuer.requests().len();
    let unknown = fetcher().fetch(&format!("https://localhost:{port}/jwks")).await;
    assert!(
        matches!(
            &unknown,
            Err(FetchError::Certificate(rustls::CertificateError::UnknownIssuer))
        ),
        "{unknown:?}"
    );
    // The system's resolver may not know the name; `127.0.0.2` is loopback, too, and not in the certificate.
    let other = trusting.fetch(&format!("https://127.0.0.2:{port}/jwks")).await;
    assert!(
        matches!(&other, Err(FetchError::Connect(_) | FetchError::Certificate(_))),
        "{other:?}"
    );
    assert_eq!(
        issuer.requests().len(),
        heads,
        "nothing is asked of who is not known"
    );
}

#[tokio::test]
async fn invalid_ca_file_is_rejected() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(
        &file,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    for path in [file.path(), Path::new("/nowhere/ca.pem")] {
        let error = Fetcher::new(AddressRule::new(vec![], true), Some(path)).unwrap_err();
        assert!(
            format!("{error:#}").contains(&path.display().to_string()),
            "{error:#}"
        );
    }
}

#[tokio::test]
async fn special_addresses_are_blocked() {
    let issuer = IssuerServer::start(ok("a")).await;
    let fetcher = Fetcher::new(AddressRule::new(vec![], false), None).unwrap();
    let port = issuer.address.port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let fetched = fetcher.fetch(&format!("http://{host}:{port}/jwks")).await;
        assert!(
            matches!(&fetched, Err(FetchError::Forbidden(_))),
            "{host}: {fetched:?}"
        );
    }
    let fetched = fetcher.fetch("http://169.254.169.254/latest/meta-data").await;
    let error = fetched.unwrap_err().to_string();
    assert!(
        error.contains("169.254.169.254") && error.contains("--jwks-allow-addresses"),
        "{error}"
    );
    assert_eq!(issuer.connections(), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = IssuerServer::start(ok("a")).await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let location = format!("location: {}\r\n", target.uri());
        let issuer = IssuerServer::start(answer(status, &location, "")).await;
        let fetched = fetcher().fetch(&issuer.uri()).await;
        assert!(matches!(&fetched, Err(FetchError::Redirect(_))), "{fetched:?}");
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn response_without_valid_keys_is_rejected() {
    let garbage = |body: &str| answer("200 OK", "", body);
    let gzip = answer("200 OK", "content-encoding: gzip\r\n", "....");
    let large = format!("{}{}", " ".repeat(jwks::MAX_SIZE), key_set("a"));
    let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let endless = [
        endless,
        b"10000\r\n".to_vec(),
        vec![b' '; 0x10000],
        b"\r\n".to_vec(),
    ]
    .concat();
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    let endless = [endless, chunk.repeat(8)].concat();
    let cases = [
        (answer("404 Not Found", "", &key_set("a")), "status 404"),
        (answer("500 Internal Server Error", "", ""), "status 500"),
        (answer("204 No Content", "", ""), "status 204"),
        (garbage("<html>"), "line 1, column 1: this is not JSON"),
        (garbage("{}"), "this is not a set of keys"),
        (garbage(r#"{"keys": []}"#), "no key can be used"),
        (
            garbage(r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#),
            "no key can be used",
        ),
        (gzip, "unsupported content-encoding"),
        (garbage(&large), "262144 bytes at most"),
        (endless, "262144 bytes at most"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc".to_vec(),
            "no complete response within 5s",
        ),
        (
            b"no HTTP at all\r\n\r\n".to_vec(),
            "the connection was closed before the response was complete",
        ),
    ];
    for (said, want) in cases {
        let issuer = IssuerServer::start(said).await;
        let error = fetcher().fetch(&issuer.uri()).await.unwrap_err().to_string();
        assert!(error.contains(want), "{error:?} is not {want:?}");
    }
}

#[tokio::test]
async fn silent_issuer_times_out() {
    let issuer = IssuerServer::start(vec![]).await;
    let started = std::time::Instant::now();
    let fetched = fetcher().fetch(&issuer.uri()).await;
    assert!(matches!(&fetched, Err(FetchError::TimedOut)), "{fetched:?}");
    assert!(started.elapsed() >= LONGEST);
}

#[tokio::test]
async fn connection_failure_is_reported() {
    let issuer = IssuerServer::start(vec![]).await;
    issuer.say(None);
    let closed = fetcher().fetch(&issuer.uri()).await;
    assert!(matches!(&closed, Err(FetchError::Broken)), "{closed:?}");
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = fetcher().fetch(&format!("http://{free}/")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot connect: connection refused");
}

#[test]
fn target_is_parsed_from_the_uri() {
    for (uri, want) in [
        ("https://a.com", "https://a.com/"),
        ("http://a.com/b?c", "http://a.com/b?c"),
        ("http://a.com?c", "http://a.com/?c"),
        ("https://[fd00::1]:8443/b", "https://[fd00::1]:8443/b"),
    ] {
        assert_eq!(target(uri).unwrap().to_string(), want);
    }
    for wrong in [
        "a.com/b",
        "/b",
        "ftp://a.com/",
        "https:///b",
        "https://u:p@a.com/",
        "http://a b/",
        "",
        "http://",
    ] {
        assert!(target(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn max_age_is_read_from_cache_control() {
    for (values, want) in [
        (&["public, max-age=21600, must-revalidate"][..], Some(21_600)),
        (&["Max-Age=\"60\""], Some(60)),
        (&["no-store"], None),
        (&["s-maxage=5"], None),
        (&["no-transform", "max-age=7"], Some(7)),
        (&["max-age=soon"], None),
        (&["max-age=-1"], None),
        (&[], None),
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CACHE_CONTROL, value.parse().unwrap());
        }
        assert_eq!(max_age(&headers), want.map(Duration::from_secs), "{values:?}");
    }
}
