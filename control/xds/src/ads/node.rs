//! The metadata of an Envoy's node, from its first request.

use super::WasmCode;
use crate::sections::Code;
use envoy_types::pb::{
    envoy::config::core::v3::Node,
    google::protobuf::{Struct, value::Kind},
};

/// The path in a node's metadata to the description of the node's own filter code: `{path, sha256}`.
const METADATA: [&str; 2] = ["switchyard", "wasm"];
/// The field with the name of the readiness cluster.
const READINESS: &str = "readiness_cluster";

/// The source of the filter's code: the node's own file if its hash is that of this server's code, else inline.
pub(super) fn code_for(node: &Node, wasm: &WasmCode) -> Code {
    let inline = || Code::Inline(wasm.bytes.clone());
    let [product, part] = METADATA;
    let metadata = node.metadata.as_ref();
    let Some(own) = metadata
        .and_then(|all| fields_of(all, product))
        .and_then(|own| fields_of(own, part))
    else {
        return inline();
    };
    match (text_of(own, "path"), text_of(own, "sha256")) {
        (Some(path), Some(sha256)) if sha256.eq_ignore_ascii_case(&wasm.sha256) => Code::File {
            path: path.to_owned(),
        },
        _ => inline(),
    }
}

/// The node's readiness cluster, if its bootstrap has one: `switchyard.readiness_cluster` of the metadata.
pub(super) fn readiness_cluster(node: &Node) -> Option<&str> {
    let [product, _] = METADATA;
    text_of(fields_of(node.metadata.as_ref()?, product)?, READINESS)
}

fn fields_of<'s>(parent: &'s Struct, field: &str) -> Option<&'s Struct> {
    match parent.fields.get(field)?.kind.as_ref()? {
        Kind::StructValue(fields) => Some(fields),
        _ => None,
    }
}

fn text_of<'s>(parent: &'s Struct, field: &str) -> Option<&'s str> {
    match parent.fields.get(field)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use envoy_types::pb::google::protobuf::Value;

    fn mk_text(text: &str) -> Value {
        Value {
            kind: Some(Kind::StringValue(text.to_owned())),
        }
    }

    fn mk_node(fields: &[(&str, &str)]) -> Node {
        let fields = fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), mk_text(text)))
            .collect();
        let wrap = |name: &str, fields| Struct {
            fields: [(
                name.to_owned(),
                Value {
                    kind: Some(Kind::StructValue(fields)),
                },
            )]
            .into(),
        };
        let [product, part] = METADATA;
        let metadata = wrap(product, wrap(part, Struct { fields }));
        Node {
            metadata: Some(metadata),
            ..Node::default()
        }
    }

    #[test]
    fn node_uses_its_file_only_if_the_hash_matches() {
        let wasm = WasmCode {
            bytes: Bytes::from_static(b"\0asm"),
            sha256: "ab12".to_owned(),
        };
        let file = Code::File {
            path: "/etc/switchyard.wasm".to_owned(),
        };
        let inline = Code::Inline(wasm.bytes.clone());
        for (fields, code) in [
            (&[("path", "/etc/switchyard.wasm"), ("sha256", "ab12")][..], &file),
            (&[("path", "/etc/switchyard.wasm"), ("sha256", "AB12")], &file),
            (&[("path", "/etc/switchyard.wasm"), ("sha256", "ab13")], &inline),
            (&[("path", "/etc/switchyard.wasm")], &inline),
            (&[("sha256", "ab12")], &inline),
            (&[], &inline),
        ] {
            assert_eq!(code_for(&mk_node(fields), &wasm), *code, "{fields:?}");
        }
        assert_eq!(code_for(&Node::default(), &wasm), inline);
    }
}
