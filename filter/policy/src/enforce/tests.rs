mod by_service;
mod changes;
mod order;
mod told;

use super::*;
use crate::{
    config,
    host::{Shared, fake::Fake},
    request::Headers,
};
use std::{net::IpAddr, rc::Rc, time::Duration};
use wasm_bindgen_test::wasm_bindgen_test;

/// A proxy, and a client of it.
pub(super) struct Proxy {
    pub(super) fake: Fake,
    pub(super) client_ip: Option<IpAddr>,
}

/// The headers of a request.
pub(super) struct Client(pub(super) Vec<(String, Vec<u8>)>);

/// An observer that records the outcomes.
#[derive(Default)]
pub(super) struct Notes(pub(super) Vec<String>);

/// A proxy with one worker, and requests that meet the same levels in it.
pub(super) struct Scene {
    pub(super) proxy: Proxy,
    pub(super) worker: Worker,
    pub(super) notes: Notes,
    levels: Vec<Level>,
}

/// A request that was advanced as far as it comes without waiting.
pub(super) struct Arrived {
    pub(super) step: Step,
    pub(super) enforcement: Enforcement,
    pub(super) client: Client,
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

    fn shared(&self, key: &str) -> Option<Shared> {
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
    pub(super) fn new(headers: &[(&str, &str)]) -> Self {
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

    pub(super) fn request(&self) -> Request<'_> {
        Request {
            route_name: "s",
            headers: self,
        }
    }
}

impl Headers for Client {
    fn target(&self) -> &[u8] {
        let path = self.0.iter().find(|(name, _)| name == ":path");
        path.map_or(b"/", |(_, value)| value)
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.0
    }
}

// === impl Notes ===

impl Witness for Notes {
    fn saw(&mut self, source: &str, part: Part, said: Said) {
        self.0.push(format!("{source} {part}: {said:?}"));
    }

    fn let_through(&mut self, source: &str) {
        self.0.push(format!("{source}: through"));
    }
}

// === impl Scene ===

impl Scene {
    /// A scene with levels of these fields, the outermost first. Their sources are `0`, `1` and so on.
    pub(super) fn new(levels: &[&str]) -> Self {
        Self {
            proxy: Proxy::default(),
            worker: Worker::new(&Proxy::default()),
            notes: Notes::default(),
            levels: levels
                .iter()
                .enumerate()
                .map(|(at, fields)| level(&at.to_string(), fields))
                .collect(),
        }
    }

    pub(super) fn ask(&mut self, headers: &[(&str, &str)]) -> Arrived {
        self.ask_with(headers, Own::default())
    }

    pub(super) fn ask_with(&mut self, headers: &[(&str, &str)], own: Own) -> Arrived {
        let client = Client::new(headers);
        let path = client.request().path().map(str::to_owned);
        let levels = self.levels.iter().map(|level| Level {
            path: path.clone().filter(|_| level.policy.looks_at_path()),
            policy: Rc::clone(&level.policy),
        });
        let mut enforcement = Enforcement::new(levels.collect(), own);
        let step = enforcement.advance(&mut Around {
            request: client.request(),
            host: &self.proxy,
            worker: &mut self.worker,
            witness: &mut self.notes,
        });
        Arrived {
            step,
            enforcement,
            client,
        }
    }

    /// Advances the request with the answer of a service.
    pub(super) fn answer(&mut self, mut arrived: Arrived, answer: Answer) -> Arrived {
        arrived.enforcement.answer(answer);
        arrived.step = arrived.enforcement.advance(&mut Around {
            request: arrived.client.request(),
            host: &self.proxy,
            worker: &mut self.worker,
            witness: &mut self.notes,
        });
        arrived
    }

