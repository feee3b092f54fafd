//! Arbitrary credentials from clients and arbitrary answers from services: nothing panics, and no request is let in
//! without an explicit yes.

#![no_main]

mod shared;

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use shared::{Client, End, Proxy, meet};
use std::rc::Rc;
use switchyard_policy::{
    call::{Call, Message, Reply},
    decide::{Decision, decide},
    request::Request,
    rng::Rng,
    store::Store,
};

/// The policies of each route. No client knows a valid credential.
const CONFIG: &[u8] = br#"{
    "routes": {
        "locked": {"policies": ["locked"]},
        "http": {"policies": ["http"]},
        "grpc": {"policies": ["grpc"]},
        "open": {"policies": ["open"]}
    },
    "policies": {
        "locked": {"source": "locked", "auth": [{"anyOf": [
            {"basic": {"realm": "r", "users": {"ann": "{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}},
            {"apiKey": {"header": "x-api-key", "query": "key",
                "keys": {"0000000000000000000000000000000000000000000000000000000000000000": "bob"}}},
            {"jwt": {"issuer": "i", "audiences": ["a"], "clockSkewSeconds": 60,
                "keys": [{"algorithms": ["EdDSA"], "spki": "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}],
                "requiredClaims": [{"claim": "role", "values": ["admin"]}],
                "claimsToHeaders": [{"claim": "role", "header": "x-role"}]}}
        ]}]},
        "http": {"source": "http", "auth": [{"anyOf": [{"external": {"cluster": "c", "protocol": "http", "path": "/check",
            "timeoutMs": 50, "requestHeaders": ["cookie"], "responseHeaders": ["x-role"]}}]}]},
        "grpc": {"source": "grpc", "auth": [{"anyOf": [{"external": {"cluster": "c", "protocol": "grpc", "timeoutMs": 50}}]}]},
        "open": {"source": "open",
            "cors": {"allowOrigins": ["https://*.bar.com"], "allowMethods": ["PUT"]},
            "rateLimits": [
                {"local": {"requests": 9, "perSeconds": 9, "burst": 9, "key": [{"cookie": "c"}, {"header": "x-api-key"}, "path", "method"]}},
                {"global": {"cluster": "c", "domain": "d", "timeoutMs": 50, "onFailure": "deny",
                    "descriptors": [[{"key": "k", "value": {"of": "path"}}]]}}
            ]}
    }
}"#;

/// The names of the request headers, most of which carry credentials.
const NAMES: [&str; 9] = [
    "authorization",
    "x-api-key",
    "cookie",
    "accept",
    "origin",
    "content-type",
    "access-control-request-method",
    "x-forwarded-for",
    "x-role",
];

thread_local! {
    static STORE: Store = Store::new(CONFIG.to_vec(), Rc::default()).expect("the configuration is good");
}

#[derive(Arbitrary, Debug)]
struct Exchange<'a> {
    options: bool,
    target: &'a [u8],
    /// Indices into [`NAMES`], with values.
    headers: Vec<(u8, &'a [u8])>,
    status: u16,
    told: Vec<(&'a str, &'a [u8])>,
    body: &'a [u8],
    fails: bool,
}

// === impl Exchange ===

impl Exchange<'_> {
    fn client(&self) -> Client {
        let target = [b"/", self.target].concat();
        let method = if self.options { "OPTIONS" } else { "GET" };
        let pseudo = [
            (":method", method.as_bytes()),
            (":path", &target),
            (":authority", b"bar.com"),
        ];
        let named = self.headers.iter().filter_map(|(number, value)| {
            let name = NAMES.get(usize::from(*number) % NAMES.len())?;
            Some((*name, *value))
        });
        let headers = pseudo.into_iter().chain(named);
        Client {
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .collect(),
            target: target.clone(),
        }
    }

    fn reply(&self, call: &Call) -> Reply {
        match call.message {
            _ if self.fails => Reply::Failed,
            Message::Http { .. } => Reply::Http {
                status: self.status,
                headers: self
                    .told
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                    .collect(),
                body: self.body.to_vec(),
            },
            Message::Grpc { .. } => Reply::Grpc {
                body: self.body.to_vec(),
            },
        }
    }

    fn comes_to(&self, route_name: &str) -> End {
        let client = self.client();
        let request = Request {
            route_name,
            headers: &client,
        };
        let decision = STORE.with(|store| decide(store, request, &mut Rng::new(0)));
        let Decision { scopes, outcome, .. } = decision;
        let overrides = outcome.map(|forward| forward.overrides).unwrap_or_default();
        meet((scopes, overrides), request, &Proxy::new(false), |call| {
            self.reply(call)
        })
    }
}

fuzz_target!(|exchange: Exchange<'_>| {
    assert_eq!(exchange.comes_to("locked"), End::Refused);
    let is_let_in = exchange.comes_to("http") == End::SentOn;
    assert!(!is_let_in || !exchange.fails && (200..300).contains(&exchange.status));
    let is_let_in = exchange.comes_to("grpc") == End::SentOn;
    // An empty gRPC body is not an OK.
    assert!(!is_let_in || !exchange.fails && !exchange.body.is_empty());
    exchange.comes_to("open");
    // The JWKS parser gets the same bytes: it reads documents from issuers and tenants.
    let _keys = switchyard_core::jwks::parse(exchange.body);
});
