//! Descriptors of the messages that are sent, with the constraints that Envoy's protos state.

use prost_reflect::{DescriptorError, DescriptorPool, MessageDescriptor};
use std::sync::LazyLock;

/// Made by `examples/descriptors.rs`.
static POOL: LazyLock<Result<DescriptorPool, DescriptorError>> =
    LazyLock::new(|| DescriptorPool::decode(include_bytes!("descriptors.bin").as_slice()));

/// A reason why a message has no descriptor.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("the descriptors cannot be read: {0}")]
    Descriptors(&'static DescriptorError),
    #[error("{0} is not a type that is sent")]
    Type(String),
}

pub(crate) fn pool() -> Result<&'static DescriptorPool, Error> {
    POOL.as_ref().map_err(Error::Descriptors)
}

/// The descriptor of the message that a type URL names, or that has this name.
pub(crate) fn of_type(type_url: &str) -> Result<MessageDescriptor, Error> {
    let name = type_url.rsplit('/').next().unwrap_or_default();
    let descriptor = pool()?.get_message_by_name(name);
    descriptor.ok_or_else(|| Error::Type(type_url.to_owned()))
}
