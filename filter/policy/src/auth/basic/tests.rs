use super::*;
use crate::auth::{
    AuthCache, AuthOutcome, AuthRequirement, Completion, PendingAuth, Verification, Work,
    tests::{Client, NOW, Proxy, parse_error, requirement, summary},
};
use std::time::Duration;
use wasm_bindgen_test::wasm_bindgen_test;

/// Users with the password `wonderland`, by three kinds of hashes.
const USERS: &str = r#""users": {
    "alice": "$2y$04$nGwDrl6mQrs3Dt1Ca4Wbwuf7.X4Xmxa8AyMjzgsxqll26.gxnsBnu",
    "bob": "$apr1$EPzrM14p$vEHcCxabyH8xsZ/0SKEHC/",
    "carol": "{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ="}"#;
const ALICE: &str = r#"{"basic": {"realm": "r", "users": {"alice": "$2y$04$nGwDrl6mQrs3Dt1Ca4Wbwuf7.X4Xmxa8AyMjzgsxqll26.gxnsBnu"}}}"#;

/// A worker, and the requirement that its requests have to meet.
struct Worker {
    requirement: AuthRequirement,
    cache: AuthCache,
    now: Duration,
    /// The address of the client.
    address: &'static str,
}

// === impl Worker ===

impl Worker {
    fn new(json: &str) -> Self {
        Self {
            requirement: requirement(json),
            cache: AuthCache::new(b"a test"),
            now: NOW,
            address: "192.0.2.1",
        }
    }

