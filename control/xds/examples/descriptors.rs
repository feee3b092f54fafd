//! Writes `src/descriptors.bin`: of the descriptors that come with envoy-types, those of the messages that are sent, with
//! their constraints (`validate.rules`).
//!
//! ```text
//! cargo run -p switchyard-xds --example descriptors -- <envoy-types>/src/generated/types.bin > descriptors.bin
//! ```

use anyhow::Context;
use prost::{
    Message,
    encoding::{DecodeContext, decode_key, skip_field},
};
use prost_reflect::prost_types::FileDescriptorProto;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

/// The files of the messages that are sent, those inside of an `Any` among them.
const ROOTS: &[&str] = &[
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/extensions/access_loggers/file/v3/file.proto",
    "envoy/extensions/filters/http/body_size_limit/v3/body_size_limit.proto",
    "envoy/extensions/filters/http/header_mutation/v3/header_mutation.proto",
    "envoy/extensions/filters/http/rbac/v3/rbac.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/filters/http/upstream_codec/v3/upstream_codec.proto",
    "envoy/extensions/filters/http/wasm/v3/wasm.proto",
    "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto",
    "envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.proto",
    "envoy/extensions/transport_sockets/tls/cert_mappers/sni/v3/config.proto",
    "envoy/extensions/transport_sockets/tls/cert_selectors/on_demand_secret/v3/config.proto",
    "envoy/extensions/transport_sockets/tls/v3/secret.proto",
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
    "envoy/type/matcher/v3/http_inputs.proto",
];

/// The number of `FileDescriptorProto.source_code_info`: the comments.
const SOURCE_CODE_INFO: u32 = 9;

/// A `FileDescriptorSet` whose files are not decoded, because that would lose the options of other protos.
#[derive(Clone, PartialEq, Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("which descriptor set?")?;
    let Files { file: all } = Files::decode(std::fs::read(path)?.as_slice())?;
    let decoded: Vec<_> = all
        .iter()
        .map(|file| FileDescriptorProto::decode(file.as_slice()))
        .collect::<Result<_, _>>()?;
    let files: BTreeMap<_, _> = decoded.iter().map(|file| (file.name(), file)).collect();
    let needed = needed(&files)?;
    let file = decoded
        .iter()
        .zip(&all)
        .filter(|(file, _)| needed.contains(file.name()))
        .map(|(_, encoded)| without_comments(encoded))
        .collect::<Result<_, _>>()?;
    let mut bytes = Vec::new();
    Files { file }.encode(&mut bytes)?;
    std::io::stdout().write_all(&bytes)?;
    Ok(())
}

fn needed<'a>(files: &BTreeMap<&'a str, &'a FileDescriptorProto>) -> anyhow::Result<BTreeSet<&'a str>> {
    let mut needed = BTreeSet::new();
    let mut todo = ROOTS.to_vec();
    while let Some(name) = todo.pop() {
        let (name, file) = files
            .get_key_value(name)
            .with_context(|| format!("{name} is not there"))?;
        if needed.insert(*name) {
            todo.extend(file.dependency.iter().map(String::as_str));
        }
    }
    Ok(needed)
}

/// Copies all fields of an encoded file but one.
fn without_comments(file: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let field = rest;
        let (tag, wire_type) = decode_key(&mut rest)?;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
        if tag != SOURCE_CODE_INFO {
            let (copied, _) = field.split_at(field.len() - rest.len());
            kept.extend_from_slice(copied);
        }
    }
    Ok(kept)
}
