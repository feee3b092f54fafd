mod by_service;
mod changes;
mod order;
mod service_requests;

use super::*;
use crate::{
    config,
    enforce::{
        context::WorkerState,
        refusal::{PolicyRefusal, RefusalCode},
    },
    host::{Host, SharedValue, fake::Fake},
    observer::{Outcome, PolicyObserver, PolicyPart},
    request::RequestHeaderMap,
};
use std::{net::IpAddr, rc::Rc, time::Duration};
use wasm_bindgen_test::wasm_bindgen_test;

/// A proxy, and a client of it.
pub(crate) struct Proxy {
    pub(crate) fake: Fake,
    pub(crate) client_ip: Option<IpAddr>,
}

/// The headers of a request.
pub(crate) struct Client(pub(crate) Vec<(String, Vec<u8>)>);

/// An observer that records the outcomes.
#[derive(Default)]
pub(crate) struct RecordingObserver(pub(crate) Vec<String>);

/// A proxy with one worker, and requests that meet the same scopes in it.
pub(crate) struct PolicyFixture {
    pub(crate) proxy: Proxy,
    pub(crate) worker: WorkerState,
    pub(crate) observer: RecordingObserver,
    scopes: Vec<PolicyScope>,
}

/// A request that was advanced as far as it comes without waiting.
pub(crate) struct AdvancedRequest {
    pub(crate) action: NextAction,
    pub(crate) enforcement: Enforcement,
    pub(crate) client: Client,
}

// === impl Proxy ===

impl Default for Proxy {
    fn default() -> Self {
        Self {
            fake: Fake::default(),
            client_ip: Some([192, 0, 2, 1].into()),
        }
    }
}

impl Host for Proxy {
    fn now(&self) -> Duration {
        self.fake.now()
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    fn shared(&self, key: &str) -> Option<SharedValue> {
        self.fake.shared(key)
    }

    fn random(&self) -> u64 {
        self.fake.random()
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        self.fake.set_shared(key, value, version)
    }

    fn verifies(&self, _: config::policy::Algorithm, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        false
    }
}

// === impl Client ===

impl Client {
    /// A GET of `/`, unless the headers say otherwise.
    pub(crate) fn new(headers: &[(&str, &str)]) -> Self {
        let others = [(":method", "GET"), (":path", "/"), (":authority", "bar.com")];
        let others = others
            .iter()
            .filter(|(name, _)| headers.iter().all(|(said, _)| said != name));
        let headers = others.chain(headers);
        Self(
            headers
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
        )
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            route_name: "s",
            headers: self,
        }
    }
}

impl RequestHeaderMap for Client {
    fn target(&self) -> &[u8] {
        let path = self.0.iter().find(|(name, _)| name == ":path");
        path.map_or(b"/", |(_, value)| value)
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.0
    }
}

// === impl RecordingObserver ===

impl PolicyObserver for RecordingObserver {
    fn record(&mut self, source: &str, part: PolicyPart, outcome: Outcome) {
        self.0.push(format!("{source} {part}: {outcome:?}"));
    }

    fn record_allowed(&mut self, source: &str) {
        self.0.push(format!("{source}: through"));
    }
}

// === impl PolicyFixture ===

impl PolicyFixture {
    /// A fixture with scopes of these fields, the outermost first. Their sources are `0`, `1` and so on.
    pub(crate) fn new(scopes: &[&str]) -> Self {
        Self {
            proxy: Proxy::default(),
            worker: WorkerState::new(&Proxy::default()),
            observer: RecordingObserver::default(),
            scopes: scopes
                .iter()
                .enumerate()
                .map(|(at, fields)| scope(&at.to_string(), fields))
                .collect(),
        }
    }

    pub(crate) fn send(&mut self, headers: &[(&str, &str)]) -> AdvancedRequest {
        self.send_with(headers, RouteOverrides::default())
    }

    pub(crate) fn send_with(
        &mut self,
        headers: &[(&str, &str)],
        overrides: RouteOverrides,
    ) -> AdvancedRequest {
        let client = Client::new(headers);
        let path = client.request().path().map(str::to_owned);
        let scopes = self.scopes.iter().map(|scope| PolicyScope {
            path: path.clone().filter(|_| scope.policy.depends_on_path()),
            policy: Rc::clone(&scope.policy),
        });
        let mut enforcement = Enforcement::new(scopes.collect(), overrides);
        let action = enforcement.advance(&mut PolicyContext {
            request: client.request(),
            host: &self.proxy,
            worker: &mut self.worker,
            observer: &mut self.observer,
        });
        AdvancedRequest {
            action,
            enforcement,
            client,
        }
    }

