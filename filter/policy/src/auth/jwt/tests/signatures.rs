//! Verification of signatures.

use super::*;
use crate::auth::check_key;
use spki::{
    AlgorithmIdentifierRef, SubjectPublicKeyInfoRef,
    der::{
        Encode,
        asn1::{AnyRef, BitStringRef, UintRef},
    },
};
use wasm_bindgen_test::wasm_bindgen_test;

fn fitting(spki: &str) -> AuthRequirement {
    let all = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ];
    let fits = |algorithm: &&&str| {
        let json = jwt(&[key("", &format!("[{algorithm:?}]"), spki)], "");
        AuthRequirement::try_from(policy::Requirement {
            any_of: vec![crate::config::parse::parse(json.as_bytes()).unwrap()],
        })
        .is_ok()
    };
    let algorithms: Vec<_> = all.iter().filter(fits).collect();
    requirement(&jwt(&[key("", &format!("{algorithms:?}"), spki)], ""))
}

#[wasm_bindgen_test(unsupported = test)]
fn tokens_of_other_implementations_verify() {
    let vectors = vectors();
    let host = host(&vectors);
    for Good { alg, key, token, .. } in &vectors.good {
        let requirement = fitting(vectors.spki(key));
        let outcome = check_with(&requirement, token, &host, &AuthCache::new(b""));
        assert_eq!(summary(outcome), Ok("jwt alice".to_owned()), "{alg:?} {key}");
    }
    let algorithms: std::collections::BTreeSet<_> = vectors.good.iter().map(|good| good.alg).collect();
    assert_eq!(algorithms.len(), 10);
}

