//! Whatever bytes come as a configuration are refused, or decide requests: nothing panics or runs on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::rc::Rc;
use switchyard_policy::{
    config::{Config, Switch},
    decide::{Headers, Request, decide},
    rng::Rng,
    store::Store,
};

/// One request for all.
struct Client;

impl Headers for Client {
    fn target(&self) -> &[u8] {
        b"/shop/cart"
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &[]
    }
}

fuzz_target!(|bytes: &[u8]| {
    read_json(bytes);
    let Ok(store) = Store::new(bytes.to_vec(), Rc::default()) else {
        return;
    };
    for key in keys(bytes) {
        let request = Request {
            route_name: &key,
            headers: &Client,
        };
        // Twice: decoded, and from the cache.
        let first = decide(&store, request, &mut Rng::new(0));
        assert_eq!(first, decide(&store, request, &mut Rng::new(0)));
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
}

/// Keys to ask for: those of the corpus, and what the bytes may hold as one.
fn keys(bytes: &[u8]) -> impl Iterator<Item = String> {
    let tail = bytes
        .get(32..33)
        .map(|byte| String::from_utf8_lossy(byte).into_owned());
    ["s", "t", ""].into_iter().map(str::to_owned).chain(tail)
}
