use crate::auth::tests::{check_at, parse_error, requirement, summary};
use wasm_bindgen_test::wasm_bindgen_test;

fn is_allowed(ip: &str, address: &str) -> bool {
    let requirement = requirement(&format!(r#"{{"ip": {ip}}}"#));
    let outcome = check_at(&requirement, &[], address);
    match summary(outcome) {
        Ok(identity) => identity.is_empty(),
        Err(response) => {
            assert_eq!(response, "403 the address is not allowed");
            false
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn addresses_match_by_prefix_length() {
    for (ip, address, want) in [
        (r#"{"allow": ["10.0.0.0/8"]}"#, "10.255.255.255", true),
        (r#"{"allow": ["10.0.0.0/8"]}"#, "11.0.0.0", false),
        (r#"{"allow": ["10.1.2.3/8"]}"#, "10.9.9.9", true),
        (r#"{"allow": ["192.0.2.128/25"]}"#, "192.0.2.128", true),
        (r#"{"allow": ["192.0.2.128/25"]}"#, "192.0.2.127", false),
        (r#"{"allow": ["192.0.2.1"]}"#, "192.0.2.1", true),
        (r#"{"allow": ["192.0.2.1"]}"#, "192.0.2.2", false),
        (r#"{"allow": ["0.0.0.0/0"]}"#, "203.0.113.9", true),
        (r#"{"allow": ["2001:db8::/33"]}"#, "2001:db8:7fff::1", true),
        (r#"{"allow": ["2001:db8::/33"]}"#, "2001:db8:8000::1", false),
        (r#"{"allow": ["2001:db8::1"]}"#, "2001:db8::1", true),
        (r#"{"allow": ["2001:db8::1"]}"#, "2001:db8::2", false),
        (r#"{"allow": ["::/0"]}"#, "2001:db8::2", true),
    ] {
        assert_eq!(is_allowed(ip, address), want, "{ip} {address}");
    }
}

/// The host is the same, whichever socket it connected to.
#[wasm_bindgen_test(unsupported = test)]
fn mapped_ipv4_address_counts_as_ipv4() {
    for (ip, address, want) in [
        (r#"{"allow": ["10.0.0.0/8"]}"#, "::ffff:10.1.2.3", true),
        (r#"{"deny": ["10.0.0.0/8"]}"#, "::ffff:10.1.2.3", false),
        (r#"{"deny": ["::ffff:10.0.0.0/104"]}"#, "10.1.2.3", false),
        (r#"{"deny": ["::ffff:10.0.0.0/104"]}"#, "11.1.2.3", true),
        (r#"{"allow": ["::ffff:10.1.2.3"]}"#, "10.1.2.3", true),
        // A range of all IPv6 addresses does not include IPv4, even if a kernel maps it to IPv6.
        (r#"{"allow": ["::/0"]}"#, "10.1.2.3", false),
        (r#"{"allow": ["::/0"]}"#, "::ffff:10.1.2.3", false),
        (r#"{"allow": ["0.0.0.0/0"]}"#, "::1", false),
        // An "IPv4-compatible" address, which nobody has, is not IPv4.
        (r#"{"allow": ["10.0.0.0/8"]}"#, "::10.1.2.3", false),
    ] {
        assert_eq!(is_allowed(ip, address), want, "{ip} {address}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn deny_takes_precedence_over_allow() {
    let ip = r#"{"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}"#;
    for (address, want) in [("10.2.0.1", true), ("10.1.0.1", false), ("11.1.0.1", false)] {
        assert_eq!(is_allowed(ip, address), want, "{address}");
    }
    let same = r#"{"allow": ["10.0.0.0/8"], "deny": ["10.0.0.0/8"]}"#;
    assert!(!is_allowed(same, "10.0.0.1"));
}

#[wasm_bindgen_test(unsupported = test)]
fn client_without_address_is_refused() {
    for ip in [
        r#"{"allow": ["0.0.0.0/0", "::/0"]}"#,
        r#"{"deny": ["10.0.0.0/8"]}"#,
    ] {
        assert!(!is_allowed(ip, "unix:/run/envoy.sock"), "{ip}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn invalid_range_is_refused() {
    for text in [
        "",
        "/",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0/8",
        "10.0.0.0 /8",
        "010.0.0.0/8",
        "0xa.0.0.0/8",
        "2001:db8::/129",
        "2001:db8::%eth0/64",
        "[2001:db8::1]",
        "10.0.0.1:80",
        "any",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/99999999999",
    ] {
        let want =
            format!("ip.deny[1]: {text:?} is no CIDR, such as 10.0.0.0/8 or 2001:db8::/32, and no address");
        assert_eq!(
            parse_error(&format!(r#"{{"ip": {{"deny": ["::1", {text:?}]}}}}"#)),
            want
        );
    }
    assert_eq!(parse_error(r#"{"ip": {}}"#), "ip: neither allow nor deny");
}
