use super::*;
use serde_json::json;
use switchyard_policy::config::policy::Algorithm;

/// Of 1024 bits.
const SMALL: &str = "\
    xBq16PYiXBnT3gzyYUeeDITJlwKD7evE7q-8D4S1Jpx87wRf_bQjzKUmVrqOiC5mKd9XW7DYZDynNfy5cPZgWKuvZY\
    ryk_eK5qy_ikPrvCLSFWAFnMP5m2dm4GhQnF27gmCVTPeHWIerTlsAExQd3nAfZkCuym9eQOTb_572PM8";

/// Keys as they are published, each with its SubjectPublicKeyInfo as OpenSSL writes it.
fn published() -> Vec<(Value, String)> {
    let keys: Vec<Value> = serde_json::from_str(include_str!("tests/keys.json")).unwrap();
    keys.into_iter()
        .map(|key| (key["jwk"].clone(), key["spki"].as_str().unwrap().to_owned()))
        .collect()
}

/// The first that is published of a type.
fn of_type(kty: &str) -> Value {
    let mut keys = published().into_iter().map(|(key, _)| key);
    keys.find(|key| key["kty"] == kty).unwrap()
}

fn with(mut key: Value, member: &str, value: Value) -> Value {
    key[member] = value;
    key
}

fn set(keys: &[Value]) -> Result<Vec<Key>, JwksError> {
    parse(json!({"keys": keys}).to_string().as_bytes()).map(|set| set.keys)
}

