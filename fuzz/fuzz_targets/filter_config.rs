//! Whatever bytes come as a configuration are refused, or decide requests and have them meet policies: nothing panics or
//! runs on.

#![no_main]

mod shared;

use libfuzzer_sys::fuzz_target;
use shared::{Client, Proxy, meet};
use std::rc::Rc;
use switchyard_policy::{
    call::Reply,
    config::{Config, PlainRoute, Policy, Switch},
    decide::{Own, decide},
    request::Request,
    rng::Rng,
    store::Store,
};

/// One request for all.
fn client() -> Client {
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
    Client {
        target: b"/shop/cart?key=open%20sesame".to_vec(),
        headers: headers.into(),
    }
}

fuzz_target!(|bytes: &[u8]| {
    read_json(bytes);
    let Ok(store) = Store::new(bytes.to_vec(), Rc::default()) else {
        return;
    };
    let client = client();
    let proxy = Proxy::new(true);
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
        meet((first.levels, own), request, &proxy, |_| Reply::Failed);
    }
});

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