    fn of_all() -> Self {
        Self::new(&format!(r#"{{"basic": {{"realm": "r", {USERS}}}}}"#))
    }

    fn with<T>(&self, authorization: &str, f: impl FnOnce(&AuthRequirement, AuthRequest<'_>) -> T) -> T {
        let headers: &[_] = match authorization {
            "" => &[],
            shown => &[("authorization", shown)],
        };
        let request = AuthRequest {
            headers: &Client::new(headers),
            host: &Proxy {
                now: self.now,
                ..Proxy::with_client_at(self.address)
            },
            cache: &self.cache,
            protected: &[],
        };
        f(&self.requirement, request)
    }

    fn check(&self, authorization: &str) -> AuthOutcome {
        self.with(authorization, |requirement, request| requirement.check(request))
    }

    fn resume(&self, authorization: &str, pending: PendingAuth, outcome: Verification) -> AuthOutcome {
        self.with(authorization, |requirement, request| {
            requirement.resume(pending, Completion::Work(outcome), request)
        })
    }

    /// Finishes a check. Returns the number of slices and the result.
    fn finish(&self, authorization: &str) -> (usize, Result<String, String>) {
        match self.check(authorization) {
            AuthOutcome::Work(work, pending) => {
                let mut slices = 0;
                let outcome = loop {
                    match work.outcome() {
                        Some(outcome) => break outcome,
                        None => slices += 1,
                    }
                    let _has_results = self.cache.verify(|| true);
                };
                (slices, summary(self.resume(authorization, pending, outcome)))
            }
            outcome => (0, summary(outcome)),
        }
    }

    fn works(&self, authorization: &str) -> Option<Work> {
        match self.check(authorization) {
            AuthOutcome::Work(work, _) => Some(work),
            AuthOutcome::Pass(_) | AuthOutcome::Fail(_) | AuthOutcome::Call(..) => None,
        }
    }

    /// Sends the next requests from another address.
    fn at(&mut self, address: &'static str) -> &mut Self {
        self.address = address;
        self
    }

    /// Verifies until some work finishes, and returns its indices in the list.
    fn next_done(&self, works: &[Work]) -> Vec<usize> {
        let is_open = |work: &Work| work.outcome().is_none();
        let before: Vec<_> = works.iter().map(is_open).collect();
        while !self.cache.verify(|| true) {}
        let both = works.iter().zip(before).enumerate();
        let is_new =
            |(at, (work, was_open)): (usize, (&Work, bool))| (was_open && !is_open(work)).then_some(at);
        both.filter_map(is_new).collect()
    }
}

fn shown(name: &str, password: &str) -> String {
    format!(
        "Basic {}",
        Base64::encode_string(format!("{name}:{password}").as_bytes())
    )
}

#[wasm_bindgen_test(unsupported = test)]
fn correct_name_and_password_pass() {
    let worker = Worker::of_all();
    let wrong = "401 unknown name, or wrong password";
    for (name, password, want) in [
        ("alice", "wonderland", Ok("basic alice")),
        ("bob", "wonderland", Ok("basic bob")),
        ("carol", "wonderland", Ok("basic carol")),
        ("alice", "Wonderland", Err(wrong)),
        ("bob", "", Err(wrong)),
        ("carol", "wonderland ", Err(wrong)),
        ("Alice", "wonderland", Err(wrong)),
        ("dave", "wonderland", Err(wrong)),
        ("alice ", "wonderland", Err(wrong)),
        // A hash is not a password.
        ("bob", "$apr1$EPzrM14p$vEHcCxabyH8xsZ/0SKEHC/", Err(wrong)),
        ("carol", "{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ=", Err(wrong)),
    ] {
        let want = want.map(str::to_owned).map_err(str::to_owned);
        for _ in 0..2 {
            assert_eq!(worker.finish(&shown(name, password)).1, want, "{name} {password}");
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn credentials_are_parsed_strictly() {
    let worker = Worker::of_all();
    let missing = "401 no credentials";
    let malformed = "401 credentials that cannot be read";
    let token = Base64::encode_string(b"carol:wonderland");
    let carol = Ok("basic carol");
    for (authorization, want) in [
        (format!("Basic {token}"), carol),
        (format!("bAsIC   {token}"), carol),
        (String::new(), Err(missing)),
        ("Basic".to_owned(), Err(missing)),
        (token.clone(), Err(missing)),
        (format!("Bearer {token}"), Err(missing)),
        (format!("Basic\t{token}"), Err(missing)),
        ("Basic ".to_owned(), Err(malformed)),
        (format!("Basic {token},Basic {token}"), Err(malformed)),
        (format!("Basic {token} {token}"), Err(malformed)),
        (format!("Basic {}", token.replace("A==", "B==")), Err(malformed)),
        (format!("Basic {}", token.replace("==", "=")), Err(malformed)),
        (format!("Basic {}", token.replace("==", "")), Err(malformed)),
        (format!("Basic {token}="), Err(malformed)),
        ("Basic {{{{".to_owned(), Err(malformed)),
        (
            format!("Basic {}", Base64::encode_string(b"carol")),
            Err(malformed),
        ),
        (shown("", "wonderland"), Err(malformed)),
        (shown("carol", "wonderland\0"), Err(malformed)),
        (shown("carol", "wonderland\0x"), Err(malformed)),
        (
            shown("carol\r\nx-switchyard-user: root", "wonderland"),
            Err(malformed),
        ),
        (shown("carol", &"x".repeat(600)), Err(malformed)),
        (
            format!("Basic {}", Base64::encode_string(b"carol:\xff")),
            Err(malformed),
        ),
        (
            shown("carol", "wonder:land"),
            Err("401 unknown name, or wrong password"),
        ),
    ] {
        let want = want.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(worker.finish(&authorization).1, want, "{authorization}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn verified_password_is_cached() {
    for (password, outcome) in [("wonderland", true), ("guess", false)] {
        let worker = Worker::new(ALICE);
        let shown = shown("alice", password);
        let (slices, first) = worker.finish(&shown);
        assert_eq!(slices, 16, "no round is made before it has its turn");
        let (slices, second) = worker.finish(&shown);
        assert_eq!((slices, first.is_ok()), (0, outcome));
        assert_eq!(first, second);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn cached_results_expire() {
    for (password, after, slices) in [
        ("wonderland", Duration::from_secs(3599), 0),
        ("wonderland", Duration::from_secs(3600), 16),
        ("guess", Duration::from_secs(59), 0),
        ("guess", Duration::from_secs(60), 16),
    ] {
        let mut worker = Worker::new(ALICE);
        let shown = shown("alice", password);
        assert_eq!(worker.finish(&shown).0, 16);
        worker.now = NOW + after;
        assert_eq!(worker.finish(&shown).0, slices, "{password} {after:?}");
    }
}

/// A worker's cache outlives its configurations.
#[wasm_bindgen_test(unsupported = test)]
fn changed_password_invalidates_cached_result() {
    let mut worker = Worker::new(ALICE);
    let shown = shown("alice", "wonderland");
    assert!(worker.finish(&shown).1.is_ok());
    worker.requirement = requirement(&ALICE.replace("gxns", "gxnt"));
    assert_eq!(
        worker.finish(&shown).1,
        Err("401 unknown name, or wrong password".to_owned())
    );
    worker.requirement = requirement(&ALICE.replace("alice", "eve"));
    assert_eq!(
        worker.finish(&shown).1,
        Err("401 unknown name, or wrong password".to_owned())
    );
}

/// This holds the first time and later: not even a client that knows another user's password can tell.
#[wasm_bindgen_test(unsupported = test)]
fn unknown_name_takes_as_long_as_known_name() {
    let worker = Worker::new(ALICE);
    for password in ["guess", "wonderland"] {
        for slices in [16, 0] {
            let known = worker.finish(&shown("alice", &format!("not {password}")));
            let unknown = worker.finish(&shown("mallory", password));
            assert_eq!(known, unknown);
            assert_eq!(unknown.0, slices);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn unknown_names_are_verified_against_different_hashes() {
    let worker = Worker::of_all();
    let mut slices: Vec<_> = (0..40)
        .map(|n| worker.finish(&shown(&format!("name{n}"), "guess")).0)
        .collect();
    let again: Vec<_> = (0..40)
        .map(|n| worker.finish(&shown(&format!("name{n}"), "guess again")).0)
        .collect();
    assert_eq!(slices, again, "a name is always the same");
    slices.sort_unstable();
    slices.dedup();
    assert_eq!(slices, [0, 16, 63]);
}

#[wasm_bindgen_test(unsupported = test)]
fn empty_user_list_refuses_everyone() {
    let worker = Worker::new(r#"{"basic": {"realm": "r", "users": {}}}"#);
    assert_eq!(
        worker.finish(&shown("a", "b")).1,
        Err("401 unknown name, or wrong password".to_owned())
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn requests_with_same_credentials_share_work() {
    let worker = Worker::new(ALICE);
    let works: Vec<_> = (0..100)
        .filter_map(|_| worker.works(&shown("alice", "wonderland")))
        .collect();
    assert_eq!(works.len(), 100);
    let slices = (1..).find(|_| worker.cache.verify(|| true));
    assert_eq!(slices, Some(16));
    let outcomes: Vec<_> = works.iter().filter_map(Work::outcome).collect();
    assert_eq!(outcomes, [Verification::Right; 100]);
}

mod queue;

#[wasm_bindgen_test(unsupported = test)]
fn challenge_contains_realm() {
    let worker = Worker::new(r#"{"basic": {"realm": "the \"inner\" \\ circle", "users": {}}}"#);
    let AuthOutcome::Fail(AuthFailure { response, .. }) = worker.check("") else {
        panic!("passed");
    };
    let want = r#"Basic realm="the \"inner\" \\ circle", charset="UTF-8""#;
    assert_eq!(
        response,
        crate::auth::FailureResponse::Unauthorized(vec![want.to_owned()])
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn invalid_configuration_is_refused() {
    for (fields, want) in [
        (
            r#""realm": "", "users": {}"#,
            r#"basic.realm: "" holds a control character, or is empty"#,
        ),
        (
            r#""realm": "a\nb", "users": {}"#,
            r#"basic.realm: "a\nb" holds a control character, or is empty"#,
        ),
        (
            r#""realm": "r", "users": {"": "x"}"#,
            r#"basic.users: "" holds a control character, or is empty"#,
        ),
        (
            r#""realm": "r", "users": {"alice": "plain"}"#,
            r#"basic.users: the hash of the password of "alice" is neither bcrypt ($2y$), apr1 ($apr1$) nor SHA ({SHA}): make it with htpasswd -B"#,
        ),
    ] {
        assert_eq!(parse_error(&format!(r#"{{"basic": {{{fields}}}}}"#)), want);
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_headers_never_pass(authorization in r"([Bb]asic )?\PC{0,60}") {
            let worker = Worker::of_all();
            prop_assert!(worker.finish(&authorization).1.is_err());
        }

        #[test]
        fn only_correct_name_and_password_pass(name in "(alice|bob|carol|\\PC{0,8})", password in "(wonderland|\\PC{0,20})") {
            let worker = Worker::of_all();
            let is_right = ["alice", "bob", "carol"].contains(&name.as_str()) && password == "wonderland";
            prop_assert_eq!(worker.finish(&shown(&name, &password)).1.is_ok(), is_right);
        }
    }
}
