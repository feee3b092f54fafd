//! Every text, and the field where it stands.

mod constraints;
mod delegation;
mod policies;
mod routes;
mod tcp;

use super::*;
use crate::status::{State, StatusError};

/// One case: objects, and what one IngressRoute is told.
struct Case {
    rule: &'static str,
    objects: Vec<Object>,
    about: &'static str,
    state: State,
    errors: Vec<(&'static str, &'static str)>,
}

fn check(settings: &Settings, cases: Vec<Case>) {
    for Case {
        rule,
        objects,
        about,
        state,
        errors,
    } in cases
    {
        let graph = graph_with(settings.clone(), objects);
        let status = graph.status(&name(about)).unwrap();
        let error = |(field, message): (&str, &str)| StatusError {
            field: field.to_owned(),
            message: message.to_owned(),
        };
        let errors: Vec<_> = errors.into_iter().map(error).collect();
        assert_eq!(status.errors, errors, "{rule}");
        assert_eq!(status.state, state, "{rule}");
    }
}

/// What is wrong with the root `default/root`.
fn bad_root(rule: &'static str, spec: Value, errors: Vec<(&'static str, &'static str)>) -> Case {
    Case {
        rule,
        objects: vec![ingress_route("root", spec), service("home")],
        about: "root",
        state: State::Invalid,
        errors,
    }
}

/// What is wrong with the only route of the root `default/root`.
fn bad_route(rule: &'static str, route: Value, errors: Vec<(&'static str, &'static str)>) -> Case {
    let spec = json!({"virtualhost": {"fqdn": "example.com"}, "routes": [route]});
    let mut case = bad_root(rule, spec, errors);
    case.objects.push(delegate("blue", json!([leaf("/foo")])));
    case.objects.push(delegate("green", json!([leaf("/foo")])));
    case
}

/// What is wrong with a service of the only route of the root `default/root`.
fn bad_service(rule: &'static str, service: Value, errors: Vec<(&'static str, &'static str)>) -> Case {
    bad_route(rule, json!({"match": "/foo", "services": [service]}), errors)
}

/// What is wrong with `delegate` on the route `/foo` of the root `default/root`.
fn bad_delegate(rule: &'static str, delegate: Value, errors: Vec<(&'static str, &'static str)>) -> Case {
    bad_route(rule, json!({"match": "/foo", "delegate": delegate}), errors)
}

#[test]
fn valid_and_orphaned() {
    let objects = || {
        vec![
            root("root", "example.com", json!([to("/blog", "blog")])),
            delegate("blog", json!([leaf("/blog")])),
            delegate("other", json!([leaf("/blog")])),
            service("home"),
        ]
    };
    let case = |about, state| Case {
        rule: about,
        objects: objects(),
        about,
        state,
        errors: vec![],
    };
    check(
        &Settings::default(),
        vec![
            case("root", State::Valid),
            case("blog", State::Valid),
            case("other", State::Orphaned),
        ],
    );
    let graph = graph(objects());
    let description = |about| graph.status(&name(about)).unwrap().description();
    assert_eq!(description("root"), "valid IngressRoute");
    let orphaned = "this IngressRoute is not part of a delegation chain from a root IngressRoute";
    assert_eq!(description("other"), orphaned);
}

#[test]
fn virtualhost_texts() {
    let with_fqdn = |fqdn: &str| json!({"virtualhost": {"fqdn": fqdn}, "routes": [leaf("/")]});
    let field = "spec.virtualhost.fqdn";
    check(
        &Settings::default(),
        vec![
            bad_root(
                "no fqdn",
                with_fqdn(""),
                vec![(field, "Spec.VirtualHost.Fqdn must be specified")],
            ),
            bad_root(
                "blank fqdn",
                with_fqdn("  "),
                vec![(field, "Spec.VirtualHost.Fqdn must be specified")],
            ),
            bad_root(
                "wildcard",
                with_fqdn("*.example.com"),
                vec![(
                    field,
                    "Spec.VirtualHost.Fqdn \"*.example.com\" cannot use wildcards",
                )],
            ),
            bad_root(
                "pattern",
                with_fqdn("exa_mple.com"),
                vec![(field, "Spec.VirtualHost.Fqdn \"exa_mple.com\" is not a host name")],
            ),
            bad_root(
                "hyphen at the edge",
                with_fqdn("-a.example.com"),
                vec![(
                    field,
                    "Spec.VirtualHost.Fqdn \"-a.example.com\" is not a host name",
                )],
            ),
            Case {
                rule: "fqdn of an older root, whatever its case",
                objects: vec![
                    root("b/two", "Example.com", json!([leaf("/")])),
                    root("a/one", "example.COM", json!([leaf("/")])),
                    service("a/home"),
                    service("b/home"),
                ],
                about: "b/two",
                state: State::Invalid,
                errors: vec![(
                    field,
                    "host example.com belongs to IngressRoute a/one, which is older: nothing of this IngressRoute is \
                     served; choose another fqdn, or have a/one delegate to an IngressRoute without virtualhost",
                )],
            },
            Case {
                rule: "fqdn that a younger root claims, too",
                objects: vec![
                    root("b/two", "Example.com", json!([leaf("/")])),
                    root("a/one", "example.COM", json!([leaf("/")])),
                    service("a/home"),
                    service("b/home"),
                ],
                about: "a/one",
                state: State::Valid,
                errors: vec![],
            },
        ],
    );
}

