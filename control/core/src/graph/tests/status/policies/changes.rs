//! Of mirror, headers and cors.

use super::*;

#[test]
fn mirror_texts() {
    let mirror = |more: Value| json!({"mirror": [merged(json!({"service": "home", "port": 8080}), more)]});
    check_wrong(vec![
        wrong(
            mirror(json!({"service": "gone"})),
            "mirror[0].service",
            "Service default/gone not found",
        ),
        wrong(
            mirror(json!({"port": 81})),
            "mirror[0].port",
            "Service default/home has no port 81",
        ),
        wrong(
            mirror(json!({"percent": 101})),
            "mirror[0].percent",
            "must be in the range 0-100",
        ),
        wrong(
            json!({"mirror": vec![json!({"service": "home", "port": 8080}); 9]}),
            "mirror",
            "must have 8 entries at most",
        ),
    ]);
}

#[test]
fn cors_texts() {
    let cors = |more: Value| json!({"cors": merged(json!({"allowOrigins": ["https://a.com"]}), more)});
    let origin = |given: &'static str| {
        let text = "must be *, or an origin such as https://www.example.com or https://*.example.com";
        let cors = cors(json!({"allowOrigins": [given]}));
        (cors, "cors.allowOrigins[0]", format!("{given:?} {text}"))
    };
    let credentials = |field: &str| cors(json!({field: ["*"], "allowCredentials": true}));
    let wildcard = "* must not stand beside allowCredentials: name what is allowed";
    check_wrong(vec![
        wrong(
            cors(json!({"allowOrigins": []})),
            "cors.allowOrigins",
            "must not be empty",
        ),
        wrong(credentials("allowOrigins"), "cors.allowOrigins[0]", wildcard),
        wrong(credentials("allowMethods"), "cors.allowMethods[0]", wildcard),
        wrong(credentials("allowHeaders"), "cors.allowHeaders[0]", wildcard),
        wrong(credentials("exposeHeaders"), "cors.exposeHeaders[0]", wildcard),
        wrong(
            cors(json!({"maxAgeSeconds": 86401})),
            "cors.maxAgeSeconds",
            "must be in the range 0-86400",
        ),
        origin("www.example.com"),
        origin("https://www.example.com/"),
        origin("https://*"),
        origin("https://a.*.com"),
        origin("https://a.com:0"),
        origin("null"),
        origin("ftp://a.com"),
    ]);
}

/// What changes a request, as `headers` says it.
fn request(edits: Value) -> Value {
    json!({"headers": {"request": edits}})
}

fn set(name: &str, value: &str) -> Value {
    json!({"set": [{"name": name, "value": value}]})
}

#[test]
fn header_texts() {
    check_wrong(vec![
        wrong(
            request(set("a b", "c")),
            "headers.request.set[0].name",
            "\"a b\" is not a header name",
        ),
        wrong(
            request(set(":path", "/admin")),
            "headers.request.set[0].name",
            "\":path\" is not a header name",
        ),
        wrong(
            request(set("x", "a\r\nb: c")),
            "headers.request.set[0].value",
            "must be printable, without spaces at its ends",
        ),
        wrong(
            request(set("x", "")),
            "headers.request.set[0].value",
            "must be printable, without spaces at its ends",
        ),
    ]);
}

#[test]
fn reserved_header_texts() {
    let mut cases = Vec::new();
    for name in [
        "Host",
        "connection",
        "Content-Length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "Transfer-Encoding",
        "upgrade",
        "x-switchyard-route",
        "X-Envoy-Max-Retries",
    ] {
        let text =
            format!("header {name:?} belongs to the proxy or to the connection: no policy may change it");
        let remove = json!({"remove": [name]});
        cases.push((
            request(set(name, "a")),
            "headers.request.set[0].name",
            text.clone(),
        ));
        cases.push((
            request(json!({"add": [{"name": name, "value": "a"}]})),
            "headers.request.add[0].name",
            text.clone(),
        ));
        cases.push((request(remove.clone()), "headers.request.remove[0]", text.clone()));
        let response = json!({"headers": {"response": remove}});
        cases.push((response, "headers.response.remove[0]", text));
    }
    check_wrong(cases);
}
