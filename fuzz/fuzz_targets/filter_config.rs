//! Arbitrary bytes as a filter configuration are either rejected, or decide requests and enforce policies without a
//! panic or an endless loop.

#![no_main]

mod shared;

use libfuzzer_sys::fuzz_target;
use shared::{Client, Proxy, meet};
use std::rc::Rc;
use switchyard_policy::{
    call::Reply,
    config::{Config, PlainRoute, Policy, Switch},
    decide::decide,
    request::Request,
    rng::Rng,
    route::RouteOverrides,
    store::Store,
};

/// The request that every input is tried with.
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
        // Decides twice: the first time decodes the section, the second reads it from the cache.
        let first = decide(&store, request, &mut Rng::new(0));
        assert_eq!(first, decide(&store, request, &mut Rng::new(0)));
        let overrides = first
            .outcome
            .as_ref()
            .map_or_else(|_| RouteOverrides::default(), |forward| forward.overrides);
        meet((first.scopes, overrides), request, &proxy, |_| Reply::Failed);
    }
});

/// Parses the bytes as JSON: a valid configuration survives a round trip, and a policy that passes its check can be
/// enforced.
fn read_json(bytes: &[u8]) {
    if let Ok(config) = Config::from_json(bytes) {
        let json = serde_json::to_vec(&config).expect("serialises");
        assert_eq!(Config::from_json(&json).expect("reads back"), config);
    }
    if let Ok(switch) = Switch::from_json(bytes) {
        // Both outcomes are fine.
        let _checked = switch.check();
    }
    if let Ok(policy) = Policy::from_json(bytes) {
        // A policy that passes the check can be enforced.
        if policy.check().is_ok() {
            switchyard_policy::policy::PreparedPolicy::try_from(policy).expect("is fit");
        }
    }
    let _route = PlainRoute::from_json(bytes);
}

/// The route keys to look up: those of the corpus, and one taken from the bytes.
fn keys(bytes: &[u8]) -> impl Iterator<Item = String> {
    let tail = bytes
        .get(32..33)
        .map(|byte| String::from_utf8_lossy(byte).into_owned());
    ["s", "t", "r", ""].into_iter().map(str::to_owned).chain(tail)
}