#[test]
fn keys_are_as_openssl_writes_them() {
    use Algorithm::{ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let algorithms = [
        &[RS256, RS384, RS512, PS256, PS384, PS512][..],
        &[ES256],
        &[ES384],
        &[ES512],
        &[EdDSA],
    ];
    let published = published();
    assert_eq!(published.len(), algorithms.len());
    for ((key, spki), algorithms) in published.into_iter().zip(algorithms) {
        let want = Key {
            kid: None,
            algorithms: algorithms.to_vec(),
            spki,
        };
        assert_eq!(set(std::slice::from_ref(&key)), Ok(vec![want]), "{key}");
    }
}

#[test]
fn a_key_says_what_it_is_for() {
    use Algorithm::{ES256, EdDSA, PS384};
    for (kty, alg, want) in [
        ("RSA", "PS384", PS384),
        ("EC", "ES256", ES256),
        ("OKP", "EdDSA", EdDSA),
        ("OKP", "Ed25519", EdDSA),
    ] {
        let key = with(of_type(kty), "alg", json!(alg));
        let key = with(key, "kid", json!("a"));
        let key = with(key, "use", json!("sig"));
        let key = with(key, "key_ops", json!(["sign", "verify"]));
        let keys = set(&[key]).unwrap();
        assert_eq!(
            (keys[0].kid.as_deref(), &*keys[0].algorithms),
            (Some("a"), &[want][..])
        );
    }
}

#[test]
fn padding_and_leading_zeros_are_no_part_of_a_number() {
    let key = of_type("RSA");
    let plain = set(std::slice::from_ref(&key)).unwrap();
    let padded = with(key.clone(), "e", json!("AAEAAQ=="));
    assert_eq!(set(&[padded]).unwrap(), plain);
    let zeros = with(key, "e", json!("AAAAAAEAAQ"));
    assert_eq!(set(&[zeros]).unwrap(), plain);
}

/// Each is left out, and tells why where it is the only one.
fn check_left_out(key: Value, why: &str) {
    let rsa = of_type("RSA");
    let error = JwksError::NoneUsable(format!("keys[0] {why}"));
    assert_eq!(set(std::slice::from_ref(&key)), Err(error), "{key}");
    let beside = set(&[key, rsa.clone()]).unwrap();
    assert_eq!(beside, set(std::slice::from_ref(&rsa)).unwrap());
}

#[test]
fn keys_for_something_else_are_left_out() {
    let (rsa, ec, okp) = (of_type("RSA"), of_type("EC"), of_type("OKP"));
    let alg = |key: &Value, alg: &str| with(key.clone(), "alg", json!(alg));
    for (key, why) in [
        (
            json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
            "is a shared secret (kty oct), by which whoever verifies can sign, too",
        ),
        (json!({}), "has kty \"\", which is not RSA, EC or OKP"),
        (
            json!({"kty": "AKP"}),
            "has kty \"AKP\", which is not RSA, EC or OKP",
        ),
        (json!({"kty": 5}), "has a member of the wrong type"),
        (json!("key"), "has a member of the wrong type"),
        (
            with(rsa.clone(), "use", json!("enc")),
            "is not for signatures (use or key_ops)",
        ),
        (
            with(rsa.clone(), "key_ops", json!(["encrypt"])),
            "is not for signatures (use or key_ops)",
        ),
        (
            alg(&rsa, "HS256"),
            "has alg \"HS256\", which is not one for signatures by such a key",
        ),
        (
            alg(&rsa, "none"),
            "has alg \"none\", which is not one for signatures by such a key",
        ),
        (
            alg(&rsa, "ES256"),
            "has alg \"ES256\", which is not one for signatures by such a key",
        ),
        (
            alg(&ec, "ES384"),
            "has alg \"ES384\", which is not one for signatures by such a key",
        ),
        (
            alg(&okp, "ES256"),
            "has alg \"ES256\", which is not one for signatures by such a key",
        ),
    ] {
        check_left_out(key, why);
    }
}

#[test]
fn keys_that_are_no_good_are_left_out() {
    const NO_SPKI: &str = "cannot be used by the filter: it is no key in base64 of RSA, of EC on P-256, P-384 or P-521, or \
        of Ed25519 (SubjectPublicKeyInfo)";
    let (rsa, ec, okp) = (of_type("RSA"), of_type("EC"), of_type("OKP"));
    let long_x = format!("AAAA{}", ec["x"].as_str().unwrap());
    for (key, why) in [
        (
            with(ec.clone(), "crv", json!("secp256k1")),
            "has crv \"secp256k1\", which is not P-256, P-384, P-521 or Ed25519",
        ),
        (
            with(okp.clone(), "crv", json!("X25519")),
            "has crv \"X25519\", which is not P-256, P-384, P-521 or Ed25519",
        ),
        (
            with(rsa.clone(), "n", json!(SMALL)),
            "cannot be used by the filter: it is of RSA with 1024 bits: it must have 2048 to 4096",
        ),
        (
            with(rsa.clone(), "n", json!("_".repeat(1024))),
            "cannot be used by the filter: it is of RSA with 6144 bits: it must have 2048 to 4096",
        ),
        (
            with(rsa.clone(), "n", json!("_".repeat(1400))),
            "cannot be used by the filter: it is of RSA with 8400 bits: it must have 2048 to 4096",
        ),
        (
            with(rsa.clone(), "n", json!(format!("{}A", "_".repeat(342)))),
            NO_SPKI,
        ),
        (
            with(rsa.clone(), "n", json!("a b")),
            "has a member \"n\" that is missing, or no such number",
        ),
        // By 1, every signature is good; by 2, none; the last is longer than any proxy takes.
        (with(rsa.clone(), "e", json!("AQ")), NO_SPKI),
        (with(rsa.clone(), "e", json!("Ag")), NO_SPKI),
        (with(rsa.clone(), "e", json!("_____w8")), NO_SPKI),
        (
            with(ec.clone(), "x", json!(long_x)),
            "has a member \"x\" that is missing, or no such number",
        ),
        (
            with(ec, "y", json!("")),
            "has a member \"y\" that is missing, or no such number",
        ),
        (
            with(okp, "x", json!("AAAA")),
            "has a member \"x\" that is missing, or no such number",
        ),
    ] {
        check_left_out(key, why);
    }
}

#[test]
fn keys_that_are_left_out_beside_others_are_told() {
    let large = with(of_type("RSA"), "kid", json!("large"));
    let large = with(large, "n", json!("_".repeat(1024)));
    let told = |keys: &[Value]| {
        parse(json!({"keys": keys}).to_string().as_bytes())
            .unwrap()
            .left_out
    };
    assert_eq!(told(&[of_type("EC")]), None);
    let want = "keys[1] (kid \"large\") cannot be used by the filter: it is of RSA with 6144 bits: it must have 2048 to 4096, \
        keys[2] is a shared secret (kty oct), by which whoever verifies can sign, too";
    assert_eq!(
        told(&[of_type("EC"), large, json!({"kty": "oct"})]).as_deref(),
        Some(want)
    );
}

/// Whoever published it, everybody can sign by it now.
#[test]
fn a_private_key_refuses_the_whole_set() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        let key = with(with(of_type("RSA"), "kid", json!("a")), member, json!("AQAB"));
        let error = set(&[of_type("EC"), key]).unwrap_err();
        let want = format!(
            "keys[1] (kid \"a\") has the private member \"{member}\", by which whoever reads it can sign: \
             make a new key, and put its public members here"
        );
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn what_is_no_set_says_so() {
    let many: Vec<_> = (0..101).map(|_| of_type("OKP")).collect();
    let unusable: Vec<_> = (0..6).map(|_| json!({"kty": "oct"})).collect();
    let large = "x".repeat(MAX_SIZE + 1);
    let usual = "this is not a set of keys: it must be a JSON object with a list \"keys\"";
    for (text, want) in [
        (large, "a set of keys must be 262144 bytes at most"),
        (String::new(), "line 1, column 0: this is not JSON"),
        (
            "{\n \"keys\": [}".to_owned(),
            "line 2, column 11: this is not JSON",
        ),
        ("[]".to_owned(), usual),
        ("{}".to_owned(), usual),
        (json!({"keys": {}}).to_string(), usual),
        (
            json!({"keys": []}).to_string(),
            "no key can be used: there is none",
        ),
        (
            json!({"keys": many}).to_string(),
            "a set must have 100 keys at most",
        ),
        (
            json!({"keys": unusable}).to_string(),
            "no key can be used: \
             keys[0] is a shared secret (kty oct), by which whoever verifies can sign, too, \
             keys[1] is a shared secret (kty oct), by which whoever verifies can sign, too, \
             keys[2] is a shared secret (kty oct), by which whoever verifies can sign, too, \
             keys[3] is a shared secret (kty oct), by which whoever verifies can sign, too, 2 more",
        ),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), want);
    }
}

/// A text goes into a status, which more people can read than the Secret that the set may be in.
#[test]
fn no_text_repeats_what_a_set_has_in_it() {
    for text in [
        json!({"keys": "hunter2"}).to_string(),
        "\"hunter2\"".to_owned(),
        "hunter2".to_owned(),
        json!({"keys": [{"kty": "RSA", "n": "hunter2", "e": "hunter2"}]}).to_string(),
        json!({"keys": [{"kty": "RSA", "d": "hunter2"}]}).to_string(),
        json!({"keys": ["hunter2"]}).to_string(),
    ] {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
