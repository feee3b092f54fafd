//! Messages to bytes, and versions.
//!
//! A version is a hash of what a resource was made of, never of its bytes: protobuf maps are encoded in no order, so
//! that the same resource has other bytes each time. Replicas agree on versions, and so does one with itself after a
//! restart: a proxy that comes back is sent only what it lacks.

use bytes::Bytes;
use envoy_types::pb::{
    envoy::config::core::v3 as core,
    google::protobuf::{self, Any, BoolValue, UInt32Value},
    xds::core::v3 as xds,
};
use prost::{Message, Name, encoding};
use serde::Serialize;
use std::time::Duration;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What a resource is made of counts, and how: another release may translate the same otherwise.
const FORMAT: &str = env!("CARGO_PKG_VERSION");

/// The version of what is made of `source`: a hash of its JSON, which no compiler and no platform writes differently.
pub(crate) fn version<T: Serialize + ?Sized>(source: &T) -> u64 {
    let encoded = serde_json::to_vec(&(FORMAT, source));
    debug_assert!(encoded.is_ok(), "not JSON: {encoded:?}");
    xxh3_64(&encoded.unwrap_or_default())
}

/// The version of what is made of bytes alone.
pub(crate) fn version_of(bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, xxh3_64(FORMAT.as_bytes()))
}

/// The bytes of a message.
pub(crate) fn encode<M: Message>(message: &M) -> Bytes {
    encode_to_vec(message).into()
}

pub(crate) fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: encode_to_vec(message),
    }
}

/// An Envoy extension. Names are for people: Envoy finds an extension by the type of its configuration.
pub(crate) fn extension<M: Message + Name>(name: &str, message: &M) -> core::TypedExtensionConfig {
    core::TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(any(message)),
    }
}

/// As [`extension`], for the fields whose type belongs to xDS rather than to Envoy.
pub(crate) fn xds_extension<M: Message + Name>(name: &str, message: &M) -> xds::TypedExtensionConfig {
    xds::TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(any(message)),
    }
}

pub(crate) fn transport_socket<M: Message + Name>(name: &str, context: &M) -> core::TransportSocket {
    core::TransportSocket {
        name: name.to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(any(context))),
    }
}

/// A length-delimited field whose message is encoded already: fields of a repeated message may be appended to the
/// rest of the message that holds them.
pub(crate) fn field(tag: u32, message: &[u8]) -> Bytes {
    let mut buffer = Vec::with_capacity(field_len(tag, message.len()));
    put_prefix(tag, message.len(), &mut buffer);
    buffer.extend_from_slice(message);
    buffer.into()
}

/// What comes before `len` bytes of a length-delimited field.
pub(crate) fn put_prefix(tag: u32, len: usize, buffer: &mut Vec<u8>) {
    encoding::encode_key(tag, encoding::WireType::LengthDelimited, buffer);
    encoding::encode_varint(wide(len), buffer);
}

/// How long a length-delimited field of `len` bytes is, prefix included.
pub(crate) fn field_len(tag: u32, len: usize) -> usize {
    encoding::key_len(tag) + encoding::encoded_len_varint(wide(len)) + len
}

/// Durations longer than protobuf can say are as good as the longest.
pub(crate) fn duration(duration: Duration) -> protobuf::Duration {
    protobuf::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

pub(crate) fn uint32(value: u32) -> UInt32Value {
    UInt32Value { value }
}

pub(crate) fn boolean(value: bool) -> BoolValue {
    BoolValue { value }
}

pub(crate) fn socket_address(address: &str, port: u16) -> core::Address {
    let socket = core::SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
        ..Default::default()
    };
    core::Address {
        address: Some(core::address::Address::SocketAddress(socket)),
    }
}

pub(crate) fn inline_bytes(bytes: &[u8]) -> core::DataSource {
    core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineBytes(bytes.to_vec())),
        ..Default::default()
    }
}

/// From the stream that the resource with this in it came on.
pub(crate) fn from_ads(initial_fetch_timeout: Duration) -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3.into(),
        initial_fetch_timeout: Some(duration(initial_fetch_timeout)),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(Default::default())),
        ..Default::default()
    }
}

// The one place that may: what is encoded here is sent, and never compared.
#[allow(clippy::disallowed_methods)]
fn encode_to_vec<M: Message>(message: &M) -> Vec<u8> {
    message.encode_to_vec()
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
