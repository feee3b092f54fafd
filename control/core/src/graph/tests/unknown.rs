//! Parts of a spec with an unknown field answer 503, and nothing else changes.

use super::{
    oracle::{Answer, Request, by_table},
    *,
};
use crate::object::{SpecPart, UnknownField, UnknownFields};

fn field(part: SpecPart, path: &str) -> UnknownField {
    UnknownField {
        part,
        path: path.to_owned(),
        message: "unknown field \"Auth\": did you mean \"auth\"?".to_owned(),
    }
}

fn with(object: Object, unknown: UnknownFields) -> Object {
    match object {
        Object::IngressRoute(route) => Object::from(IngressRoute { unknown, ..*route }),
        other => other,
    }
}

fn refusing(object: Object, part: SpecPart, path: &str) -> Object {
    let refused = vec![field(part, path)];
    with(
        object,
        UnknownFields {
            refused,
            ..UnknownFields::default()
        },
    )
}

fn answer(graph: &Graph, path: &str) -> Answer {
    let request = Request {
        fqdn: "example.com",
        path,
        tls: false,
        branches: &[0],
    };
    by_table(graph.table(), request)
}

fn errors(graph: &Graph, text: &str) -> Vec<(String, String)> {
    let status = graph.status(&name(text)).unwrap();
    let error = |error: &crate::status::StatusError| (error.field.clone(), error.message.clone());
    status.errors.iter().map(error).collect()
}

/// Which of these paths answer 503.
fn down<'a>(graph: &Graph, paths: &[&'a str]) -> Vec<&'a str> {
    let is_down = |path: &&&str| answer(graph, path) == Answer::Unavailable;
    paths.iter().filter(is_down).copied().collect()
}

#[test]
fn route_with_an_unknown_field_answers_503_and_others_are_served() {
    let routes = json!([leaf("/"), leaf("/admin"), leaf("/admin/open")]);
    let root = root("root", "example.com", routes);
    let root = refusing(root, SpecPart::Route(1), "spec.routes[1].Auth");
    let graph = graph([root, service("home")]);
    let paths = ["/", "/admin", "/admin/x", "/admin/open"];
    assert_eq!(down(&graph, &paths), ["/admin", "/admin/x"]);
    let message = "route \"/admin\": unknown field \"Auth\": did you mean \"auth\"?".to_owned();
    assert_eq!(
        errors(&graph, "root"),
        [("spec.routes[1].Auth".to_owned(), message)]
    );
}

#[test]
fn virtualhost_with_an_unknown_field_takes_the_host_down() {
    let root = root("root", "example.com", json!([leaf("/"), leaf("/admin")]));
    let root = refusing(root, SpecPart::VirtualHost, "spec.virtualhost.auths");
    let graph = graph([root, service("home")]);
    assert_eq!(down(&graph, &["/", "/admin"]), ["/", "/admin"]);
}

#[test]
fn route_of_a_delegate_with_an_unknown_field_answers_503() {
    let root = root("root", "example.com", json!([to("/", "blue")]));
    let blue = delegate("blue", json!([leaf("/"), leaf("/admin")]));
    let blue = refusing(blue, SpecPart::Route(1), "spec.routes[1].auth[0].Basic");
    let graph = graph([root, blue, service("home")]);
    assert_eq!(down(&graph, &["/", "/admin"]), ["/admin"]);
}

/// Nobody knows which paths it was to guard.
#[test]
fn unknown_field_beside_no_match_takes_all_routes_down() {
    let root = root("root", "example.com", json!([leaf("/"), {"services": []}]));
    let root = refusing(root, SpecPart::Route(1), "spec.routes[1].Match");
    let graph = graph([root, service("home")]);
    assert_eq!(down(&graph, &["/", "/admin"]), ["/", "/admin"]);
}

#[test]
fn unknown_field_of_a_tcpproxy_or_its_virtualhost_closes_connections() {
    for (part, path) in [
        (SpecPart::TcpProxy, "spec.tcpproxy.services[0].validate"),
        (SpecPart::VirtualHost, "spec.virtualhost.Auth"),
    ] {
        let spec = json!({
            "virtualhost": {"fqdn": "example.com", "tls": {"passthrough": true}},
            "tcpproxy": {"services": [{"name": "home", "port": 8080}]},
        });
        let root = ingress_route("root", spec);
        let served = graph([root.clone(), service("home")]);
        assert_ne!(served.table().hosts["example.com"].tls, None);
        let down = graph([refusing(root, part, path), service("home")]);
        assert_ne!(
            down.table().hosts["example.com"].tls,
            served.table().hosts["example.com"].tls,
            "{path}"
        );
        assert!(!errors(&down, "root").is_empty(), "{path}");
    }
}

#[test]
fn field_that_the_api_server_left_out_is_a_warning() {
    let root = root("root", "example.com", json!([leaf("/")]));
    let left_out = vec![field(SpecPart::Route(0), "spec.routes[0].Auth")];
    let unknown = UnknownFields {
        left_out,
        ..UnknownFields::default()
    };
    let graph = graph([with(root, unknown), service("home")]);
    let status = graph.status(&name("root")).unwrap();
    assert_eq!(status.errors, []);
    assert_eq!(
        status.description(),
        "valid IngressRoute; warning: route \"/\": unknown field \"Auth\": did you mean \"auth\"?"
    );
    assert_eq!(down(&graph, &["/"]), [""; 0]);
}
