//! The CustomResourceDefinitions of the kinds that are ours to define, made of their Rust types.
//!
//! Names and printer columns are those of Contour 0.15, so that its definitions can be replaced by these in a cluster
//! that has objects, and scripts that read columns go on to work.

pub mod fields;
mod structural;

use crate::{IngressRoute, TlsCertificateDelegation};
use serde_json::{Value, json};

const GROUP: &str = "contour.heptio.com";
const VERSION: &str = "v1beta1";

/// What the example of a field comes after, in its description: YAML, and a full stop. `kubectl explain` shows
/// descriptions and nothing else.
const EXAMPLE: &str = "For example: ";

/// What `kubectl get` shows: name, path, description.
type Column = (&'static str, &'static str, &'static str);

const COLUMNS: [Column; 6] = [
    ("FQDN", ".spec.virtualhost.fqdn", "The host name"),
    (
        "TLS Secret",
        ".spec.virtualhost.tls.secretName",
        "The Secret with the host's certificate",
    ),
    (
        "First route",
        ".spec.routes[0].match",
        "The first route's path prefix",
    ),
    (
        "Status",
        ".status.currentStatus",
        "Whether it is valid, invalid or orphaned",
    ),
    ("Status Description", ".status.description", "What is wrong"),
    (
        "Active branch",
        ".status.activeBranch",
        "The branches that are live",
    ),
];

/// The definitions, always the same.
#[must_use]
pub fn definitions() -> [Value; 2] {
    [
        definition("IngressRoute", &ingress_route(), &COLUMNS),
        definition(
            "TLSCertificateDelegation",
            &structural::schema::<TlsCertificateDelegation>(),
            &[],
        ),
    ]
}

fn definition(kind: &str, schema: &Value, columns: &[Column]) -> Value {
    let singular = kind.to_ascii_lowercase();
    let plural = format!("{singular}s");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP,
            // Contour's definition, of the days before schemas were asked for, says true. That has to be unsaid.
            "preserveUnknownFields": false,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": singular},
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns.iter().map(column).collect::<Vec<_>>(),
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

fn column((name, path, description): &Column) -> Value {
    json!({"name": name, "type": "string", "jsonPath": path, "description": description})
}

/// With the two fields that Contour's definition had room for and its program took no notice of: manifests that have
/// them are admitted.
fn ingress_route() -> Value {
    let mut schema = structural::schema::<IngressRoute>();
    let spec = &mut schema["properties"]["spec"]["properties"];
    spec["strategy"] = json!({
        "description": "Without effect: each service has a strategy of its own.",
        "type": "string",
    });
    spec["healthCheck"] = json!({
        "description": "Without effect: each service has a healthCheck of its own.",
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    });
    schema
}

#[cfg(test)]
mod tests;
