use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

/// Passwords and their hashes, by Apache's htpasswd 2.4 (`$2y$`, `$apr1$` with eight characters of salt, `{SHA}`),
/// `openssl passwd -apr1` (the other `$apr1$`) and Python's bcrypt (`$2a$`, `$2b$`).
const MADE_ELSEWHERE: &[(&str, usize, &str)] = &[
    (
        "wonderland",
        1,
        "$2y$04$nGwDrl6mQrs3Dt1Ca4Wbwuf7.X4Xmxa8AyMjzgsxqll26.gxnsBnu",
    ),
    (
        "pässwörd ☃",
        1,
        "$2y$05$QCYVM9s1JH2V7CBgTiLIqODhepgx.4c43u55jbL11zZu8n6P9TwMi",
    ),
    (
        "",
        1,
        "$2y$04$0P80Muzhr4pU7ZkmJ/Bc3.Z7i7foI7uP.978XELtxtkQpEb2f9dE6",
    ),
    (
        "x",
        72,
        "$2y$04$W7xkIUl4q8KV8DpgWpmFO.NBRLIc3GfDLvK5dldsEvrd3fERjORWC",
    ),
    (
        "a",
        1,
        "$2y$06$jI7DVmFGvh6jZ..TDnlXWuOiTJImdxjo2UBfpKPBYoXO.xsm3fDle",
    ),
    (
        "wonderland",
        1,
        "$2a$04$p8DdWoXjQh/qICv7gd3XS.NjICdiyt5togf.40YFwXexxxHmWBHi2",
    ),
    (
        "z",
        72,
        "$2a$04$fg4R5KDMk02wuWSVmA0AMOXsftLkJ6uT.qRf0W23/Up/b2hA0L0MO",
    ),
    (
        "ÿ",
        10,
        "$2a$04$6xUP25soNeBiK7sxRJAfyeoWXByZ6dKKfd/cXLBjLFTAWhnQh8gWS",
    ),
    (
        "wonderland",
        1,
        "$2b$04$TF62KnookoqrI27siFDN2uaaNtfs00KhWKnr1lA2sNb3P8TNtgDKq",
    ),
    (
        "z",
        72,
        "$2b$04$vYmktLMesdjNy.GlY1ZrTewCec9NaEyo9BqBblW88FhuVpkX9qELK",
    ),
    (
        "ÿ",
        10,
        "$2b$04$m8UGUNMRrUMPYVxNHMX1X.2spSc9DSZSRzTPQAzBI/aIuelIHfCbq",
    ),
    ("wonderland", 1, "$apr1$EPzrM14p$vEHcCxabyH8xsZ/0SKEHC/"),
    ("", 1, "$apr1$K77vTG2F$TvbFc2b07rKbSJWGOvwSr/"),
    ("pässwörd ☃", 1, "$apr1$v/D3SCxM$TPsqWoMuTKbMNFRehbKPY0"),
    ("y", 1, "$apr1$ab$FK2VJr2cMN4Ky8UnUuNrN/"),
    ("y", 15, "$apr1$ab$h9czQSbS29V28WKzqiJBG."),
    ("y", 16, "$apr1$ab$7XCgrf9LSHOGjQ5qspEfA0"),
    ("y", 17, "$apr1$ab$fPVRVqNSogvpDLn.P6WCj."),
    ("y", 33, "$apr1$ab$KR.pNEtMbGWLKUYwo3o/.0"),
    ("y", 100, "$apr1$ab$LCK328T1B/jOhlNdyQP5N1"),
    ("nosalt", 1, "$apr1$$mJpEJAKLJuMuANAkFnfRd1"),
    ("wonderland", 1, "{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ="),
    ("", 1, "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
    ("pässwörd ☃", 1, "{SHA}re6L5VY4rugCnM1UaRmskpVI8UY="),
];

/// The number of slices of the work, each as short as possible, and its result.
fn work(hash: &str, password: &[u8]) -> (usize, bool) {
    let mut task = hash
        .parse::<PasswordHash>()
        .map_err(|error| error.to_string())
        .unwrap()
        .task(password);
    let mut slices = 1;
    loop {
        match task.step(|| true) {
            Some(is_right) => return (slices, is_right),
            None => slices += 1,
        }
    }
}

fn is_right(hash: &str, password: &[u8]) -> bool {
    work(hash, password).1
}

#[wasm_bindgen_test(unsupported = test)]
fn hashes_of_other_tools_verify() {
    for (unit, times, hash) in MADE_ELSEWHERE {
        assert!(
            is_right(hash, unit.repeat(*times).as_bytes()),
            "{unit} {times} {hash}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn wrong_password_is_rejected() {
    for (unit, times, hash) in MADE_ELSEWHERE.iter().filter(|(_, times, _)| *times < 72) {
        let password = unit.repeat(*times);
        for other in [
            format!("{password}x"),
            format!(" {password}"),
            password.to_uppercase() + "!",
        ] {
            assert!(!is_right(hash, other.as_bytes()), "{other:?} {hash}");
        }
    }
}

/// Implementations compare 72 bytes, so a longer password would pass by its beginning. Its refusal takes as long as any
/// other.
#[wasm_bindgen_test(unsupported = test)]
fn bcrypt_rejects_overlong_passwords() {
    for hash in [
        "$2y$04$W7xkIUl4q8KV8DpgWpmFO.NBRLIc3GfDLvK5dldsEvrd3fERjORWC",
        "$2a$04$fg4R5KDMk02wuWSVmA0AMOXsftLkJ6uT.qRf0W23/Up/b2hA0L0MO",
        "$2b$04$vYmktLMesdjNy.GlY1ZrTewCec9NaEyo9BqBblW88FhuVpkX9qELK",
    ] {
        let unit = if hash.starts_with("$2y") { "x" } else { "z" };
        for (len, want) in [
            (71, false),
            (72, true),
            (73, false),
            (80, false),
            (144, false),
            (255, false),
        ] {
            assert_eq!(
                work(hash, unit.repeat(len).as_bytes()),
                (16, want),
                "{hash} {len}"
            );
        }
    }
}

/// A slice can thus be as short as a worker can spare.
#[wasm_bindgen_test(unsupported = test)]
fn work_can_stop_after_each_round() {
    for (hash, want) in [
        ("$2y$04$nGwDrl6mQrs3Dt1Ca4Wbwuf7.X4Xmxa8AyMjzgsxqll26.gxnsBnu", 16),
        ("$2y$06$jI7DVmFGvh6jZ..TDnlXWuOiTJImdxjo2UBfpKPBYoXO.xsm3fDle", 64),
        ("$apr1$EPzrM14p$vEHcCxabyH8xsZ/0SKEHC/", 63),
        ("{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ=", 1),
    ] {
        assert_eq!(work(hash, b"guess").0, want, "{hash}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn unusable_hash_is_reported() {
    let bcrypt = "$2y$04$nGwDrl6mQrs3Dt1Ca4Wbwuf7.X4Xmxa8AyMjzgsxqll26.gxnsBnu";
    for (hash, want) in [
        ("", HashError::Unknown),
        ("wonderland", HashError::Unknown),
        ("$1$abcdefgh$G//4keteveJp0qb8z2DxG/", HashError::Unknown),
        ("$5$abc$rounds", HashError::Unknown),
        ("$6$abc$rounds", HashError::Unknown),
        ("{SSHA}tiY7sUhYKUwI5L3866kDY+ENcrQ=", HashError::Unknown),
        ("{sha}tiY7sUhYKUwI5L3866kDY+ENcrQ=", HashError::Unknown),
        (&bcrypt.replace("2y", "2"), HashError::Unknown),
        (&bcrypt.replace("2y", "2x"), HashError::Unknown),
        (&bcrypt.replace("2y", "2yy"), HashError::Unknown),
        (&bcrypt.replace("$04", "$03"), HashError::Cost(3)),
        (&bcrypt.replace("$04", "$15"), HashError::Cost(15)),
        (&bcrypt.replace("$04", "$99"), HashError::Cost(99)),
        (&bcrypt.replace("$04", "$4"), HashError::Malformed("bcrypt")),
        (&bcrypt.replace("$04", "$+4"), HashError::Malformed("bcrypt")),
        (&bcrypt.replace("$04", ""), HashError::Malformed("bcrypt")),
        (&bcrypt.replace("Bnu", "Bn"), HashError::Malformed("bcrypt")),
        (&bcrypt.replace("Bnu", "Bnuu"), HashError::Malformed("bcrypt")),
        (&bcrypt.replace("Bnu", "Bn="), HashError::Malformed("bcrypt")),
        (&bcrypt.replace("Bnu", "Bé"), HashError::Malformed("bcrypt")),
        ("$apr1$EPzrM14p", HashError::Malformed("apr1")),
        (
            "$apr1$EPzrM14pp$vEHcCxabyH8xsZ/0SKEHC/",
            HashError::Malformed("apr1"),
        ),
        (
            "$apr1$EPzrM14p$vEHcCxabyH8xsZ/0SKEHC",
            HashError::Malformed("apr1"),
        ),
        (
            "$apr1$EPzrM14p$vEHcCxabyH8xsZ/0SKEHC+",
            HashError::Malformed("apr1"),
        ),
        ("{SHA}", HashError::Malformed("SHA")),
        ("{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ", HashError::Malformed("SHA")),
        ("{SHA}tiY7sUhYKUwI5L3866kDY+ENcrR=", HashError::Malformed("SHA")),
        ("{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ= ", HashError::Malformed("SHA")),
        ("{SHA}dG9vIHNob3J0", HashError::Malformed("SHA")),
    ] {
        assert_eq!(check_hash(hash), Err(want), "{hash}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_hashes_do_not_panic(hash in r"(\$2[aby]\$0?[0-9]\$|\$apr1\$|\{SHA\})?\PC{0,60}", password: Vec<u8>) {
            if let Ok(hash) = hash.parse::<PasswordHash>() {
                let _is_right = hash.task(&password).step(|| true);
            }
        }
    }
}
