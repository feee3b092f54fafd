//! Objects generated from random data: every field that reaches Envoy, with values at and beyond the limits of what it
//! accepts.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use switchyard_core::object::{
    Address, Created, EndpointSlice, IngressRoute, Limits, Name, Object, Protocol, Service, ServicePort,
    SliceEndpoint, UnknownFields,
};

const TEXTS: [&str; 16] = [
    "", "/", "/a", "/a/b", "/a/", "//", "a", "/\r", "/a\nb", "/\0", "/\u{7f}", "/a?b", "/#", "/\u{e9}",
    "/a b", "/..",
];
const WORDS: [&str; 14] = [
    "",
    "a",
    "A-b",
    "x-forwarded-proto",
    ":path",
    "host",
    "a b",
    "a\r",
    "a\n",
    "\0",
    "\u{7f}",
    "\u{e9}",
    "*",
    "a,b=\"c\"",
];
const DURATIONS: [&str; 14] = [
    "",
    "0s",
    "5s",
    "1ns",
    "1.5ms",
    "-1s",
    "infinity",
    "30",
    "4294967296s",
    "9223372035s",
    "9223372035.999999999s",
    "9223372036s",
    "315576000001s",
    "99999999999999999999h",
];
const NUMBERS: [i64; 12] = [
    0,
    1,
    2,
    99,
    100,
    101,
    -1,
    65_536,
    2_147_483_648,
    4_294_967_295,
    4_294_967_296,
    i64::MAX,
];
const HOSTS: [&str; 8] = [
    "one.test",
    "two.test",
    "ONE.test",
    "*.test",
    "a\r.test",
    "",
    "-",
    "three.test",
];
const ADDRESSES: [&str; 6] = [
    "127.0.0.1",
    "::1",
    "0.0.0.0",
    "fe80::1",
    "::ffff:1.2.3.4",
    "10.0.0.1",
];
const STRATEGIES: [&str; 5] = ["", "Cookie", "Random", "WeightedLeastRequest", "\r"];
const PROTOCOLS: [Protocol; 4] = [Protocol::Http1, Protocol::H2, Protocol::H2c, Protocol::Tls];
const SERVICES: [&str; 3] = ["a", "b", "c"];
const DELEGATES: [&str; 4] = ["d", "e", "f", "a\nb"];
const PORT: u16 = 80;

/// The random bytes that make each choice; 0 once they are used up.
struct Dice<'a>(std::slice::Iter<'a, u8>);

// === impl Dice ===

impl Dice<'_> {
    fn roll(&mut self, sides: u8) -> u8 {
        self.0.next().copied().unwrap_or_default() % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let sides = u8::try_from(of.len()).unwrap_or(u8::MAX);
        of[usize::from(self.roll(sides))]
    }

    /// True once in `times` on average, so that most of a spec is valid.
    fn rarely(&mut self, times: u8) -> bool {
        self.roll(times) == times - 1
    }

    fn text(&mut self) -> Value {
        self.pick(&TEXTS).into()
    }

    fn word(&mut self) -> Value {
        self.pick(&WORDS).into()
    }

    fn number(&mut self) -> Value {
        self.pick(&NUMBERS).into()
    }
}

/// Three Services with endpoints, two roots, and the IngressRoutes they delegate to.
pub(super) fn objects(data: &[u8]) -> Vec<Object> {
    let mut dice = Dice(data.iter());
    let mut objects = Vec::new();
    for name in SERVICES {
        objects.push(service(&mut dice, name));
        objects.push(slice(&mut dice, name));
    }
    for name in ["root", "other"] {
        let mut virtualhost = level(&mut dice);
        virtualhost.insert("fqdn".to_owned(), dice.pick(&HOSTS).into());
        let mut spec = json!({"virtualhost": virtualhost, "routes": routes(&mut dice)});
        if dice.rarely(6) {
            spec["virtualhost"]["tls"] = json!({"passthrough": true});
            spec["tcpproxy"] = json!({"services": services(&mut dice)});
        }
        objects.extend(ingress_route(name, spec));
    }
    for name in DELEGATES {
        let spec = json!({"routes": routes(&mut dice)});
        objects.extend(ingress_route(name, spec));
    }
    objects
}

fn service(dice: &mut Dice<'_>, name: &str) -> Object {
    let limit = |dice: &mut Dice<'_>| u32::try_from(dice.pick(&NUMBERS)).ok();
    Object::Service(Service {
        name: Name::new("default", name),
        ports: vec![ServicePort {
            name: String::new(),
            port: PORT,
            protocol: dice.pick(&PROTOCOLS),
        }],
        external_name: None,
        limits: Limits {
            max_connections: limit(dice),
            max_pending_requests: limit(dice),
            max_requests: limit(dice),
            max_retries: limit(dice),
        },
    })
}

