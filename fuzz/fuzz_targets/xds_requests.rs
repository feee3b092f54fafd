//! Arbitrary xDS requests, in any number: a session neither panics nor answers without end, and never has two
//! unacknowledged responses of one type.

#![no_main]

use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use std::{collections::BTreeSet, time::Instant};
use switchyard_xds::{
    ads::{Limits, Session, Store},
    resource::{Body, Resource, ResourceType, Update},
    sections::Code,
};

/// The maximum number of responses to one request: one of each type while none is acknowledged.
const MOST: usize = ResourceType::ALL.len();

fuzz_target!(|data: &[u8]| {
    let mut store = Store::default();
    store.set_ready();
    let mut session = Session::new(Limits {
        names: 64,
        name_length: 32,
        ..Limits::default()
    });
    let now = Instant::now();
    let mut rest = Bytes::copy_from_slice(data);
    let mut version = 0;
    while let Ok(request) = DeltaDiscoveryRequest::decode_length_delimited(&mut rest) {
        version += 1;
        store.apply(update(&request, version));
        if session.on_request(&request, now).is_err() {
            return;
        }
        let responses = std::iter::from_fn(|| session.poll(&store, now)).take(MOST + 1);
        let responses: Vec<_> = responses.map(|answer| answer.encode(&code())).collect();
        assert!(responses.len() <= MOST, "it never stops answering");
        responses.iter().for_each(check);
    }
});

/// Adds, changes and removes the resources `a` to `d` as requests come.
fn update(request: &DeltaDiscoveryRequest, version: u64) -> Update {
    let name = |number: u64| ["a", "b", "c", "d"][(number % 4) as usize].into();
    let kind = ResourceType::from_type_url(&request.type_url).unwrap_or(ResourceType::Cluster);
    let resource = Resource {
        version,
        body: Body::Encoded(Bytes::new()),
    };
    Update {
        set: vec![(kind, name(version), resource)],
        removed: vec![(kind, name(version + 2))],
    }
}

fn check(response: &DeltaDiscoveryResponse) {
    let set = response.resources.iter().map(|resource| &resource.name);
    let names: BTreeSet<_> = set.chain(&response.removed_resources).collect();
    assert_eq!(
        names.len(),
        response.resources.len() + response.removed_resources.len(),
        "a name occurs twice"
    );
    assert!(!response.nonce.is_empty());
}

fn code() -> Code {
    Code::File { path: String::new() }
}