#[wasm_bindgen_test(unsupported = test)]
fn any_flipped_bit_invalidates_token() {
    let vectors = vectors();
    let host = host(&vectors);
    for Good { alg, key, token, .. } in &vectors.good {
        let requirement = fitting(vectors.spki(key));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = Base64UrlUnpadded::decode_vec(signature).unwrap();
        for at in (0..signature.len()).step_by(23).chain([signature.len() - 1]) {
            let mut bent = signature.clone();
            *bent.get_mut(at).unwrap() ^= 1 << (at % 8);
            let outcome = check_with(
                &requirement,
                &format!("{signed}.{}", encode(bent)),
                &host,
                &AuthCache::new(b""),
            );
            assert_eq!(response(outcome), "its signature is wrong", "{alg:?} {key} {at}");
        }
        for other in [
            vec![],
            signature.iter().skip(1).copied().collect(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
        ] {
            let outcome = check_with(
                &requirement,
                &format!("{signed}.{}", encode(other)),
                &host,
                &AuthCache::new(b""),
            );
            assert_eq!(response(outcome), "its signature is wrong", "{alg:?} {key}");
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn invalid_signatures_are_refused() {
    let vectors = vectors();
    let host = host(&vectors);
    for Bad {
        what,
        alg,
        key,
        token,
    } in &vectors.bad
    {
        let outcome = check_with(&fitting(vectors.spki(key)), token, &host, &AuthCache::new(b""));
        let want = match alg.as_str() {
            "HS256" | "none" => {
                "its header is not JSON with an algorithm that keys here can have, or says something twice"
            }
            _ => "its signature is wrong",
        };
        assert_eq!(response(outcome), want, "{what}");
    }
}

/// The token is refused even if its signature is right by its own algorithm.
#[wasm_bindgen_test(unsupported = test)]
fn key_determines_its_algorithms() {
    let vectors = vectors();
    let host = host(&vectors);
    for Good {
        alg,
        key: name,
        token,
        ..
    } in &vectors.good
    {
        let others = match alg {
            Algorithm::RS256 => r#"["RS384", "RS512", "PS256"]"#,
            Algorithm::PS256 => r#"["RS256", "PS384", "PS512"]"#,
            _ => continue,
        };
        let requirement = requirement(&jwt(&[key("", others, vectors.spki(name))], ""));
        let outcome = check_with(&requirement, token, &host, &AuthCache::new(b""));
        assert_eq!(response(outcome), "its key is not for its algorithm", "{alg:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn unusable_key_is_reported() {
    let vectors = vectors();
    let spki = |name| vectors.spki(name);
    let no_key = "jwt.keys[0]: it is no key in base64 of RSA, of EC on P-256, P-384 or P-521, or of Ed25519 (SubjectPublicKeyInfo)";
    let ed25519 = spki("ed25519");
    let cut = ed25519.get(..ed25519.len() - 4).unwrap();
    let small_order = "MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (encoded, algorithms, want) in [
        (ed25519, "[]", "jwt.keys[0]: there are no algorithms for it"),
        (
            ed25519,
            r#"["EdDSA", "ES256"]"#,
            "jwt.keys[0]: ES256 does not go with such a key",
        ),
        (
            spki("rsa2048"),
            r#"["EdDSA"]"#,
            "jwt.keys[0]: EdDSA does not go with such a key",
        ),
        (
            spki("rsa2048"),
            r#"["RS256", "ES256"]"#,
            "jwt.keys[0]: ES256 does not go with such a key",
        ),
        (
            spki("p256"),
            r#"["RS256"]"#,
            "jwt.keys[0]: RS256 does not go with such a key",
        ),
        (
            spki("p256"),
            r#"["ES384"]"#,
            "jwt.keys[0]: ES384 does not go with such a key",
        ),
        (
            spki("p384"),
            r#"["ES256"]"#,
            "jwt.keys[0]: ES256 does not go with such a key",
        ),
        (
            spki("p521"),
            r#"["ES384"]"#,
            "jwt.keys[0]: ES384 does not go with such a key",
        ),
        (
            spki("rsa1024"),
            r#"["RS256"]"#,
            "jwt.keys[0]: it is of RSA with 1024 bits: it must have 2048 to 4096",
        ),
        (
            spki("rsa4104"),
            r#"["RS256"]"#,
            "jwt.keys[0]: it is of RSA with 4104 bits: it must have 2048 to 4096",
        ),
        (spki("k256"), r#"["ES256"]"#, no_key),
        (small_order, r#"["EdDSA"]"#, no_key),
        (cut, r#"["EdDSA"]"#, no_key),
        (&format!("{ed25519}AAAA"), r#"["EdDSA"]"#, no_key),
        ("", r#"["EdDSA"]"#, no_key),
        ("LS0t", r#"["EdDSA"]"#, no_key),
        ("-----BEGIN PUBLIC KEY-----", r#"["EdDSA"]"#, no_key),
    ] {
        assert_eq!(
            parse_error(&jwt(&[key("a", algorithms, encoded)], "")),
            want,
            "{encoded} {algorithms}"
        );
    }
}

/// `SubjectPublicKeyInfo` of these numbers.
fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> String {
    let numbers = [modulus, exponent].map(|number| UintRef::new(number).unwrap());
    let key = numbers.to_der().unwrap();
    let info = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef {
            oid: rsa::pkcs1::ALGORITHM_OID,
            parameters: Some(AnyRef::NULL),
        },
        subject_public_key: BitStringRef::from_bytes(&key).unwrap(),
    };
    Base64::encode_string(&info.to_der().unwrap())
}

#[wasm_bindgen_test(unsupported = test)]
fn rsa_key_needs_odd_modulus_and_small_odd_exponent() {
    let odd = [0xff; 256];
    let even = [&[0xff; 255][..], &[0xfe]].concat();
    for (modulus, exponent, is_key) in [
        (&odd[..], &[3][..], true),
        (&odd, &[1, 0, 1], true),
        (&odd, &[1, 0xff, 0xff, 0xff, 0xff], true),
        (&odd, &[2, 0, 0, 0, 1], false),
        (&odd, &[0xff; 9], false),
        (&odd, &odd, false),
        (&odd, &[4], false),
        (&odd, &[1], false),
        (&odd, &[0], false),
        (&even, &[3], false),
    ] {
        let algorithms = vec![Algorithm::PS256];
        let spki = rsa_spki(modulus, exponent);
        let key = policy::Key {
            kid: None,
            algorithms,
            spki,
        };
        assert_eq!(check_key(&key).is_ok(), is_key, "{exponent:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn key_integers_must_be_canonical_der() {
    let spki = Base64::decode_vec(&rsa_spki(&[0xff; 256], &[1, 0, 1])).unwrap();
    let exponent_at = spki.len() - 3;
    for (bytes, is_key) in [
        ([1, 0, 1], true),
        ([0, 0x80, 1], true),
        ([0, 0, 3], false),
        ([0x80, 0, 1], false),
    ] {
        let mut spki = spki.clone();
        spki.splice(exponent_at.., bytes);
        let key = policy::Key {
            kid: None,
            algorithms: vec![Algorithm::PS256],
            spki: Base64::encode_string(&spki),
        };
        assert_eq!(check_key(&key).is_ok(), is_key, "{bytes:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn token_is_tried_with_every_matching_key() {
    let one = || key("one", r#"["EdDSA"]"#, &spki(&signing_key()));
    let other = |kid| key(kid, r#"["EdDSA"]"#, &spki(&SigningKey::from_bytes(&[8; 32])));
    let nameless = || key("", r#"["EdDSA"]"#, &spki(&signing_key()));
    let unknown = "it names no key that is here";
    let wrong = "its signature is wrong";
    for (keys, kid, want) in [
        (vec![one(), other("two")], r#", "kid": "one""#, ""),
        (vec![other("two"), one()], r#", "kid": "one""#, ""),
        (vec![one(), other("two")], r#", "kid": "two""#, wrong),
        (vec![one(), other("two")], r#", "kid": "three""#, unknown),
        (vec![one(), other("two")], r#", "kid": "One""#, unknown),
        (vec![one(), other("two")], r#", "kid": """#, unknown),
        (vec![one(), other("two")], "", ""),
        (vec![other("two"), one()], "", ""),
        (vec![other("two"), other("three")], "", wrong),
        // A rotation that kept the name.
        (vec![other("one"), one()], r#", "kid": "one""#, ""),
        (vec![one()], "", ""),
        (vec![other("one")], "", wrong),
        (vec![nameless(), other("two")], "", ""),
        (vec![nameless(), other("two")], r#", "kid": "one""#, ""),
        (vec![nameless(), other("two")], r#", "kid": "two""#, ""),
        (vec![other(""), other("two")], r#", "kid": "one""#, wrong),
        // As many as a set may have.
        ([vec![other(""); 99], vec![nameless()]].concat(), "", ""),
        ([vec![other("two"); 99], vec![one()]].concat(), "", ""),
        (vec![], r#", "kid": "one""#, unknown),
    ] {
        let token = sign(&format!(r#"{{"alg": "EdDSA"{kid}}}"#), CLAIMS);
        assert_eq!(
            response(check(&requirement(&jwt(&keys, "")), &token)),
            want,
            "{keys:?} {kid}"
        );
    }
}