fn slice(dice: &mut Dice<'_>, service: &str) -> Object {
    let addresses = (0..dice.roll(4)).filter_map(|_| dice.pick(&ADDRESSES).parse().ok());
    Object::EndpointSlice(EndpointSlice {
        name: Name::new("default", format!("{service}-1")),
        service: service.into(),
        ports: BTreeMap::from([(String::new(), PORT)]),
        endpoints: vec![SliceEndpoint {
            addresses: addresses.map(Address::Ip).collect(),
            ready: true,
        }],
    })
}

/// None if the spec does not deserialize into the types.
fn ingress_route(name: &str, spec: Value) -> Option<Object> {
    Some(Object::from(IngressRoute {
        name: Name::new("default", name),
        generation: 1,
        created: Created::Unknown,
        spec: serde_json::from_value(spec).ok()?,
        unknown: UnknownFields::default(),
    }))
}

fn routes(dice: &mut Dice<'_>) -> Value {
    (0..=dice.roll(4)).map(|_| route(dice)).collect()
}

fn route(dice: &mut Dice<'_>) -> Value {
    let mut route = level(dice);
    route.insert("match".to_owned(), dice.text());
    if dice.rarely(3) {
        route.insert("prefixRewrite".to_owned(), dice.text());
    }
    if dice.rarely(3) {
        route.insert("delegate".to_owned(), delegate(dice));
    } else {
        route.insert("services".to_owned(), services(dice));
        route.insert("enableWebsockets".to_owned(), dice.rarely(2).into());
    }
    route.into()
}

fn delegate(dice: &mut Dice<'_>) -> Value {
    let mut delegate = json!({"name": dice.pick(&DELEGATES), "standby": [dice.pick(&DELEGATES)]});
    if dice.rarely(3) {
        delegate["preview"] = json!({"header": dice.word(), "value": dice.word()});
    }
    if dice.rarely(3) {
        delegate["canary"] = json!({"percent": dice.number()});
    }
    if dice.rarely(3) {
        delegate["sticky"] = json!({"cookie": dice.word(), "ttlSeconds": dice.number()});
    }
    delegate
}

fn services(dice: &mut Dice<'_>) -> Value {
    (0..=dice.roll(3)).map(|_| service_use(dice)).collect()
}

fn service_use(dice: &mut Dice<'_>) -> Value {
    let mut service = json!({"name": dice.pick(&SERVICES), "port": PORT, "strategy": dice.pick(&STRATEGIES)});
    if dice.rarely(3) {
        service["weight"] = dice.number();
    }
    if dice.rarely(3) {
        service["healthCheck"] = json!({
            "path": dice.text(),
            "host": dice.word(),
            "intervalSeconds": dice.number(),
            "timeoutSeconds": dice.number(),
            "unhealthyThresholdCount": dice.number(),
            "healthyThresholdCount": dice.number(),
        });
    }
    service
}

/// The fields that a virtualhost and a route have in common.
fn level(dice: &mut Dice<'_>) -> Map<String, Value> {
    let mut level = Map::new();
    let mut add = |field: &str, value: Value| drop(level.insert(field.to_owned(), value));
    if dice.rarely(3) {
        add("timeoutPolicy", json!({"request": dice.pick(&DURATIONS)}));
    }
    if dice.rarely(3) {
        let limit = dice.pick(&DURATIONS);
        add(
            "retryPolicy",
            json!({"count": dice.number(), "perTryTimeout": limit}),
        );
    }
    if dice.rarely(6) {
        let header = json!({"name": dice.word(), "value": dice.word()});
        add(
            "headers",
            json!({"request": {"set": [header]}, "response": {"remove": [dice.word()]}}),
        );
    }
    if dice.rarely(6) {
        let mirror = json!({"service": dice.pick(&SERVICES), "port": PORT, "percent": dice.number()});
        add("mirror", json!([mirror]));
    }
    if dice.rarely(6) {
        let limit = json!({"requests": dice.number(), "unit": "minute", "key": [{"header": dice.word()}],
            "status": dice.number()});
        add("rateLimits", json!([limit]));
    }
    if dice.rarely(6) {
        add(
            "cors",
            json!({"allowOrigins": [dice.word()], "allowHeaders": [dice.word()], "maxAgeSeconds": dice.number()}),
        );
    }
    level
}