    /// The status of the refusal; 0 if there is none.
    pub(super) fn status(&mut self, headers: &[(&str, &str)]) -> u16 {
        match self.ask(headers).step {
            Step::Refuse(refusal) => refusal.status,
            _ => 0,
        }
    }
}

// === impl Arrived ===

impl Arrived {
    pub(super) fn refusal(self) -> Refusal {
        match self.step {
            Step::Refuse(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

fn level(source: &str, fields: &str) -> Level {
    let comma = if fields.is_empty() { "" } else { "," };
    let json = format!(r#"{{"source": {source:?}{comma} {fields}}}"#);
    let policy = config::Policy::from_json(json.as_bytes()).expect(&json);
    policy.check().expect(&json);
    Level {
        policy: Rc::new(policy.try_into().expect(&json)),
        path: None,
    }
}

pub(super) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[wasm_bindgen_test(unsupported = test)]
fn a_limit_refuses_what_is_too_much_and_says_when_to_come_again() {
    let limit = r#""rateLimits": [{"local": {"requests": 60, "perSeconds": 60, "burst": 2}}]"#;
    let mut scene = Scene::new(&[limit]);
    assert_eq!([(); 3].map(|()| scene.status(&[])), [0, 0, 429]);
    let refused = scene.ask(&[]);
    let told: Vec<_> = refused.enforcement.answer_edits();
    let want = [
        Edit::Set("ratelimit-limit", b"2"),
        Edit::Set("ratelimit-remaining", b"0"),
        Edit::Set("ratelimit-reset", b"2"),
    ];
    assert_eq!(told, want);
    let refusal = refused.refusal();
    assert_eq!(refusal.by, "0 rateLimits[0]");
    assert_eq!(refusal.reason, Reason::ResourceExhausted);
    assert_eq!(refusal.headers, [("retry-after".to_owned(), b"1".to_vec())]);
    scene.proxy.fake.pass(Duration::from_secs(1));
    assert_eq!([(); 2].map(|()| scene.status(&[])), [0, 429]);
    let want = [
        "0 rateLimits[0]: Passed",
        "0: through",
        "0 rateLimits[0]: Passed",
        "0: through",
        "0 rateLimits[0]: Refused(\"limited\")",
    ];
    assert_eq!(scene.notes.0.get(..5).unwrap(), want);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_limit_counts_what_it_is_for_and_by_its_key() {
    let limit = r#""rateLimits": [{"match": {"methods": ["POST"], "prefix": "/a"}, "status": 503,
        "local": {"requests": 1, "perSeconds": 60, "burst": 1, "key": [{"header": "x-a"}]}}]"#;
    let mut scene = Scene::new(&[limit]);
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
        assert_eq!(scene.status(headers), want, "{headers:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_limit_that_is_tried_out_refuses_nothing() {
    let limit = r#""rateLimits": [{"dryRun": true, "local": {"requests": 1, "perSeconds": 60, "burst": 1}}]"#;
    let mut scene = Scene::new(&[limit]);
    let arrived = [scene.ask(&[]), scene.ask(&[])];
    for Arrived {
        step, enforcement, ..
    } in arrived
    {
        assert!(step.is_done());
        assert_eq!(enforcement.answer_edits(), []);
    }
    let want = [
        "0 rateLimits[0]: Passed",
        "0: through",
        "0 rateLimits[0]: WouldRefuse(\"limited\")",
        "0: through",
    ];
    assert_eq!(scene.notes.0, want);
}

#[wasm_bindgen_test(unsupported = test)]
fn answers_tell_of_the_limit_that_leaves_the_least() {
    let limits = r#""rateLimits": [
        {"local": {"requests": 1, "perSeconds": 60, "burst": 9}},
        {"local": {"requests": 1, "perSeconds": 60, "burst": 5, "key": ["method"]}},
        {"local": {"requests": 1, "perSeconds": 60, "burst": 7}}
    ]"#;
    let arrived = Scene::new(&[limits]).ask(&[]);
    let edits = arrived.enforcement.answer_edits();
    assert_eq!(edits.get(1), Some(&Edit::Set("ratelimit-remaining", b"4")));
}

/// A counter is identified by what it counts, not by the position of the limit in the list.
#[wasm_bindgen_test(unsupported = test)]
fn a_counter_outlives_every_edit_of_other_limits() {
    let limit = |burst: u32| {
        format!(r#"{{"local": {{"requests": 1, "perSeconds": 60, "burst": {burst}, "key": ["path"]}}}}"#)
    };
    let other = r#"{"local": {"requests": 1, "perSeconds": 60, "burst": 100}}"#;
    let mut scene = Scene::new(&[&format!(r#""rateLimits": [{}]"#, limit(2))]);
    assert_eq!([(); 3].map(|()| scene.status(&[])), [0, 0, 429]);
    for limits in [
        format!("{other}, {}", limit(2)),
        format!("{}, {other}", limit(1)),
        format!("{}, {}", limit(2), limit(100)),
    ] {
        let fields = format!(r#""rateLimits": [{limits}]"#);
        scene.levels = vec![level("0", &fields)];
        assert_eq!(scene.status(&[]), 429, "{limits}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn requests_under_way_have_places_until_they_leave() {
    let mut scene = Scene::new(&[r#""concurrency": {"max": 1}"#]);
    let mut first = scene.ask(&[]);
    assert!(first.step.is_done());
    let refusal = scene.ask(&[]).refusal();
    assert_eq!((refusal.status, refusal.reason), (503, Reason::Unavailable));
    assert_eq!(refusal.by, "0 concurrency");
    assert_eq!(refusal.headers, [("retry-after".to_owned(), b"1".to_vec())]);
    for place in first.enforcement.take_places() {
        places::leave(&scene.proxy, place);
    }
    assert_eq!(scene.status(&[]), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_request_that_is_refused_further_in_gives_its_place_back() {
    let mut scene = Scene::new(&[r#""concurrency": {"max": 2}"#, r#""concurrency": {"max": 1}"#]);
    let mut first = scene.ask(&[]);
    for _ in 0..3 {
        assert_eq!(scene.ask(&[]).refusal().by, "1 concurrency");
    }
    for place in first.enforcement.take_places() {
        places::leave(&scene.proxy, place);
    }
    assert_eq!(scene.status(&[]), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_requirement_that_is_not_met_is_a_refusal() {
    let auth = r#""auth": [
        {"anyOf": [{"ip": {"allow": ["192.0.2.0/24"]}}]},
        {"anyOf": [{"apiKey": {"header": "x-api-key", "keys": {}}}]}
    ]"#;
    let mut scene = Scene::new(&[auth]);
    let refusal = scene.ask(&[]).refusal();
    assert_eq!((refusal.status, refusal.by.as_str()), (401, "0 auth[1]"));
    assert_eq!(refusal.why, "no credentials");
    let refusal = scene.ask(&[("x-api-key", "a"), ("x-api-key", "b")]).refusal();
    assert_eq!((refusal.status, refusal.reason), (400, Reason::InvalidArgument));
    scene.proxy.client_ip = Some([198, 51, 100, 1].into());
    let refusal = scene.ask(&[]).refusal();
    assert_eq!((refusal.status, refusal.by.as_str()), (403, "0 auth[0]"));
    assert_eq!(refusal.reason, Reason::PermissionDenied);
}
