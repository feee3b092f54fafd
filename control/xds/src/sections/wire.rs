//! Sections to `TypedExtensionConfig`, copied once.
//!
//! The configuration may be megabytes, and is inside of six messages. Each of them starts with the length of the next,
//! so the lengths are found from the inside out, and then all is written from the outside in. What holds the inner
//! message comes last of each.

use super::Code;
use crate::{pack, translate::FILTER};
use bytes::Bytes;
use envoy_types::pb::{
    envoy::{
        config::core::v3::{
            AsyncDataSource, DataSource, TypedExtensionConfig, async_data_source, data_source::Specifier,
        },
        extensions::{
            filters::http::wasm::v3::Wasm,
            wasm::v3::{FailurePolicy, PluginConfig, VmConfig, plugin_config::Vm},
        },
    },
    google::protobuf::{Any, BytesValue},
};
use prost::{Message, Name};
use switchyard_policy::packed::{self, Flags};

/// A message around another: its other fields, and the number of the field that the other is in.
struct Layer {
    head: Bytes,
    tag: u32,
}

/// The encoded `TypedExtensionConfig`. Nothing where there is more than Envoy could take: it refuses that, and keeps
/// what it has.
pub(super) fn encode(name: &str, code: &Code, flags: Flags, buckets: &[&[u8]]) -> Bytes {
    let payload_len = packed::assembled_len(buckets);
    let layers = layers(name, code);
    let mut lens = vec![payload_len];
    for Layer { head, tag } in layers.iter().rev() {
        let inner = lens.last().copied().unwrap_or_default();
        lens.push(head.len() + pack::field_len(*tag, inner));
    }
    let mut buffer = Vec::with_capacity(lens.pop().unwrap_or_default());
    for (Layer { head, tag }, len) in layers.iter().zip(lens.into_iter().rev()) {
        buffer.extend_from_slice(head);
        pack::put_prefix(*tag, len, &mut buffer);
    }
    match packed::assemble_into(flags, buckets, &mut buffer) {
        Ok(()) => buffer.into(),
        Err(error) => {
            tracing::error!(%error, "The filter's configuration cannot be packed");
            Bytes::new()
        }
    }
}

/// The outermost first.
fn layers(name: &str, code: &Code) -> [Layer; 6] {
    [
        layer(&extension(name), 2),
        layer(&any::<Wasm>(), 2),
        layer(&Wasm::default(), 1),
        layer(&plugin(name, code), 4),
        layer(&any::<BytesValue>(), 2),
        layer(&BytesValue::default(), 1),
    ]
}

fn layer<M: Message>(message: &M, tag: u32) -> Layer {
    Layer {
        head: pack::encode(message),
        tag,
    }
}

fn extension(name: &str) -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: name.to_owned(),
        ..Default::default()
    }
}

fn any<M: Name>() -> Any {
    Any {
        type_url: M::type_url(),
        ..Default::default()
    }
}

/// The plugin without its configuration. All of them are run by one VM in each worker, for it has one `vm_id`.
///
/// After a fault, which should not be, a worker's requests are refused until it has started anew.
fn plugin(name: &str, code: &Code) -> PluginConfig {
    let vm = VmConfig {
        vm_id: FILTER.to_owned(),
        runtime: "envoy.wasm.runtime.v8".to_owned(),
        code: Some(AsyncDataSource {
            specifier: Some(async_data_source::Specifier::Local(source(code))),
        }),
        ..Default::default()
    };
    PluginConfig {
        name: name.to_owned(),
        root_id: name.to_owned(),
        failure_policy: FailurePolicy::FailReload.into(),
        vm: Some(Vm::VmConfig(vm)),
        ..Default::default()
    }
}

fn source(code: &Code) -> DataSource {
    let specifier = match code {
        Code::File { path } => Specifier::Filename(path.clone()),
        Code::Inline(bytes) => return pack::inline_bytes(bytes),
    };
    DataSource {
        specifier: Some(specifier),
        ..Default::default()
    }
}
