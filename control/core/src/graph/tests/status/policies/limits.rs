//! Of rateLimits and concurrency.

use super::*;

#[test]
fn rate_limit_texts() {
    let exactly = "must have exactly one of requests with unit, and global";
    let count = "must be in the range 1-4294967295";
    let global_limit = || global(json!({}))["rateLimits"][0].clone();
    let beside = |more: Value| json!({"rateLimits": [merged(global_limit(), more)]});
    let beside_text = "burst and key are for limits with requests and unit: leave them out";
    check_wrong(vec![
        wrong(json!({"concurrency": {"max": 0}}), "concurrency.max", count),
        wrong(json!({"rateLimits": [{}]}), "rateLimits[0]", exactly),
        wrong(
            json!({"rateLimits": [{"unit": "second"}]}),
            "rateLimits[0]",
            exactly,
        ),
        wrong(beside(json!({"unit": "second"})), "rateLimits[0]", exactly),
        wrong(beside(json!({"requests": 1})), "rateLimits[0]", exactly),
        wrong(beside(json!({"burst": 1})), "rateLimits[0]", beside_text),
        wrong(
            beside(json!({"key": [{"path": {}}]})),
            "rateLimits[0]",
            beside_text,
        ),
        wrong(
            json!({"rateLimits": [{"requests": 1}]}),
            "rateLimits[0].unit",
            "must not be empty",
        ),
        wrong(
            limit(json!({"unit": "week"})),
            "rateLimits[0].unit",
            "\"week\" must be one of second, minute, hour and day",
        ),
        wrong(limit(json!({"requests": 0})), "rateLimits[0].requests", count),
        wrong(
            limit(json!({"requests": 4_294_967_296u64})),
            "rateLimits[0].requests",
            count,
        ),
        wrong(limit(json!({"burst": 0})), "rateLimits[0].burst", count),
        wrong(
            limit(json!({"status": 200})),
            "rateLimits[0].status",
            "must be in the range 400-599",
        ),
    ]);
}

#[test]
fn rate_limit_key_texts() {
    let parts = "must have exactly one of clientIP, header, cookie, claim, path and method";
    check_wrong(vec![
        wrong(limit(json!({"key": [{}]})), "rateLimits[0].key[0]", parts),
        wrong(
            limit(json!({"key": [{"path": {}}, {"path": {}, "header": "x"}]})),
            "rateLimits[0].key[1]",
            parts,
        ),
        wrong(
            limit(json!({"key": [{"clientIP": {"ipv6PrefixLength": 129}}]})),
            "rateLimits[0].key[0].clientIP.ipv6PrefixLength",
            "must be in the range 1-128",
        ),
        wrong(
            limit(json!({"key": [{"clientIP": {"ipv4PrefixLength": 0}}]})),
            "rateLimits[0].key[0].clientIP.ipv4PrefixLength",
            "must be in the range 1-32",
        ),
        wrong(
            limit(json!({"key": [{"header": "a b"}]})),
            "rateLimits[0].key[0].header",
            "\"a b\" is not a header name",
        ),
        wrong(
            limit(json!({"key": [{"header": "X-Switchyard-User"}]})),
            "rateLimits[0].key[0].header",
            "header \"X-Switchyard-User\" is one that requests never have here: match and key cannot go by it",
        ),
        wrong(
            limit(json!({"key": [{"cookie": "a b"}]})),
            "rateLimits[0].key[0].cookie",
            "\"a b\" is not a cookie name",
        ),
        wrong(
            limit(json!({"key": [{"claim": ""}]})),
            "rateLimits[0].key[0].claim",
            "must not be empty",
        ),
        wrong(
            limit(json!({"key": vec![json!({"path": {}}); 9]})),
            "rateLimits[0].key",
            "must have 8 entries at most",
        ),
        wrong(
            json!({"rateLimits": vec![json!({"requests": 1, "unit": "day"}); 17]}),
            "rateLimits",
            "must have 16 entries at most",
        ),
        wrong(
            json!({"concurrency": {"max": 1, "key": [{}]}}),
            "concurrency.key[0]",
            parts,
        ),
    ]);
}

#[test]
fn match_texts() {
    let matched = |when: Value| limit(json!({"match": when}));
    let printable = "must be printable, without spaces at its ends";
    check_wrong(vec![
        wrong(
            matched(json!({"methods": ["GET", "a b"]})),
            "rateLimits[0].match.methods[1]",
            "\"a b\" is not a method",
        ),
        wrong(
            matched(json!({"prefix": "shop"})),
            "rateLimits[0].match.prefix",
            "\"shop\" must start with \"/\"",
        ),
        wrong(
            matched(json!({"prefix": "/cart"})),
            "rateLimits[0].match.prefix",
            "no request has the prefix \"/cart\": the paths of this route begin with \"/shop\"",
        ),
        wrong(
            matched(json!({"headers": [{"name": ""}]})),
            "rateLimits[0].match.headers[0].name",
            "\"\" is not a header name",
        ),
        wrong(
            matched(json!({"headers": [{"name": "Host", "value": "a.com"}]})),
            "rateLimits[0].match.headers[0].name",
            "header \"Host\" is one that requests never have here: match and key cannot go by it",
        ),
        wrong(
            matched(json!({"headers": [{"name": "x", "value": " a"}]})),
            "rateLimits[0].match.headers[0].value",
            printable,
        ),
    ]);
}

#[test]
fn global_rate_limit_texts() {
    let service = |service: Value| global(json!({"service": service}));
    let entries = |entries: Value| global(json!({"descriptors": [{"entries": entries}]}));
    check_wrong(vec![
        wrong(
            service(json!({"name": "gone", "port": 8080})),
            "rateLimits[0].global.service.name",
            "Service default/gone not found",
        ),
        wrong(
            service(json!({"name": "", "port": 8080})),
            "rateLimits[0].global.service.name",
            "must not be empty",
        ),
        wrong(
            service(json!({"name": "home", "port": 81})),
            "rateLimits[0].global.service.port",
            "Service default/home has no port 81",
        ),
        wrong(
            service(json!({"name": "home", "port": 65536})),
            "rateLimits[0].global.service.port",
            "must be in the range 1-65535",
        ),
        wrong(
            global(json!({"domain": ""})),
            "rateLimits[0].global.domain",
            "must not be empty",
        ),
        wrong(
            global(json!({"descriptors": []})),
            "rateLimits[0].global.descriptors",
            "must not be empty",
        ),
        wrong(
            entries(json!([])),
            "rateLimits[0].global.descriptors[0].entries",
            "must not be empty",
        ),
        wrong(
            entries(json!([{"value": "a"}])),
            "rateLimits[0].global.descriptors[0].entries[0].key",
            "must not be empty",
        ),
        wrong(
            entries(json!([{"key": "a"}])),
            "rateLimits[0].global.descriptors[0].entries[0]",
            "must have exactly one of value and from",
        ),
        wrong(
            entries(json!([{"key": "a", "value": "a\nb"}])),
            "rateLimits[0].global.descriptors[0].entries[0].value",
            "\"a\\nb\" holds a control character",
        ),
        wrong(
            global(json!({"timeout": "2m"})),
            "rateLimits[0].global.timeout",
            "\"2m\" must be a duration from 1ms to 1m, such as 200ms",
        ),
        wrong(
            global(json!({"onFailure": "pass"})),
            "rateLimits[0].global.onFailure",
            "\"pass\" must be one of deny and allow",
        ),
    ]);
}
