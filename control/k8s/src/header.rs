use crate::FieldError;
use serde_json::Value;
use switchyard_core::object::Kind;

/// The type and name of a Kubernetes object, read before the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    /// `metadata.namespace`, empty if absent.
    pub namespace: &'a str,
    /// `metadata.name`, empty if absent.
    pub name: &'a str,
}

/// Group and version of each kind that is read. The empty group is the core group, whose apiVersion is the version
/// alone.
const KINDS: [(&str, &str, Kind); 6] = [
    ("contour.heptio.com", "v1beta1", Kind::IngressRoute),
    ("contour.heptio.com", "v1beta1", Kind::TlsCertificateDelegation),
    ("", "v1", Kind::Service),
    ("", "v1", Kind::Endpoints),
    ("", "v1", Kind::Secret),
    ("discovery.k8s.io", "v1", Kind::EndpointSlice),
];

// === impl Header ===

impl<'a> Header<'a> {
    /// # Errors
    /// The document is not an object, or `apiVersion` or `kind` is missing.
    pub fn read(document: &'a Value) -> Result<Self, FieldError> {
        if !document.is_object() {
            return Err(FieldError::new(
                "",
                "not a Kubernetes object: expected a mapping with apiVersion and kind",
            ));
        }
        let required = |field: &str| {
            let value = text(document, field);
            value.ok_or_else(|| {
                FieldError::new(field, "missing: every Kubernetes object has apiVersion and kind")
            })
        };
        let metadata = &document["metadata"];
        Ok(Self {
            api_version: required("apiVersion")?,
            kind: required("kind")?,
            namespace: text(metadata, "namespace").unwrap_or_default(),
            name: text(metadata, "name").unwrap_or_default(),
        })
    }

    /// Returns the kind if routing depends on it. Fails for a known kind of another version.
    pub(crate) fn known_kind(&self) -> Result<Option<Kind>, FieldError> {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", self.api_version));
        let known = KINDS
            .iter()
            .find(|(of, _, kind)| *of == group && kind.as_str() == self.kind);
        let Some((_, read, kind)) = known else {
            return Ok(None);
        };
        if *read == version {
            return Ok(Some(*kind));
        }
        let message = format!("version {version:?} of {kind} is not supported; use {read:?}");
        Err(FieldError::new("apiVersion", message))
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value
        .get(field)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}
