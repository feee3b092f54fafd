//! What is wrong with a route, and with its services.

use super::*;

#[test]
fn route_texts() {
    let route = |fields: Value| fields;
    check(
        &Settings::default(),
        vec![
            bad_route(
                "match",
                leaf("foo"),
                vec![(
                    "spec.routes[0].match",
                    "route \"foo\": match must start with \"/\"",
                )],
            ),
            bad_root(
                "the same match twice",
                json!({"virtualhost": {"fqdn": "example.com"}, "routes": [leaf("/foo"), leaf("/foo/")]}),
                vec![(
                    "spec.routes[1].match",
                    "route \"/foo/\": an earlier route of this IngressRoute has the same match",
                )],
            ),
            bad_route(
                "services and delegate",
                route(
                    json!({"match": "/foo", "services": [{"name": "home", "port": 8080}],
                    "delegate": {"name": "blue"}}),
                ),
                vec![(
                    "spec.routes[0]",
                    "route \"/foo\": cannot specify services and delegate in the same route",
                )],
            ),
            bad_route(
                "neither services nor delegate",
                route(json!({"match": "/foo"})),
                vec![(
                    "spec.routes[0]",
                    "route \"/foo\": either services or delegate must be specified",
                )],
            ),
            bad_route(
                "prefixRewrite",
                route(json!({"match": "/foo", "prefixRewrite": "bar",
                    "services": [{"name": "home", "port": 8080}]})),
                vec![(
                    "spec.routes[0].prefixRewrite",
                    "route \"/foo\": prefixRewrite must start with \"/\"",
                )],
            ),
            bad_root(
                "every error, in the order of the fields",
                json!({"virtualhost": {"fqdn": ""}, "routes": [{"match": "/a"}, {"match": "/b"}]}),
                vec![
                    ("spec.virtualhost.fqdn", "Spec.VirtualHost.Fqdn must be specified"),
                    (
                        "spec.routes[0]",
                        "route \"/a\": either services or delegate must be specified",
                    ),
                    (
                        "spec.routes[1]",
                        "route \"/b\": either services or delegate must be specified",
                    ),
                ],
            ),
        ],
    );
}

#[test]
fn service_texts() {
    check(
        &Settings::default(),
        vec![
            bad_service(
                "port",
                json!({"name": "home", "port": 99999}),
                vec![(
                    "spec.routes[0].services[0].port",
                    "route \"/foo\": service \"home\": port must be in the range 1-65535",
                )],
            ),
            bad_service(
                "port 0",
                json!({"name": "home"}),
                vec![(
                    "spec.routes[0].services[0].port",
                    "route \"/foo\": service \"home\": port must be in the range 1-65535",
                )],
            ),
            bad_service(
                "weight",
                json!({"name": "home", "port": 8080, "weight": -1}),
                vec![(
                    "spec.routes[0].services[0].weight",
                    "route \"/foo\": service \"home\": weight must be greater than or equal to zero",
                )],
            ),
            bad_route(
                "sum of weights",
                json!({"match": "/foo", "services": [
                    {"name": "home", "port": 8080, "weight": 4_294_967_295u32},
                    {"name": "home", "port": 8080, "weight": 1}]}),
                vec![(
                    "spec.routes[0].services",
                    "route \"/foo\": the weights of its services add up to more than 4294967295",
                )],
            ),
            bad_service(
                "missing service",
                json!({"name": "away", "port": 8080}),
                vec![(
                    "spec.routes[0].services[0].name",
                    "Service [away:8080] is invalid or missing",
                )],
            ),
            bad_service(
                "missing port",
                json!({"name": "home", "port": 8081}),
                vec![(
                    "spec.routes[0].services[0].name",
                    "Service [home:8081] is invalid or missing",
                )],
            ),
            bad_service(
                "every error of a service",
                json!({"name": "away", "port": 8080, "weight": -1}),
                vec![
                    (
                        "spec.routes[0].services[0].name",
                        "Service [away:8080] is invalid or missing",
                    ),
                    (
                        "spec.routes[0].services[0].weight",
                        "route \"/foo\": service \"away\": weight must be greater than or equal to zero",
                    ),
                ],
            ),
        ],
    );
}

#[test]
fn validation_texts() {
    let case = |rule, secrets: Vec<Object>, validation: Value, error| {
        let service = json!({"name": "secure", "port": 8080, "validation": validation});
        let routes = json!([{"match": "/foo", "services": [service]}]);
        let objects = [
            root("root", "example.com", routes),
            Object::Service(service_with("secure", Protocol::Tls)),
        ];
        Case {
            rule,
            objects: objects.into_iter().chain(secrets).collect(),
            about: "root",
            state: State::Invalid,
            errors: vec![error],
        }
    };
    let validation = || json!({"caSecret": "ca", "subjectName": "example.com"});
    let ca = "spec.routes[0].services[0].validation.caSecret";
    check(
        &Settings::default(),
        vec![
            case(
                "missing CA",
                vec![],
                validation(),
                (
                    ca,
                    "Service [secure:8080] TLS upstream validation policy error: \
                     invalid CA Secret \"default/ca\": Secret not found",
                ),
            ),
            case(
                "empty CA",
                vec![secret("ca", "Opaque", &[])],
                validation(),
                (
                    ca,
                    "Service [secure:8080] TLS upstream validation policy error: \
                     invalid CA Secret \"default/ca\": empty \"ca.crt\" key",
                ),
            ),
            case(
                "no PEM",
                vec![faulty(ca_secret("ca"), PemFault::Authority)],
                validation(),
                (
                    ca,
                    "Service [secure:8080] TLS upstream validation policy error: \
                     invalid CA Secret \"default/ca\": \"ca.crt\" holds no certificate in PEM, or something that is damaged",
                ),
            ),
            case(
                "missing subject name",
                vec![ca_secret("ca")],
                json!({"caSecret": "ca"}),
                (
                    "spec.routes[0].services[0].validation.subjectName",
                    "Service [secure:8080] TLS upstream validation policy error: missing subject alternative name",
                ),
            ),
        ],
    );
}

#[test]
fn health_check_texts() {
    check(
        &Settings::default(),
        vec![
            bad_service(
                "health check path",
                json!({"name": "home", "port": 8080, "healthCheck": {"path": "healthy"}}),
                vec![(
                    "spec.routes[0].services[0].healthCheck.path",
                    "route \"/foo\": service \"home\": healthCheck path must start with \"/\"",
                )],
            ),
            bad_service(
                "health check number",
                json!({"name": "home", "port": 8080, "healthCheck": {"path": "/", "intervalSeconds": -1}}),
                vec![(
                    "spec.routes[0].services[0].healthCheck",
                    "route \"/foo\": service \"home\": healthCheck numbers must be in the range 0-4294967295",
                )],
            ),
        ],
    );
}
