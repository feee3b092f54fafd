//! CustomResourceDefinitions of our own kinds, generated from their Rust types.
//!
//! Names and printer columns are those of Contour 0.15, so that these definitions can replace Contour's in a cluster
//! that has objects, and scripts that read columns keep working.

pub mod fields;
mod structural;

use crate::{IngressRoute, TlsCertificateDelegation};
use serde_json::{Value, json};

const GROUP: &str = "contour.heptio.com";
const VERSION: &str = "v1beta1";

/// The text before the YAML example in a field's description; a full stop follows the example. `kubectl explain` shows
/// nothing but descriptions.
const EXAMPLE: &str = "For example: ";

/// A printer column of `kubectl get`: name, JSON path, description.
type Column = (&'static str, &'static str, &'static str);

const COLUMNS: [Column; 6] = [
    ("FQDN", ".spec.virtualhost.fqdn", "Host name"),
    (
        "TLS Secret",
        ".spec.virtualhost.tls.secretName",
        "Secret with the host's certificate",
    ),
    (
        "First route",
        ".spec.routes[0].match",
        "Path prefix of the first route",
    ),
    (
        "Status",
        ".status.currentStatus",
        "Status: valid, invalid or orphaned",
    ),
    (
        "Status Description",
        ".status.description",
        "Errors, or a summary of the status",
    ),
    (
        "Active branch",
        ".status.activeBranch",
        "Active branches of the delegating routes",
    ),
];

/// Returns the definitions, which never vary.
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
            // Contour's definition predates structural schemas and sets true, which has to be overridden.
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

/// The schema of IngressRoute, with two fields that Contour's definition has and Contour ignores, so that manifests
/// with them are admitted.
pub(crate) fn ingress_route() -> Value {
    let mut schema = structural::schema::<IngressRoute>();
    let spec = &mut schema["properties"]["spec"]["properties"];
    spec["strategy"] = json!({
        "description": "Ignored; each service has its own strategy.",
        "type": "string",
    });
    spec["healthCheck"] = json!({
        "description": "Ignored; each service has its own healthCheck.",
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    });
    schema
}

#[cfg(test)]
mod tests;
