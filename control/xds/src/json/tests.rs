use super::*;
use bytes::Bytes;
use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::{DataSource, data_source::Specifier},
            route::v3::{FilterConfig, Route},
        },
        extensions::transport_sockets::tls::v3::{Secret, TlsCertificate, secret},
    },
    google::protobuf::Any,
};
use prost::Message;
use prost_reflect::ReflectMessage;

fn encode(message: &impl Message) -> Bytes {
    pack::encode(message)
}

#[test]
fn a_private_key_is_not_shown() {
    let source = |text: &str| DataSource {
        specifier: Some(Specifier::InlineString(text.to_owned())),
        ..Default::default()
    };
    let certificate = TlsCertificate {
        certificate_chain: Some(source("the chain")),
        private_key: Some(source("the key")),
        ..Default::default()
    };
    let secret = Secret {
        name: "a".to_owned(),
        r#type: Some(secret::Type::TlsCertificate(certificate)),
    };
    let json = message_to_json(ResourceType::Secret.type_url(), &encode(&secret)).unwrap();
    let want = serde_json::json!({
        "name": "a",
        "tls_certificate": { "certificate_chain": { "inline_string": "the chain" }, "private_key": "[redacted]" },
    });
    assert_eq!(json, want);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let secret = ResourceType::Secret.type_url();
    assert!(matches!(
        message_to_json("type.googleapis.com/no.Such", b""),
        Err(Error::Type(_))
    ));
    assert!(matches!(message_to_json(secret, b"\xff"), Err(Error::Message(_))));
    let extension = ResourceType::Extension.type_url();
    let unknown = envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig {
        typed_config: Some(Any {
            type_url: "type.googleapis.com/no.Such".to_owned(),
            value: vec![],
        }),
        ..Default::default()
    };
    assert!(matches!(
        message_to_json(extension, &encode(&unknown)),
        Err(Error::Type(_))
    ));
}

#[test]
fn every_type_that_is_sent_has_a_descriptor() {
    let descriptors = descriptors::pool().unwrap();
    for kind in ResourceType::ALL {
        let name = kind.type_url().trim_start_matches("type.googleapis.com/");
        assert!(descriptors.get_message_by_name(name).is_some(), "{name}");
    }
    let any = descriptors.get_message_by_name("google.protobuf.Any").unwrap();
    assert_eq!(DynamicMessage::new(any).descriptor().fields().len(), 2);
}

#[test]
fn a_filter_that_is_switched_on_reads_as_envoy_wants_it() {
    let on = FilterConfig {
        config: Some(Any::default()),
        ..Default::default()
    };
    let route = Route {
        typed_per_filter_config: [("filter".to_owned(), pack::any(&on))].into(),
        ..Default::default()
    };
    let json = message_to_json("type.googleapis.com/envoy.config.route.v3.Route", &encode(&route)).unwrap();
    let want = json!({ "filter": {
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
        "config": {},
    } });
    assert_eq!(json["typed_per_filter_config"], want);
}