    /// Advances the request with the result that it waited for.
    pub(crate) fn complete(
        &mut self,
        mut advanced: AdvancedRequest,
        completion: Completion,
    ) -> AdvancedRequest {
        advanced.enforcement.complete(completion);
        advanced.action = advanced.enforcement.advance(&mut PolicyContext {
            request: advanced.client.request(),
            host: &self.proxy,
            worker: &mut self.worker,
            observer: &mut self.observer,
        });
        advanced
    }

    /// The status of the refusal; 0 if there is none.
    pub(crate) fn status(&mut self, headers: &[(&str, &str)]) -> u16 {
        match self.send(headers).action {
            NextAction::Refuse(refusal) => refusal.status,
            _ => 0,
        }
    }
}

// === impl AdvancedRequest ===

impl AdvancedRequest {
    pub(crate) fn refusal(self) -> PolicyRefusal {
        match self.action {
            NextAction::Refuse(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

fn scope(source: &str, fields: &str) -> PolicyScope {
    let comma = if fields.is_empty() { "" } else { "," };
    let json = format!(r#"{{"source": {source:?}{comma} {fields}}}"#);
    let policy = config::Policy::from_json(json.as_bytes()).expect(&json);
    policy.check().expect(&json);
    PolicyScope {
        policy: Rc::new(policy.try_into().expect(&json)),
        path: None,
    }
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[wasm_bindgen_test(unsupported = test)]
fn rate_limit_refuses_with_retry_after() {
    let limit = r#""rateLimits": [{"local": {"requests": 60, "perSeconds": 60, "burst": 2}}]"#;
    let mut fixture = PolicyFixture::new(&[limit]);
    assert_eq!([(); 3].map(|()| fixture.status(&[])), [0, 0, 429]);
    let refused = fixture.send(&[]);
    let told: Vec<_> = refused.enforcement.response_edits();
    let want = [
        Edit::Set("ratelimit-limit", b"2"),
        Edit::Set("ratelimit-remaining", b"0"),
        Edit::Set("ratelimit-reset", b"2"),
    ];
    assert_eq!(told, want);
    let refusal = refused.refusal();
    assert_eq!(refusal.policy, "0 rateLimits[0]");
    assert_eq!(refusal.code, RefusalCode::ResourceExhausted);
    assert_eq!(refusal.headers, [("retry-after".to_owned(), b"1".to_vec())]);
    fixture.proxy.fake.pass(Duration::from_secs(1));
    assert_eq!([(); 2].map(|()| fixture.status(&[])), [0, 429]);
    let want = [
        "0 rateLimits[0]: Passed",
        "0: through",
        "0 rateLimits[0]: Passed",
        "0: through",
        "0 rateLimits[0]: Refused(\"limited\")",
    ];
    assert_eq!(fixture.observer.0.get(..5).unwrap(), want);
}

#[wasm_bindgen_test(unsupported = test)]
fn rate_limit_counts_matching_requests_by_key() {
    let limit = r#""rateLimits": [{"match": {"methods": ["POST"], "prefix": "/a"}, "status": 503,
        "local": {"requests": 1, "perSeconds": 60, "burst": 1, "key": [{"header": "x-a"}]}}]"#;
    let mut fixture = PolicyFixture::new(&[limit]);
    let post = (":method", "POST");
    for (headers, want) in [
        (&[(":path", "/a")][..], 0),
        (&[post, (":path", "/ab")], 0),
        (&[post, (":path", "/a/b?c")], 0),
        (&[post, (":path", "/a")], 503),
        (&[post, (":path", "/a"), ("x-a", "1")], 0),
        (&[post, (":path", "/a"), ("x-a", "")], 0),
        (&[post, (":path", "/a"), ("x-a", "1")], 503),
    ] {
        assert_eq!(fixture.status(headers), want, "{headers:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn dry_run_limit_refuses_nothing() {
    let limit = r#""rateLimits": [{"dryRun": true, "local": {"requests": 1, "perSeconds": 60, "burst": 1}}]"#;
    let mut fixture = PolicyFixture::new(&[limit]);
    let advanced = [fixture.send(&[]), fixture.send(&[])];
    for AdvancedRequest {
        action, enforcement, ..
    } in advanced
    {
        assert!(action.is_done());
        assert_eq!(enforcement.response_edits(), []);
    }
    let want = [
        "0 rateLimits[0]: Passed",
        "0: through",
        "0 rateLimits[0]: WouldRefuse(\"limited\")",
        "0: through",
    ];
    assert_eq!(fixture.observer.0, want);
}

#[wasm_bindgen_test(unsupported = test)]
fn quota_headers_report_least_remaining() {
    let limits = r#""rateLimits": [
        {"local": {"requests": 1, "perSeconds": 60, "burst": 9}},
        {"local": {"requests": 1, "perSeconds": 60, "burst": 5, "key": ["method"]}},
        {"local": {"requests": 1, "perSeconds": 60, "burst": 7}}
    ]"#;
    let advanced = PolicyFixture::new(&[limits]).send(&[]);
    let edits = advanced.enforcement.response_edits();
    assert_eq!(edits.get(1), Some(&Edit::Set("ratelimit-remaining", b"4")));
}

/// A counter is identified by what it counts, not by the position of the limit in the list.
#[wasm_bindgen_test(unsupported = test)]
fn counter_survives_edits_of_other_limits() {
    let limit = |burst: u32| {
        format!(r#"{{"local": {{"requests": 1, "perSeconds": 60, "burst": {burst}, "key": ["path"]}}}}"#)
    };
    let other = r#"{"local": {"requests": 1, "perSeconds": 60, "burst": 100}}"#;
    let mut fixture = PolicyFixture::new(&[&format!(r#""rateLimits": [{}]"#, limit(2))]);
    assert_eq!([(); 3].map(|()| fixture.status(&[])), [0, 0, 429]);
    for limits in [
        format!("{other}, {}", limit(2)),
        format!("{}, {other}", limit(1)),
        format!("{}, {}", limit(2), limit(100)),
    ] {
        let fields = format!(r#""rateLimits": [{limits}]"#);
        fixture.scopes = vec![scope("0", &fields)];
        assert_eq!(fixture.status(&[]), 429, "{limits}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn requests_in_flight_hold_permits() {
    let mut fixture = PolicyFixture::new(&[r#""concurrency": {"max": 1}"#]);
    let mut first = fixture.send(&[]);
    assert!(first.action.is_done());
    let refusal = fixture.send(&[]).refusal();
    assert_eq!((refusal.status, refusal.code), (503, RefusalCode::Unavailable));
    assert_eq!(refusal.policy, "0 concurrency");
    assert_eq!(refusal.headers, [("retry-after".to_owned(), b"1".to_vec())]);
    for permit in first.enforcement.take_permits() {
        permit.release(&fixture.proxy);
    }
    assert_eq!(fixture.status(&[]), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn refused_request_releases_its_permits() {
    let mut fixture = PolicyFixture::new(&[r#""concurrency": {"max": 2}"#, r#""concurrency": {"max": 1}"#]);
    let mut first = fixture.send(&[]);
    for _ in 0..3 {
        assert_eq!(fixture.send(&[]).refusal().policy, "1 concurrency");
    }
    for permit in first.enforcement.take_permits() {
        permit.release(&fixture.proxy);
    }
    assert_eq!(fixture.status(&[]), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn unmet_requirement_is_refused() {
    let auth = r#""auth": [
        {"anyOf": [{"ip": {"allow": ["192.0.2.0/24"]}}]},
        {"anyOf": [{"apiKey": {"header": "x-api-key", "keys": {}}}]}
    ]"#;
    let mut fixture = PolicyFixture::new(&[auth]);
    let refusal = fixture.send(&[]).refusal();
    assert_eq!((refusal.status, refusal.policy.as_str()), (401, "0 auth[1]"));
    assert_eq!(refusal.details, "no credentials");
    let refusal = fixture.send(&[("x-api-key", "a"), ("x-api-key", "b")]).refusal();
    assert_eq!(
        (refusal.status, refusal.code),
        (400, RefusalCode::InvalidArgument)
    );
    fixture.proxy.client_ip = Some([198, 51, 100, 1].into());
    let refusal = fixture.send(&[]).refusal();
    assert_eq!((refusal.status, refusal.policy.as_str()), (403, "0 auth[0]"));
    assert_eq!(refusal.code, RefusalCode::PermissionDenied);
}
