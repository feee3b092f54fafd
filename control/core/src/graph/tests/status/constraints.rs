//! Values that Envoy refuses.

use super::*;
use crate::table::{HostRoute, Timeout};
use std::time::Duration;

#[test]
fn paths_that_envoy_refuses_are_errors() {
    check(
        &Settings::default(),
        vec![
            bad_route(
                "a match that no path has",
                leaf("/foo?bar"),
                vec![(
                    "spec.routes[0].match",
                    "route \"/foo?bar\": match must not contain '?': no path of a request has it",
                )],
            ),
            bad_route(
                "a control character in match",
                leaf("/foo\r"),
                vec![(
                    "spec.routes[0].match",
                    "route \"/foo\\r\": match must not contain '\\r': no path of a request has it",
                )],
            ),
            bad_route(
                "a control character in prefixRewrite",
                json!({"match": "/foo", "prefixRewrite": "/\n",
                    "services": [{"name": "home", "port": 8080}]}),
                vec![(
                    "spec.routes[0].prefixRewrite",
                    "route \"/foo\": prefixRewrite must not contain '\\n': no path of a request has it",
                )],
            ),
            bad_route(
                "a control character in prefixRewrite of a delegating route",
                json!({"match": "/foo", "prefixRewrite": "/\u{0}", "delegate": {"name": "blue"}}),
                vec![(
                    "spec.routes[0].prefixRewrite",
                    "route \"/foo\": prefixRewrite must not contain '\\0': no path of a request has it",
                )],
            ),
            bad_route(
                "a prefixRewrite that upstreams read differently",
                json!({"match": "/foo", "prefixRewrite": "/a b",
                    "services": [{"name": "home", "port": 8080}]}),
                vec![(
                    "spec.routes[0].prefixRewrite",
                    "route \"/foo\": prefixRewrite \"/a b\" is no plain path: it starts with `/`, and has no `..`, `//`, `?`, `#`, encoded slash or space",
                )],
            ),
        ],
    );
}

#[test]
fn timeouts_beyond_the_range_of_envoy_are_errors() {
    check(
        &Settings::default(),
        vec![
            bad_route(
                "timeouts beyond the range of Envoy, of a route with services",
                json!({"match": "/foo", "services": [{"name": "home", "port": 8080}],
                    "timeoutPolicy": {"request": "9223372036s"},
                    "retryPolicy": {"perTryTimeout": "99999999999999999999h"}}),
                vec![
                    (
                        "spec.routes[0].retryPolicy.perTryTimeout",
                        "route \"/foo\": retryPolicy.perTryTimeout: \"99999999999999999999h\" is longer than \
                         9223372035s, the longest duration that Envoy accepts",
                    ),
                    (
                        "spec.routes[0].timeoutPolicy.request",
                        "route \"/foo\": timeoutPolicy.request: \"9223372036s\" is longer than 9223372035s, the \
                         longest duration that Envoy accepts",
                    ),
                ],
            ),
            bad_route(
                "a timeout beyond the range of Envoy, of a delegating route",
                json!({"match": "/foo", "delegate": {"name": "blue"},
                    "timeoutPolicy": {"request": "9223372035.5s"}}),
                vec![(
                    "spec.routes[0].timeoutPolicy.request",
                    "route \"/foo\": timeoutPolicy.request: \"9223372035.5s\" is longer than 9223372035s, the \
                     longest duration that Envoy accepts",
                )],
            ),
        ],
    );
}

#[test]
fn health_checks_with_control_characters_are_errors() {
    let health_check = |path: &str, host: &str| json!({"name": "home", "port": 8080, "healthCheck": {"path": path, "host": host}});
    check(
        &Settings::default(),
        vec![
            bad_service(
                "path",
                health_check("/\r", ""),
                vec![(
                    "spec.routes[0].services[0].healthCheck.path",
                    "route \"/foo\": service \"home\": healthCheck path must not contain control characters",
                )],
            ),
            bad_service(
                "host",
                health_check("/", "a\u{7f}"),
                vec![(
                    "spec.routes[0].services[0].healthCheck.host",
                    "route \"/foo\": service \"home\": healthCheck host must not contain control characters",
                )],
            ),
        ],
    );
}

#[test]
fn subject_names_that_cannot_be_sent_as_sni_are_errors() {
    for subject_name in ["a\0b".to_owned(), "a".repeat(256)] {
        let validation = json!({"caSecret": "ca", "subjectName": subject_name});
        let service = json!({"name": "secure", "port": 8080, "validation": validation});
        let case = Case {
            rule: "subject name",
            objects: vec![
                root(
                    "root",
                    "example.com",
                    json!([{"match": "/foo", "services": [service]}]),
                ),
                Object::Service(service_with("secure", Protocol::Tls)),
                ca_secret("ca"),
            ],
            about: "root",
            state: State::Invalid,
            errors: vec![(
                "spec.routes[0].services[0].validation.subjectName",
                "Service [secure:8080] TLS upstream validation policy error: the subject alternative name must have at \
                 most 255 bytes and no control characters",
            )],
        };
        check(&Settings::default(), vec![case]);
    }
}

#[test]
fn timeouts_are_whole_milliseconds_and_never_rounded_down_to_none() {
    let route = json!({"match": "/", "services": [{"name": "home", "port": 8080}],
        "timeoutPolicy": {"request": "1ns"}, "retryPolicy": {"perTryTimeout": "1.0001s"}});
    let graph = graph([root("root", "example.com", json!([route])), service("home")]);
    let Some(HostRoute::Plain(route)) = host(&graph, "example.com").http.routes.get("/") else {
        panic!("no plain route");
    };
    assert_eq!(
        route.template.timeout,
        Some(Timeout::After(Duration::from_millis(1)))
    );
    let per_try = route.template.retry.and_then(|retry| retry.per_try_timeout);
    assert_eq!(per_try, Some(Duration::from_millis(1001)));
}