#[test]
fn root_namespace_text() {
    let settings = Settings {
        root_namespaces: ["roots".to_owned()].into(),
        ..Settings::default()
    };
    check(
        &settings,
        vec![
            Case {
                rule: "elsewhere",
                objects: vec![root("root", "example.com", json!([leaf("/")])), service("home")],
                about: "root",
                state: State::Invalid,
                errors: vec![(
                    "metadata.namespace",
                    "root IngressRoute cannot be defined in this namespace",
                )],
            },
            Case {
                rule: "where roots may be",
                objects: vec![
                    root("roots/root", "example.com", json!([leaf("/")])),
                    service("roots/home"),
                ],
                about: "roots/root",
                state: State::Valid,
                errors: vec![],
            },
            Case {
                rule: "a root that may not be takes no name from one that may",
                objects: vec![
                    root("root", "example.com", json!([leaf("/")])),
                    root("roots/root", "example.com", json!([leaf("/")])),
                    service("roots/home"),
                ],
                about: "roots/root",
                state: State::Valid,
                errors: vec![],
            },
        ],
    );
}

#[test]
fn tls_texts() {
    let tls = |secret: &str| {
        let virtualhost = json!({"fqdn": "example.com", "tls": {"secretName": secret}});
        ingress_route("root", json!({"virtualhost": virtualhost, "routes": [leaf("/")]}))
    };
    let case = |rule, root, secrets: Vec<Object>, message| Case {
        rule,
        objects: [root, service("home")].into_iter().chain(secrets).collect(),
        about: "root",
        state: State::Invalid,
        errors: vec![("spec.virtualhost.tls.secretName", message)],
    };
    check(
        &Settings::default(),
        vec![
            case(
                "missing",
                tls("cert"),
                vec![],
                "Spec.VirtualHost.TLS Secret \"cert\" is invalid: Secret not found",
            ),
            case(
                "tls without anything",
                tls(""),
                vec![],
                "Spec.VirtualHost.TLS Secret \"\" is invalid: Secret not found",
            ),
            case(
                "type",
                tls("cert"),
                vec![secret("cert", "Opaque", &[("tls.crt", "a"), ("tls.key", "b")])],
                "Spec.VirtualHost.TLS Secret \"cert\" is invalid: Secret type is not \"kubernetes.io/tls\"",
            ),
            case(
                "no certificate",
                tls("cert"),
                vec![secret("cert", "kubernetes.io/tls", &[("tls.key", "b")])],
                "Spec.VirtualHost.TLS Secret \"cert\" is invalid: empty \"tls.crt\" key",
            ),
            case(
                "empty key",
                tls("cert"),
                vec![secret(
                    "cert",
                    "kubernetes.io/tls",
                    &[("tls.crt", "a"), ("tls.key", "")],
                )],
                "Spec.VirtualHost.TLS Secret \"cert\" is invalid: empty \"tls.key\" key",
            ),
            case(
                "no PEM",
                tls("cert"),
                vec![faulty(tls_secret("cert"), PemFault::Certificate)],
                "Spec.VirtualHost.TLS Secret \"cert\" is invalid: \"tls.crt\" holds no certificate in PEM, or one that is \
                 damaged",
            ),
            case(
                "a key that is none",
                tls("cert"),
                vec![faulty(tls_secret("cert"), PemFault::Key)],
                "Spec.VirtualHost.TLS Secret \"cert\" is invalid: \"tls.key\" holds no private key in PEM that Envoy can use",
            ),
            case(
                "another certificate's key",
                tls("cert"),
                vec![faulty(tls_secret("cert"), PemFault::Mismatch)],
                "Spec.VirtualHost.TLS Secret \"cert\" is invalid: \"tls.key\" does not belong to the certificate in \"tls.crt\"",
            ),
            case(
                "not delegated",
                tls("admin/cert"),
                vec![tls_secret("admin/cert")],
                "Spec.VirtualHost.TLS Secret \"admin/cert\" certificate delegation not permitted",
            ),
        ],
    );
}

/// An owner wants to know before the switch.
#[test]
fn an_orphan_is_told_what_is_wrong_with_it_alone() {
    let graph = graph([delegate("green", json!([leaf("/foo"), to("/bar", "missing")]))]);
    let status = graph.status(&name("green")).unwrap();
    assert_eq!(status.state, State::Orphaned);
    assert_eq!(status.description(), "Service [home:8080] is invalid or missing");
}

/// Several chains may lead to one delegate, and each may find something.
#[test]
fn errors_of_all_chains_are_listed() {
    let graph = graph([
        root("one", "one.com", json!([to("/blog", "blog")])),
        root("two", "two.com", json!([to("/blogs", "blog")])),
        root("three", "three.com", json!([to("/news", "blog")])),
        delegate("blog", json!([leaf("/blog")])),
        service("home"),
    ]);
    let status = graph.status(&name("blog")).unwrap();
    assert_eq!(status.state, State::Invalid);
    let want = "the path prefix \"/blog\" does not match the parent's path prefix \"/blogs\"; \
                the path prefix \"/blog\" does not match the parent's path prefix \"/news\"";
    assert_eq!(status.description(), want);
}

/// A status is stored with its object, whose size is limited.
#[test]
fn a_status_lists_a_hundred_errors() {
    let routes: Vec<_> = (0..150).map(|i| json!({"match": format!("/{i}")})).collect();
    let graph = graph([root("root", "example.com", json!(routes))]);
    let errors = &graph.status(&name("root")).unwrap().errors;
    assert_eq!(errors.len(), 101);
    assert_eq!(
        errors.last().unwrap().message,
        "more than 100 errors: the first 100 are listed"
    );
}
