use super::*;
use crate::host::Shared;
use std::{cell::Cell, net::IpAddr, time::Duration};
use wasm_bindgen_test::wasm_bindgen_test;

/// The headers of a request, `:path` among them.
pub(super) struct Client(Vec<(String, Vec<u8>)>);

/// A proxy, with a client at that address.
pub(super) struct Proxy {
    pub(super) now: Duration,
    pub(super) address: Option<IpAddr>,
    /// The signatures that it accepts.
    pub(super) signed: Vec<Signed>,
    /// The number of signatures that it was asked to verify.
    pub(super) asked: Cell<usize>,
}

#[derive(PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) algorithm: policy::Algorithm,
    pub(super) spki: Vec<u8>,
    pub(super) text: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

// === impl Client ===

impl Client {
    pub(super) fn new(headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter();
        Self(
            headers
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
        )
    }
}

impl Headers for Client {
    fn target(&self) -> &[u8] {
        fields::values(self, ":path").next().unwrap_or(b"/")
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.0
    }
}

// === impl Proxy ===

impl Proxy {
    pub(super) fn with_client_at(address: &str) -> Self {
        Self {
            address: address.parse().ok(),
            ..Self::default()
        }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            now: NOW,
            address: None,
            signed: Vec::new(),
            asked: Cell::default(),
        }
    }
}

impl Host for Proxy {
    fn now(&self) -> Duration {
        self.now
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.address
    }

    fn shared(&self, _key: &str) -> Option<Shared> {
        None
    }

    fn random(&self) -> u64 {
        4
    }

    fn set_shared(&self, _key: &str, _value: &[u8], _version: Option<u32>) -> bool {
        false
    }

    fn verifies(&self, algorithm: policy::Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool {
        self.asked.update(|asked| asked + 1);
        self.signed.contains(&Signed {
            algorithm,
            spki: spki.to_vec(),
            text: text.to_vec(),
            signature: signature.to_vec(),
        })
    }
}

/// 2026-11-26, noon.
pub(super) const NOW: Duration = Duration::from_secs(1_795_694_400);

pub(super) fn requirement(json: &str) -> Requirement {
    parsed(json).unwrap()
}

pub(super) fn fault(json: &str) -> String {
    parsed(json).err().expect(json).to_string()
}

fn parsed(json: &str) -> Result<Requirement, Fault> {
    let requirement: policy::Requirement =
        crate::config::parse(format!(r#"{{"anyOf": [{json}]}}"#).as_bytes()).expect(json);
    requirement.try_into()
}

pub(super) fn check(requirement: &Requirement, headers: &[(&str, &str)]) -> Verdict {
    check_at(requirement, headers, "")
}

pub(super) fn check_at(requirement: &Requirement, headers: &[(&str, &str)], address: &str) -> Verdict {
    requirement.check(Request {
        headers: &Client::new(headers),
        host: &Proxy::with_client_at(address),
        memory: &Memory::new(b"a test"),
        levels: &[],
    })
}

/// The identity that passes, or the status and the reason of the failure.
pub(super) fn told(verdict: Verdict) -> Result<String, String> {
    match verdict {
        Verdict::Pass(Pass { identity, .. }) => Ok(identity.map_or_else(String::new, |identity| {
            let Identity {
                scheme,
                name,
                claims: _,
            } = identity;
            format!("{} {}", scheme.as_str(), name.unwrap_or_default())
        })),
        Verdict::Fail(Failure { reason, refusal }) => Err(format!("{} {reason}", refusal.status())),
        Verdict::Ask(..) | Verdict::Work(..) => Err("waits".to_owned()),
    }
}

const KEY_OR_OFFICE: &str = r#"{"apiKey": {"header": "x-api-key", "query": "key", "keys": {}}},
    {"ip": {"allow": ["10.0.0.0/8"]}}"#;

#[wasm_bindgen_test(unsupported = test)]
fn any_check_that_is_passed_will_do() {
    let requirement = requirement(KEY_OR_OFFICE);
    for (address, want) in [
        ("10.1.2.3", Ok(String::new())),
        ("11.1.2.3", Err("401 no credentials".to_owned())),
    ] {
        let verdict = check_at(&requirement, &[], address);
        assert_eq!(told(verdict), want, "{address}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_answer_is_the_one_that_helps_most() {
    let requirement = requirement(KEY_OR_OFFICE);
    for (key, want) in [("", "401 no credentials"), ("wrong", "401 unknown key")] {
        assert_eq!(
            told(check(&requirement, &[("x-api-key", key)])),
            Err(want.to_owned())
        );
    }
}

/// They are refused even if another check would pass.
#[wasm_bindgen_test(unsupported = test)]
fn credentials_that_are_there_twice_are_refused() {
    let requirement = requirement(KEY_OR_OFFICE);
    let headers = [("x-api-key", "a"), ("x-api-key", "a")];
    let verdict = check_at(&requirement, &headers, "10.1.2.3");
    assert_eq!(
        told(verdict),
        Err(r#"400 "x-api-key" is there more than once"#.to_owned())
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn what_a_client_may_not_say_is_withheld_whichever_check_it_passes() {
    let Withheld { headers, parameters } = requirement(KEY_OR_OFFICE).withheld().clone();
    assert_eq!(headers, ["x-api-key".to_owned()].into());
    assert_eq!(parameters, ["key".to_owned()].into());
}

#[wasm_bindgen_test(unsupported = test)]
fn a_requirement_without_a_check_would_let_everybody_in() {
    assert_eq!(fault(""), "anyOf: there is no check in it");
}

/// The labels that refusals are counted by are all in the documentation.
#[wasm_bindgen_test(unsupported = test)]
fn the_page_on_metrics_has_every_reason() {
    let page = include_str!("../../../../docs/metrics.md");
    for reason in [
        Reason::Missing,
        Reason::Repeated("authorization".to_owned()),
        Reason::Malformed,
        Reason::Password,
        Reason::Busy,
        Reason::Token(TokenFault::Signature),
        Reason::KeysExpired,
        Reason::UnknownKey,
        Reason::Denied(403),
        Reason::NoAnswer,
        Reason::Nonsense,
        Reason::Address,
    ] {
        let counter = format!("`denied_{}`", reason.label());
        assert!(page.contains(&counter), "{counter}");
    }
}
