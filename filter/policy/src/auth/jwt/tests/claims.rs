//! Checks of claims.

use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

const NO_HEADER: &str =
    "its header is not JSON with an algorithm that keys here can have, or says something twice";
const NO_CLAIMS: &str = "its claims are not a JSON object with each name once";

#[wasm_bindgen_test(unsupported = test)]
fn malformed_token_is_refused() {
    let good = sign(HEADER, CLAIMS);
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let parts = "it is not three parts of base64url";
    for (token, want) in [
        (good.clone(), ""),
        (String::new(), parts),
        (".".to_owned(), parts),
        ("..".to_owned(), NO_HEADER),
        (format!("{header}.{claims}"), parts),
        (format!("{header}.{claims}."), "its signature is wrong"),
        (format!("{header}..{signature}"), NO_CLAIMS),
        (format!(".{claims}.{signature}"), NO_HEADER),
        (format!("{good}."), parts),
        (format!("{good}.{signature}"), parts),
        (format!("{good}.{signature}.{signature}"), parts),
        (format!("{good}="), parts),
        (format!("{good}=="), parts),
        (format!("{good},{good}"), parts),
        (format!("{good} {good}"), parts),
        (format!("{header}.{claims}.+{signature}"), parts),
        (format!("{header}.{claims}.{}é", signature), parts),
        (
            good.replace(signature, &format!("{}B", signature.get(..85).unwrap())),
            parts,
        ),
        (
            format!("{header}.{}.{signature}", "A".repeat(17_000)),
            "it is longer than 16384 bytes",
        ),
    ] {
        assert_eq!(response(check(&jwt_of_one(""), &token)), want, "{token}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn token_header_selects_only_algorithm_and_key() {
    let critical = "its header has crit, and no extension is understood";
    for (header, want) in [
        ("", NO_HEADER),
        ("[]", NO_HEADER),
        ("{}", NO_HEADER),
        (r#""EdDSA""#, NO_HEADER),
        (r#"{"alg": "eddsa"}"#, NO_HEADER),
        (r#"{"alg": "none"}"#, NO_HEADER),
        (r#"{"alg": "None"}"#, NO_HEADER),
        (r#"{"alg": ""}"#, NO_HEADER),
        (r#"{"alg": null}"#, "its header's alg is not a text"),
        (r#"{"alg": ["EdDSA"]}"#, "its header's alg is not a text"),
        (r#"{"alg": "HS256", "kid": "one"}"#, NO_HEADER),
        (r#"{"alg": "HS512"}"#, NO_HEADER),
        (r#"{"alg": "ES256K"}"#, NO_HEADER),
        (r#"{"alg": "EdDSA", "alg": "none", "kid": "one"}"#, NO_HEADER),
        (r#"{"alg": "EdDSA", "kid": "one", "kid": "one"}"#, NO_HEADER),
        (r#"{"alg": "EdDSA", "x": 1, "x": 1}"#, NO_HEADER),
        (r#"{"alg": "EdDSA", "kid": 1}"#, "its header's kid is not a text"),
        (
            r#"{"alg": "EdDSA", "kid": null}"#,
            "its header's kid is not a text",
        ),
        (r#"{"alg": "EdDSA", "typ": 1}"#, "its header's typ is not a text"),
        (
            r#"{"alg": "EdDSA", "typ": null}"#,
            "its header's typ is not a text",
        ),
        (r#"{"alg": "EdDSA", "typ": "at+jwt"}"#, ""),
        (
            r#"{"alg": "EdDSA", "cty": ["JWT"]}"#,
            "its header's cty is not a text",
        ),
        (
            r#"{"alg": "EdDSA", "b64": false}"#,
            "its header's b64 is not true",
        ),
        (r#"{"alg": "EdDSA", "b64": null}"#, "its header's b64 is not true"),
        (r#"{"alg": "EdDSA", "b64": true}"#, ""),
        (r#"{"alg": "EdDSA", "kid": "one"} x"#, NO_HEADER),
        (
            r#"{"alg": "RS256", "kid": "one"}"#,
            "its key is not for its algorithm",
        ),
        (
            r#"{"alg": "EdDSA", "kid": "one", "crit": ["b64"], "b64": false}"#,
            critical,
        ),
        (r#"{"alg": "EdDSA", "kid": "one", "crit": []}"#, critical),
        (r#"{"alg": "EdDSA", "kid": "one", "crit": null}"#, critical),
        // A token does not choose the key that verifies it.
        (
            r#"{"alg": "EdDSA", "kid": "one", "jwk": {}, "jku": "https://evil", "x5c": []}"#,
            "",
        ),
        (
            r#"{"alg": "EdDSA", "kid": "../../dev/null"}"#,
            "it names no key that is here",
        ),
    ] {
        assert_eq!(
            response(check(&jwt_of_one(""), &sign(header, CLAIMS))),
            want,
            "{header}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn duplicate_claims_are_refused() {
    for claims in [
        &b""[..],
        b"[]",
        b"null",
        b"1",
        b"\"sub\"",
        b"{",
        b"{}x",
        b"{\"sub\": \"\xff\"}",
        b"\xef\xbb\xbf{}",
        br#"{"sub": "a", "sub": "b"}"#,
        br#"{"exp": 01}"#,
        br#"{"exp": +1}"#,
        br#"{"exp": .5}"#,
        br#"{"exp": 5.}"#,
        br#"{"exp": 1e}"#,
        br#"{"exp": NaN}"#,
        br#"{"exp": Infinity}"#,
        br#"{"exp": 0x10}"#,
        br#"{"sub": "a\ud800"}"#,
        br#"{1: 2}"#,
        br#"{"sub": "a",}"#,
    ] {
        let got = response(check(&jwt_of_one(""), &sign(HEADER, claims)));
        assert_eq!(got, NO_CLAIMS, "{}", String::from_utf8_lossy(claims));
    }
}

/// This holds even if no rule needs the claim.
#[wasm_bindgen_test(unsupported = test)]
fn nested_claims_must_be_json() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (value, want) in [
        (nested(100), ""),
        (nested(5_000), NO_CLAIMS),
        (r#"["\ud83d\ude00"]"#.to_owned(), ""),
        (r#"["\ud83d"]"#.to_owned(), NO_CLAIMS),
        (r#"{"b": 1e308}"#.to_owned(), ""),
        (r#"{"b": 1e400}"#.to_owned(), NO_CLAIMS),
    ] {
        let token = sign(HEADER, format!(r#"{{"a": {value}}}"#));
        assert_eq!(response(check(&jwt_of_one(""), &token)), want, "{value}");
    }
    let header = format!(r#"{{"alg": "EdDSA", "x": {}}}"#, nested(5_000));
    assert_eq!(
        response(check(&jwt_of_one(""), &sign(&header, CLAIMS))),
        NO_HEADER
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn issuer_audience_and_dates_are_checked() {
    let rules = r#", "issuer": "https://issuer.example", "audiences": ["shop", "cart"]"#;
    let (issuer, audience) = ("it is of another issuer", "it is for another audience");
    let now = NOW.as_secs();
    let who = r#""iss": "https://issuer.example", "aud": "shop""#;
    let with = |claim: &str, seconds: i64| {
        format!(
            r#"{{{who}, "{claim}": {}}}"#,
            i64::try_from(now).unwrap() + seconds
        )
    };
    for (claims, want) in [
        (format!("{{{who}}}"), ""),
        (CLAIMS.replace("\"shop\"", r#"["x", "cart"]"#), ""),
        (CLAIMS.replace("https", "http"), issuer),
        (CLAIMS.replace("example\"", "example/\""), issuer),
        (CLAIMS.replace("\"iss\"", "\"ISS\""), issuer),
        (CLAIMS.replace("\"shop\"", "\"shops\""), audience),
        (CLAIMS.replace("\"shop\"", "\"\""), audience),
        (CLAIMS.replace("\"shop\"", "[]"), audience),
        (CLAIMS.replace("\"aud\"", "\"audience\""), audience),
        (with("exp", 1), ""),
        (with("exp", 0), ""),
        (with("exp", -59), ""),
        (with("exp", -60), "it has expired"),
        (format!(r#"{{{who}, "exp": {}.999}}"#, now - 61), "it has expired"),
        (format!(r#"{{{who}, "exp": {}.001}}"#, now - 60), ""),
        (
            format!(r#"{{{who}, "nbf": {}.001}}"#, now + 60),
            "it is not valid yet",
        ),
        (format!(r#"{{{who}, "exp": {}.5}}"#, now + 60), ""),
        (format!(r#"{{{who}, "exp": 0}}"#), "it has expired"),
        (format!(r#"{{{who}, "exp": -1}}"#), "it has expired"),
        (format!(r#"{{{who}, "exp": {}}}"#, i64::MIN), "it has expired"),
        (format!(r#"{{{who}, "exp": {}}}"#, i64::MAX), ""),
        (with("nbf", 60), ""),
        (with("nbf", 61), "it is not valid yet"),
        (with("iat", 60), ""),
        (with("iat", 61), "it was issued in the future"),
        (
            format!(r#"{{{who}, "sub": "a\r\nx-admin: yes"}}"#),
            "its sub is nothing that a header can say",
        ),
        (
            format!(r#"{{{who}, "sub": "a\u0000"}}"#),
            "its sub is nothing that a header can say",
        ),
    ] {
        assert_eq!(
            response(check(&jwt_of_one(rules), &sign(HEADER, &claims))),
            want,
            "{claims}"
        );
    }
}

/// The time of the tests is 1795694400; an hour later is 1.795698e9.
#[wasm_bindgen_test(unsupported = test)]
fn dates_accept_any_number_notation() {
    let early = "it is not valid yet";
    let issued = "it was issued in the future";
    let expired = "it has expired";
    for (number, [nbf, iat, exp]) in [
        ("1.795698E9", [early, issued, ""]),
        ("1.795698e+9", [early, issued, ""]),
        ("1795698000.0", [early, issued, ""]),
        ("17956980000e-1", [early, issued, ""]),
        ("4.1E9", [early, issued, ""]),
        ("9.9e99", [early, issued, ""]),
        ("1e308", [early, issued, ""]),
        ("99999999999999999999", [early, issued, ""]),
        ("9223372036854775808", [early, issued, ""]),
        ("1.7956908E9", ["", "", expired]),
        ("1795690800.5", ["", "", expired]),
        ("0", ["", "", expired]),
        ("-0", ["", "", expired]),
        ("0.5", ["", "", expired]),
        ("-1", ["", "", expired]),
        ("-9.9e99", ["", "", expired]),
        ("1e-400", ["", "", expired]),
    ] {
        for (claim, want) in [("nbf", nbf), ("iat", iat), ("exp", exp)] {
            let claims = format!(r#"{{"{claim}": {number}}}"#);
            let got = response(check(&jwt_of_one(""), &sign(HEADER, &claims)));
            assert_eq!(got, want, "{claims}");
        }
    }
}

/// This holds even if no rule needs the claim.
#[wasm_bindgen_test(unsupported = test)]
fn registered_claim_of_wrong_type_is_refused() {
    let no_number = [
        "null",
        "true",
        "\"1795694400\"",
        "\"\"",
        "[]",
        "[1795694400]",
        "{}",
        "1e400",
        "-1e400",
        "1e99999999999999999999",
    ];
    let no_text = ["null", "true", "1", "[]", "[\"a\"]", "{}"];
    let no_texts = [
        "null",
        "true",
        "1",
        "{\"shop\": \"shop\"}",
        "[\"shop\", 1]",
        "[[\"shop\"]]",
        "[null]",
    ];
    for (names, values, kind) in [
        (&["exp", "nbf", "iat"][..], &no_number[..], "a finite number"),
        (&["iss", "sub", "jti"], &no_text, "a text"),
        (&["aud"], &no_texts, "a text or a list of texts"),
    ] {
        for (name, value) in names
            .iter()
            .flat_map(|name| values.iter().map(move |value| (name, value)))
        {
            let claims = format!(r#"{{"{name}": {value}}}"#);
            let got = response(check(&jwt_of_one(""), &sign(HEADER, &claims)));
            assert_eq!(got, format!("its claim {name} is not {kind}"), "{claims}");
        }
    }
}

/// A rule, claims, and true if they meet it.
const REQUIRED: &[(&str, &str, bool)] = &[
    (r#"{"claim": "role"}"#, r#"{"role": "x"}"#, true),
    (r#"{"claim": "role"}"#, r#"{"role": false}"#, true),
    (r#"{"claim": "role"}"#, r#"{"role": null}"#, false),
    (r#"{"claim": "role"}"#, r#"{"role": []}"#, false),
    (r#"{"claim": "role"}"#, r#"{"Role": "x"}"#, false),
    (r#"{"claim": "exp"}"#, r#"{}"#, false),
    (
        r#"{"claim": "role", "values": ["a", "b"]}"#,
        r#"{"role": "b"}"#,
        true,
    ),
    (
        r#"{"claim": "role", "values": ["a", "b"]}"#,
        r#"{"role": ["x", "a"]}"#,
        true,
    ),
    (
        r#"{"claim": "role", "values": ["a", "b"]}"#,
        r#"{"role": "a b"}"#,
        false,
    ),
    (
        r#"{"claim": "role", "values": ["a", "b"]}"#,
        r#"{"role": "A"}"#,
        false,
    ),
    (
        r#"{"claim": "role", "values": ["a", "b"]}"#,
        r#"{"role": [["a"]]}"#,
        false,
    ),
    (
        r#"{"claim": "role", "values": ["a", "b"]}"#,
        r#"{"role": {"a": "b"}}"#,
        false,
    ),
    (
        r#"{"claim": "role", "values": ["a"]}"#,
        r#"{"role": "\u0061"}"#,
        true,
    ),
    (r#"{"claim": "level", "values": ["3"]}"#, r#"{"level": 3}"#, true),
    (
        r#"{"claim": "admin", "values": ["true"]}"#,
        r#"{"admin": true}"#,
        true,
    ),
    (
        r#"{"claim": "admin", "values": ["null"]}"#,
        r#"{"admin": null}"#,
        false,
    ),
    (
        r#"{"claim": "scope", "values": ["write"]}"#,
        r#"{"scope": "read write"}"#,
        true,
    ),
    (
        r#"{"claim": "scp", "values": ["write"]}"#,
        r#"{"scp": "read write"}"#,
        true,
    ),
    (
        r#"{"claim": "scope", "values": ["write"]}"#,
        r#"{"scope": "read writer"}"#,
        false,
    ),
    (
        r#"{"claim": "scope", "values": ["read write"]}"#,
        r#"{"scope": "read write"}"#,
        false,
    ),
    (r#"{"claim": "scope"}"#, r#"{"scope": " "}"#, false),
    (r#"{"claim": "scope"}"#, r#"{"scope": 1}"#, false),
    (r#"{"claim": "scope"}"#, r#"{"scope": {"write": true}}"#, false),
    (r#"{"claim": "scope"}"#, r#"{"scope": [null, 1]}"#, false),
    (
        r#"{"claim": "scope", "values": ["write"]}"#,
        r#"{"scope": ["read", "write"]}"#,
        true,
    ),
    (
        r#"{"claim": "scope", "values": ["write"]}"#,
        r#"{"scope": ["read write"]}"#,
        false,
    ),
    (
        r#"{"claim": "level", "values": ["3"]}"#,
        r#"{"level": 3.0}"#,
        true,
    ),
    (
        r#"{"claim": "level", "values": ["3"]}"#,
        r#"{"level": 0.3e1}"#,
        true,
    ),
    (
        r#"{"claim": "level", "values": ["3"]}"#,
        r#"{"level": [2, 3e0]}"#,
        true,
    ),
    (
        r#"{"claim": "level", "values": ["3"]}"#,
        r#"{"level": 3.0000000000000000001}"#,
        false,
    ),
    (
        r#"{"claim": "level", "values": ["3"]}"#,
        r#"{"level": "3.0"}"#,
        false,
    ),
    (r#"{"claim": "level"}"#, r#"{"level": 1e400}"#, false),
    (
        r#"{"claim": "role", "values": ["null"]}"#,
        r#"{"role": [null]}"#,
        false,
    ),
    (
        r#"{"claim": "realm.roles", "values": ["a"]}"#,
        r#"{"realm": {"roles": ["a"]}}"#,
        true,
    ),
    (
        r#"{"claim": "realm.roles", "values": ["a"]}"#,
        r#"{"realm": {"role": ["a"]}}"#,
        false,
    ),
    (
        r#"{"claim": "realm.roles", "values": ["a"]}"#,
        r#"{"realm": "roles"}"#,
        false,
    ),
    (
        r#"{"claim": "https://a.b/c", "values": ["a"]}"#,
        r#"{"https://a.b/c": "a"}"#,
        true,
    ),
];

#[wasm_bindgen_test(unsupported = test)]
fn required_claims_are_checked() {
    for (rule, claims, is_there) in REQUIRED {
        let got = response(check(
            &jwt_of_one(&format!(r#", "requiredClaims": [{rule}]"#)),
            &sign(HEADER, claims),
        ));
        assert_eq!(got.is_empty(), *is_there, "{rule} {claims}: {got}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn claims_to_headers_sets_only_claims() {
    let claims = r#"{"text": "ä b", "number": -1.50, "yes": true, "none": null, "list": ["a", 1], "object": {"in": {"side": "x"}},
        "empty": "", "split": "a\r\nx-admin: yes", "nul": "\u0000"}"#;
    let names = [
        "text",
        "number",
        "yes",
        "none",
        "list",
        "object",
        "object.in.side",
        "empty",
        "split",
        "nul",
        "absent",
    ];
    let headers: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(at, claim)| format!(r#"{{"claim": {claim:?}, "header": "x-{at}"}}"#))
        .collect();
    let requirement = jwt_of_one(&format!(r#", "claimsToHeaders": [{}]"#, headers.join(",")));
    let AuthOutcome::Pass(Pass { headers, identity }) = check(&requirement, &sign(HEADER, claims)) else {
        panic!("refused");
    };
    let got: Vec<_> = headers
        .request
        .set
        .iter()
        .map(|header| (header.name.as_str(), header.value.as_str()))
        .collect();
    let object = Base64::encode_string(br#"{"in": {"side": "x"}}"#);
    let list = Base64::encode_string(br#"["a", 1]"#);
    let want = [
        ("x-0", "ä b"),
        ("x-1", "-1.5"),
        ("x-2", "true"),
        ("x-4", &list),
        ("x-5", &object),
        ("x-6", "x"),
    ];
    assert_eq!(got, want);
    assert!(
        headers.request.add.is_empty() && headers.request.remove.is_empty() && headers.response.is_empty()
    );
    assert_eq!(requirement.protected().headers.len(), names.len());
    let claims = identity.unwrap().claims.unwrap();
    let said: Vec<_> = names.iter().map(|name| claims.text(name)).collect();
    let text = |text: &str| Some(text.to_owned());
    let want = [
        text("ä b"),
        text("-1.5"),
        text("true"),
        None,
        text(r#"["a", 1]"#),
        text(r#"{"in": {"side": "x"}}"#),
        text("x"),
        text(""),
        text("a\r\nx-admin: yes"),
        text("\0"),
        None,
    ];
    assert_eq!(said, want);
}

#[wasm_bindgen_test(unsupported = test)]
fn claims_to_headers_refuses_reserved_headers() {
    for name in [
        "X-User",
        "host",
        ":path",
        "x-switchyard-route",
        "x-envoy-retry-on",
        "transfer-encoding",
        "a b",
        "",
    ] {
        let rules = format!(r#", "claimsToHeaders": [{{"claim": "sub", "header": {name:?}}}]"#);
        let want =
            format!("jwt.claimsToHeaders: {name:?} is no header name in lower case that a check may have");
        assert_eq!(parse_error(&jwt(&[], &rules)), want);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn challenge_does_not_reveal_reason() {
    for (authorization, want) in [
        ("", CHALLENGE),
        ("Basic YTpi", CHALLENGE),
        ("bearer a.b.c", CHALLENGE_INVALID),
        ("BEARER x", CHALLENGE_INVALID),
    ] {
        let outcome = crate::auth::tests::check(&jwt_of_one(""), &[("authorization", authorization)]);
        let AuthOutcome::Fail(AuthFailure { response, .. }) = outcome else {
            panic!("passed");
        };
        assert_eq!(
            response,
            crate::auth::FailureResponse::Unauthorized(vec![want.to_owned()]),
            "{authorization}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn expired_keys_are_not_trusted() {
    let token = sign(HEADER, CLAIMS);
    let cache = AuthCache::new(b"");
    for (expire, want) in [
        (NOW.as_secs() + 1, Ok("jwt alice".to_owned())),
        (
            NOW.as_secs(),
            Err("503 the keys that tokens are signed with are too old to be trusted".to_owned()),
        ),
        (
            0,
            Err("503 the keys that tokens are signed with are too old to be trusted".to_owned()),
        ),
    ] {
        let requirement = jwt_of_one(&format!(r#", "keysExpire": {expire}"#));
        assert_eq!(
            summary(check_with(&requirement, &token, &Proxy::default(), &cache)),
            want,
            "{expire}"
        );
    }
}
