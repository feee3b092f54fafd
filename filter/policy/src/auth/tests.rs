use super::*;
use crate::{
    host::{Host, SharedValue},
    request::RequestHeaderMap,
};
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

impl RequestHeaderMap for Client {
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

    fn shared(&self, _key: &str) -> Option<SharedValue> {
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

pub(super) fn requirement(json: &str) -> AuthRequirement {
    parsed(json).unwrap()
}

pub(super) fn parse_error(json: &str) -> String {
    parsed(json).err().expect(json).to_string()
}

fn parsed(json: &str) -> Result<AuthRequirement, RequirementError> {
    let requirement: policy::Requirement =
        crate::config::parse::parse(format!(r#"{{"anyOf": [{json}]}}"#).as_bytes()).expect(json);
    requirement.try_into()
}

pub(super) fn check(requirement: &AuthRequirement, headers: &[(&str, &str)]) -> AuthOutcome {
    check_at(requirement, headers, "")
}

pub(super) fn check_at(
    requirement: &AuthRequirement,
    headers: &[(&str, &str)],
    address: &str,
) -> AuthOutcome {
    requirement.check(AuthRequest {
        headers: &Client::new(headers),
        host: &Proxy::with_client_at(address),
        cache: &AuthCache::new(b"a test"),
        protected: &[],
    })
}

/// The identity that passes, or the status and the reason of the failure.
pub(super) fn summary(outcome: AuthOutcome) -> Result<String, String> {
    match outcome {
        AuthOutcome::Pass(Pass { identity, .. }) => Ok(identity.map_or_else(String::new, |identity| {
            let Identity {
                scheme,
                name,
                claims: _,
            } = identity;
            format!("{} {}", scheme.as_str(), name.unwrap_or_default())
        })),
        AuthOutcome::Fail(AuthFailure { reason, response }) => Err(format!("{} {reason}", response.status())),
        AuthOutcome::Call(..) | AuthOutcome::Work(..) => Err("waits".to_owned()),
    }
}

const KEY_OR_OFFICE: &str = r#"{"apiKey": {"header": "x-api-key", "query": "key", "keys": {}}},
    {"ip": {"allow": ["10.0.0.0/8"]}}"#;

#[wasm_bindgen_test(unsupported = test)]
fn any_passing_check_satisfies_requirement() {
    let requirement = requirement(KEY_OR_OFFICE);
    for (address, want) in [
        ("10.1.2.3", Ok(String::new())),
        ("11.1.2.3", Err("401 no credentials".to_owned())),
    ] {
        let outcome = check_at(&requirement, &[], address);
        assert_eq!(summary(outcome), want, "{address}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn most_helpful_failure_is_returned() {
    let requirement = requirement(KEY_OR_OFFICE);
    for (key, want) in [("", "401 no credentials"), ("wrong", "401 unknown key")] {
        assert_eq!(
            summary(check(&requirement, &[("x-api-key", key)])),
            Err(want.to_owned())
        );
    }
}

/// They are refused even if another check would pass.
#[wasm_bindgen_test(unsupported = test)]
fn repeated_credentials_are_refused() {
    let requirement = requirement(KEY_OR_OFFICE);
    let headers = [("x-api-key", "a"), ("x-api-key", "a")];
    let outcome = check_at(&requirement, &headers, "10.1.2.3");
    assert_eq!(
        summary(outcome),
        Err(r#"400 "x-api-key" is there more than once"#.to_owned())
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn fields_are_protected_whichever_check_passes() {
    let ProtectedFields { headers, parameters } = requirement(KEY_OR_OFFICE).protected().clone();
    assert_eq!(headers, ["x-api-key".to_owned()].into());
    assert_eq!(parameters, ["key".to_owned()].into());
}

#[wasm_bindgen_test(unsupported = test)]
fn requirement_without_check_is_refused() {
    assert_eq!(parse_error(""), "anyOf: there is no check in it");
}

/// The labels that refusals are counted by are all in the documentation.
#[wasm_bindgen_test(unsupported = test)]
fn metrics_page_documents_every_reason() {
    let page = include_str!("../../../../docs/metrics.md");
    for reason in [
        FailureReason::Missing,
        FailureReason::Repeated("authorization".to_owned()),
        FailureReason::Malformed,
        FailureReason::Password,
        FailureReason::Busy,
        FailureReason::Token(TokenError::Signature),
        FailureReason::KeysExpired,
        FailureReason::UnknownKey,
        FailureReason::Denied(403),
        FailureReason::NoAnswer,
        FailureReason::InvalidResponse,
        FailureReason::Address,
    ] {
        let counter = format!("`denied_{}`", reason.label());
        assert!(page.contains(&counter), "{counter}");
    }
}
