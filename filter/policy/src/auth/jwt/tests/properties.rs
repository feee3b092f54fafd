use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn arbitrary_tokens_never_pass(token in r"(\PC{0,40}|[A-Za-z0-9_\-]{0,40}(\.[A-Za-z0-9_\-]{0,40}){0,4})") {
        prop_assert!(!response(check(&jwt_of_one(""), &token)).is_empty());
    }

    #[test]
    fn arbitrary_claims_do_not_panic(claims: Vec<u8>, name in "[a-c.]{0,5}", json in r#"\{("(a|b|exp|aud|iss|sub|nbf|iat)": ?(null|-?[0-9.e]{1,22}|"\PC{0,5}"|\{"a":\[1,\{\}\]\}|\[\[\["a"\]\]\]),?){0,3}\}"#) {
        let rules = format!(r#", "requiredClaims": [{{"claim": {name:?}}}], "claimsToHeaders": [{{"claim": {name:?}, "header": "x-a"}}]"#);
        for claims in [claims, json.into_bytes()] {
            let _verdict = check(&jwt_of_one(&rules), &sign(HEADER, claims));
        }
    }

    #[test]
    fn arbitrary_keys_do_not_panic(mut spki in prop::sample::select(vectors().keys.into_values().collect::<Vec<_>>()), at in 0_usize..40, byte: u8) {
        let mut bytes = Base64::decode_vec(&spki).unwrap();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        spki = Base64::encode_string(&bytes);
        let key = policy::Key { kid: None, algorithms: vec![Algorithm::PS256], spki };
        if let Ok(key) = VerificationKey::try_from(key) {
            let vectors = vectors();
            let token = vectors.good(Algorithm::PS256);
            let _verifies = key.verifies(&SignedToken::parse(&token.token).unwrap(), &Proxy::default());
        }
    }
}
