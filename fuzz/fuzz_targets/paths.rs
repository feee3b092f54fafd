//! Arbitrary requests and upstream responses: nothing panics, and no rewrite escapes its prefix.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use std::rc::Rc;
use switchyard_policy::{
    decide::decide,
    path,
    path_mapping::PathMapping,
    request::{Request, RequestHeaderMap},
    rng::Rng,
    sample::Sample,
    store::Store,
};

/// Every kind of rewrite: of a switch, of a nested switch and of a leaf.
const CONFIG: &[u8] = include_bytes!("../corpus/filter_config/rewrites.json");

thread_local! {
    static STORE: Store = Store::new(CONFIG.to_vec(), Rc::default()).expect("the configuration is good");
}

#[derive(Arbitrary, Debug)]
struct Exchange<'a> {
    /// The part of the path after the prefix of the switch.
    target: &'a [u8],
    cookie: &'a [u8],
    authority: &'a str,
    location: &'a [u8],
    set_cookie: &'a [u8],
    prefix: &'a str,
    mount: &'a str,
}

struct Client {
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

impl RequestHeaderMap for Client {
    fn target(&self) -> &[u8] {
        &self.target
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }
}

fuzz_target!(|exchange: Exchange<'_>| {
    let Exchange {
        target,
        cookie,
        authority,
        location,
        set_cookie,
        prefix,
        mount,
    } = exchange;
    let target = [b"/shop", target].concat();
    let headers = vec![
        (":authority".to_owned(), authority.as_bytes().to_vec()),
        ("cookie".to_owned(), cookie.to_vec()),
    ];
    let request = Request {
        route_name: "s",
        headers: &Client { target, headers },
    };
    let decision = STORE.with(|store| decide(store, request, &mut Rng::new(0)));
    if let Ok(forward) = decision.outcome {
        let sent = forward.path.expect("every path is rewritten");
        assert!(
            path::contains("/app", &sent) || path::contains("/api", &sent),
            "{sent}"
        );
        assert!(!path::climbs(&sent), "{sent}");
        answer(
            &forward.mapping.expect("is rewritten"),
            authority,
            location,
            set_cookie,
        );
    }
    answer(
        &PathMapping::identity().then(prefix, mount),
        authority,
        location,
        set_cookie,
    );
    let (name, sample) = Sample::split(mount);
    assert!(mount.starts_with(name), "{mount}");
    assert!(sample == Sample::ALL || Sample::split(&sample.route_name(name)) == (name, sample));
});

fn answer(mapping: &PathMapping, authority: &str, location: &[u8], set_cookie: &[u8]) {
    let _mapped = mapping.location(location, authority);
    let _mapped = mapping.set_cookie(set_cookie);
}
