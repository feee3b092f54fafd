use super::*;
use crate::{
    auth::{
        AuthCache, AuthOutcome, AuthRequirement,
        tests::{Client, NOW, Proxy, Signed, parse_error, requirement, summary},
    },
    config::policy::Algorithm,
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use serde::Deserialize;
use std::collections::BTreeMap;
use wasm_bindgen_test::wasm_bindgen_test;

mod claims;
#[cfg(not(target_arch = "wasm32"))]
mod properties;
mod signatures;

/// Made by `vectors.py`.
#[derive(Deserialize)]
struct Vectors {
    keys: BTreeMap<String, String>,
    good: Vec<Good>,
    bad: Vec<Bad>,
}

#[derive(Deserialize)]
struct Good {
    alg: Algorithm,
    key: String,
    token: String,
    /// The signature in the form that the host verifies, if it does.
    host: Option<String>,
}

#[derive(Deserialize)]
struct Bad {
    what: String,
    alg: String,
    key: String,
    token: String,
}

const CLAIMS: &str = r#"{"iss": "https://issuer.example", "sub": "alice", "aud": "shop", "exp": 1795698000}"#;
const HEADER: &str = r#"{"alg": "EdDSA", "kid": "one"}"#;

// === impl Vectors ===

impl Vectors {
    fn spki(&self, key: &str) -> &str {
        self.keys.get(key).expect(key)
    }

    /// The first good vector of an algorithm.
    fn good(&self, algorithm: Algorithm) -> &Good {
        self.good.iter().find(|good| good.alg == algorithm).unwrap()
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// The `SubjectPublicKeyInfo` of a signing key.
fn spki(key: &SigningKey) -> String {
    let prefix = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    Base64::encode_string(&[&prefix[..], key.verifying_key().as_bytes()].concat())
}

fn key(kid: &str, algorithms: &str, spki: &str) -> String {
    let kid = if kid.is_empty() {
        String::new()
    } else {
        format!(r#""kid": {kid:?}, "#)
    };
    format!(r#"{{{kid}"algorithms": {algorithms}, "spki": {spki:?}}}"#)
}

fn jwt(keys: &[String], rules: &str) -> String {
    format!(
        r#"{{"jwt": {{"clockSkewSeconds": 60, "keys": [{}] {rules}}}}}"#,
        keys.join(",")
    )
}

/// A requirement with the key of [`signing_key`], which is called `one`.
fn jwt_of_one(rules: &str) -> AuthRequirement {
    requirement(&jwt(&[key("one", r#"["EdDSA"]"#, &spki(&signing_key()))], rules))
}

fn encode(part: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(part.as_ref())
}

fn sign(header: &str, claims: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = signing_key().sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", encode(signature))
}

fn check(requirement: &AuthRequirement, token: &str) -> AuthOutcome {
    check_with(requirement, token, &Proxy::default(), &AuthCache::new(b"a test"))
}

fn check_with(requirement: &AuthRequirement, token: &str, host: &Proxy, cache: &AuthCache) -> AuthOutcome {
    requirement.check(AuthRequest {
        headers: &Client::new(&[("authorization", &format!("Bearer {token}"))]),
        host,
        cache,
        protected: &[],
    })
}

/// The reason that a token is refused; empty if it passes.
fn response(outcome: AuthOutcome) -> String {
    summary(outcome).map_or_else(
        |response| response.replace("401 the token is refused: ", ""),
        |_| String::new(),
    )
}

/// A host that accepts the signatures of the vectors, and refuses all others.
fn host(vectors: &Vectors) -> Proxy {
    let known = |good: &Good| {
        let signature = Base64::decode_vec(good.host.as_deref()?).unwrap();
        let (text, _) = good.token.rsplit_once('.').unwrap();
        Some(Signed {
            algorithm: good.alg,
            spki: Base64::decode_vec(vectors.spki(&good.key)).unwrap(),
            text: text.as_bytes().to_vec(),
            signature,
        })
    };
    Proxy {
        signed: vectors.good.iter().filter_map(known).collect(),
        ..Proxy::default()
    }
}

// === What is remembered ===

/// Checks a token of the vectors. Returns how often the host was asked to verify it, and true if it passed.
fn asked(requirement: &AuthRequirement, token: &str, host: &Proxy, cache: &AuthCache) -> (usize, bool) {
    let before = host.asked.get();
    let has_passed = summary(check_with(requirement, token, host, cache)).is_ok();
    (host.asked.get() - before, has_passed)
}

#[wasm_bindgen_test(unsupported = test)]
fn verified_token_is_cached_until_it_expires() {
    let vectors = vectors();
    let mut host = host(&vectors);
    let Good { key: name, token, .. } = vectors.good(Algorithm::RS256);
    let cache = AuthCache::new(b"");
    let spki = vectors.spki(name);
    let rs256 = |rules: &str| requirement(&jwt(&[key("", r#"["RS256"]"#, spki)], rules));
    assert_eq!(asked(&rs256(""), token, &host, &cache), (1, true));
    assert_eq!(asked(&rs256(""), token, &host, &cache), (0, true));
    // Renewed keys that are equal do not change the rules.
    assert_eq!(
        asked(&rs256(r#", "keysExpire": 1795699999"#), token, &host, &cache),
        (0, true)
    );
    // The result is valid for these rules only.
    assert_eq!(
        asked(&rs256(r#", "audiences": ["shop"]"#), token, &host, &cache),
        (1, true)
    );
    assert_eq!(
        asked(&rs256(r#", "audiences": ["other"]"#), token, &host, &cache),
        (0, false)
    );
    assert_eq!(
        asked(
            &requirement(&jwt(&[key("", r#"["RS384"]"#, spki)], "")),
            token,
            &host,
            &cache
        ),
        (0, false)
    );
    let rotated = requirement(&jwt(&[key("", r#"["RS256"]"#, vectors.spki("rsa4096"))], ""));
    assert_eq!(asked(&rotated, token, &host, &cache), (1, false));
    // It ends in an hour, and a minute of skew later.
    host.now = NOW + Duration::from_secs(3599);
    assert_eq!(asked(&rs256(""), token, &host, &cache), (0, true));
    host.now = NOW + Duration::from_secs(3600);
    assert_eq!(asked(&rs256(""), token, &host, &cache), (1, true));
    host.now = NOW + Duration::from_secs(3660);
    assert_eq!(asked(&rs256(""), token, &host, &cache), (0, false));
}

#[wasm_bindgen_test(unsupported = test)]
fn refused_token_is_not_cached() {
    let vectors = vectors();
    let host = host(&vectors);
    let Good { key: name, token, .. } = vectors.good(Algorithm::RS256);
    let cache = AuthCache::new(b"");
    let requirement = requirement(&jwt(&[key("", r#"["RS256"]"#, vectors.spki(name))], ""));
    let bent = token.replacen("A", "B", usize::MAX);
    for _ in 0..2 {
        assert!(!asked(&requirement, &bent, &host, &cache).1);
    }
    assert_eq!(asked(&requirement, token, &host, &cache), (1, true));
}
