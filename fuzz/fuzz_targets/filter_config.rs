//! Whatever bytes come as a configuration are refused, or decide requests and have them meet policies: nothing panics or
//! runs on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{cell::RefCell, collections::BTreeMap, net::IpAddr, rc::Rc, time::Duration};
use switchyard_policy::{
    auth::Answer,
    call::Reply,
    config::{Config, PlainRoute, Policy, Switch, policy::Algorithm},
    decide::{Level, Own, decide},
    enforce::{Around, Enforcement, Step, Worker},
    host::{Host, Shared},
    request::{Headers, Request},
    rng::Rng,
    store::Store,
};

/// Of a password that is verified: to the end may be years.
const SLICES: usize = 4;

/// One request for all.
struct Client(Vec<(String, Vec<u8>)>);

/// A proxy whose values nobody else changes.
#[derive(Default)]
struct Proxy(RefCell<BTreeMap<String, Shared>>);

// === impl Client ===

impl Client {
    fn new() -> Self {
        let headers = [
            (":method", "OPTIONS"),
            (":path", "/shop/cart?key=open%20sesame"),
            (":authority", "bar.com"),
            ("origin", "https://www.bar.com"),
            ("access-control-request-method", "GET"),
            ("authorization", "Basic YW5uOnNlY3JldA=="),
            ("x-api-key", "open sesame"),
            ("cookie", "f=1; c=2"),
            ("accept", "application/json;q=0.5, */*"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        Self(headers.into())
    }
}

impl Headers for Client {
    fn target(&self) -> &[u8] {
        b"/shop/cart?key=open%20sesame"
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.0
    }
}

// === impl Proxy ===

impl Host for Proxy {
    fn now(&self) -> Duration {
        Duration::from_secs(1_800_000_000)
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some([192, 0, 2, 1].into())
    }

    fn shared(&self, key: &str) -> Option<Shared> {
        self.0.borrow().get(key).cloned()
    }

    fn random(&self) -> u64 {
        4
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        let mut values = self.0.borrow_mut();
        let there = values.get(key).map(|shared| shared.version);
        let is_late = version.is_some() && there.is_some() && version != there;
        if !is_late {
            let version = there.unwrap_or(0) + 1;
            let value = value.to_vec();
            values.insert(key.to_owned(), Shared { value, version });
        }
        !is_late
    }

    fn verifies(&self, _: Algorithm, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        true
    }
}

fuzz_target!(|bytes: &[u8]| {
    read_json(bytes);
    let Ok(store) = Store::new(bytes.to_vec(), Rc::default()) else {
        return;
    };
    let client = Client::new();
    for key in keys(bytes) {
        let request = Request {
            route_name: &key,
            headers: &client,
        };
        // Twice: decoded, and from the cache.
        let first = decide(&store, request, &mut Rng::new(0));
        assert_eq!(first, decide(&store, request, &mut Rng::new(0)));
        let own = first
            .outcome
            .as_ref()
            .map_or_else(|_| Own::default(), |forward| forward.own);
        meet(first.levels, own, request);
    }
});

/// Has a request meet policies, and edited as they say.
fn meet(levels: Vec<Level>, own: Own, request: Request<'_>) {
    let proxy = Proxy::default();
    let mut worker = Worker::new(&proxy);
    let mut enforcement = Enforcement::new(levels, own);
    loop {
        let step = enforcement.advance(&mut Around {
            request,
            host: &proxy,
            worker: &mut worker,
            witness: &mut (),
        });
        match step {
            Step::Call(_) => enforcement.answer(Answer::Reply(Reply::Failed)),
            Step::Work(mut work) => {
                let is_right = (0..SLICES).find_map(|_| work.step(|| true));
                enforcement.answer(Answer::Work(is_right.unwrap_or(true)));
            }
            Step::Refuse(refusal) => {
                return refusal.response(request).edit(&enforcement.answer_edits());
            }
            Step::Answer(mut response) => return response.edit(&enforcement.answer_edits()),
            Step::Done => break,
        }
    }
    let mut headers = request.headers.all().to_vec();
    for edit in enforcement.request_edits() {
        edit.apply(&mut headers);
    }
    let _target = enforcement.target(request);
    for place in enforcement.take_places() {
        switchyard_policy::places::leave(&proxy, place);
    }
}

/// What was read and holds is written, reads back the same, and holds.
fn read_json(bytes: &[u8]) {
    if let Ok(config) = Config::from_json(bytes) {
        let json = serde_json::to_vec(&config).expect("serialises");
        assert_eq!(Config::from_json(&json).expect("reads back"), config);
    }
    if let Ok(switch) = Switch::from_json(bytes) {
        // Either answer is one.
        let _checked = switch.check();
    }
    if let Ok(policy) = Policy::from_json(bytes) {
        // What holds can be enforced.
        if policy.check().is_ok() {
            switchyard_policy::policy::Policy::try_from(policy).expect("is fit");
        }
    }
    let _route = PlainRoute::from_json(bytes);
}

/// Keys to ask for: those of the corpus, and what the bytes may hold as one.
fn keys(bytes: &[u8]) -> impl Iterator<Item = String> {
    let tail = bytes
        .get(32..33)
        .map(|byte| String::from_utf8_lossy(byte).into_owned());
    ["s", "t", "r", ""].into_iter().map(str::to_owned).chain(tail)
}
