//! JSON decoding, with the path of the field in each error.

use crate::FieldError;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_json::Value;
use std::sync::Arc;
use switchyard_core::Name;

/// The maximum length of an object's name in Kubernetes.
const LONGEST_NAME: usize = 253;
/// The namespace of objects that have none, as in kubectl.
const DEFAULT_NAMESPACE: &str = "default";

/// Decodes a document, ignoring unknown fields.
pub(crate) fn decode<T: DeserializeOwned>(document: Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let field = match error.path().to_string() {
            top if top == "." => String::new(),
            path => path,
        };
        FieldError::new(field, error.into_inner().to_string())
    })
}

/// Decodes a document, and lists the paths of unknown fields.
pub(crate) fn decode_listing_unknown<T: DeserializeOwned>(
    document: Value,
) -> Result<(T, Vec<String>), FieldError> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(document, &mut track);
    let decoded = serde_ignored::deserialize(tracked, |path| {
        unknown.push(field(&path));
    });
    match decoded {
        Ok(decoded) => Ok((decoded, unknown)),
        Err(error) => Err(FieldError::new(track.path().to_string(), error.to_string())),
    }
}

/// A path in the form of [`FieldError::field`].
fn field(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field(parent)),
        Path::Map { parent, key } => match field(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            field(parent)
        }
    }
}

/// The namespace and name of an object, restricted as by the API server: they become part of other names.
pub(crate) fn name(metadata: &ObjectMeta) -> Result<Name, FieldError> {
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = match metadata.namespace.as_deref() {
        None | Some("") => DEFAULT_NAMESPACE,
        Some(namespace) => namespace,
    };
    if name.is_empty() {
        return Err(FieldError::new("metadata.name", "missing"));
    }
    admit("metadata.name", name)?;
    admit("metadata.namespace", namespace)?;
    Ok(Name::new(Arc::from(namespace), Arc::from(name)))
}

fn admit(field: &str, name: &str) -> Result<(), FieldError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = name.len() <= LONGEST_NAME
        && name.starts_with(plain)
        && name.ends_with(plain)
        && name.chars().all(|c| plain(c) || c == '-' || c == '.');
    if good {
        return Ok(());
    }
    Err(FieldError::new(
        field,
        format!(
            "{name:?} is not a valid name: use lower-case letters, digits, '-' and '.', at most {LONGEST_NAME} \
             characters"
        ),
    ))
}
