//! Decoding of the kinds.

use super::{IngressRoute, TlsCertificateDelegation, TlsCertificateDelegationSpec};
use crate::{
    FieldError, Reading, decode,
    unknown::{self, Unknown},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::Value;
use switchyard_core::object::{self, Created};

pub(crate) fn ingress_route(document: Value) -> Result<Reading, FieldError> {
    let left_out = unknown::left_out(&document);
    let nulls = unknown::without_value(&document);
    let (decoded, paths) = decode::decode_listing_unknown(document)?;
    let Unknown { refused, ignored } = unknown::sort(paths);
    let IngressRoute {
        api_version: _,
        kind: _,
        metadata,
        spec,
        status: _,
    } = decoded;
    let object = object::Object::from(object::IngressRoute {
        name: decode::name(&metadata)?,
        generation: metadata.generation.unwrap_or_default(),
        created: created(&metadata),
        spec,
        unknown: object::UnknownFields {
            refused: refused.into_iter().chain(nulls).collect(),
            left_out,
        },
    });
    Ok(Reading {
        object,
        warnings: ignored,
    })
}

/// The creation time, which gives precedence among roots that claim the same host.
fn created(metadata: &ObjectMeta) -> Created {
    let created = metadata.creation_timestamp.as_ref();
    created.map_or(Created::Unknown, |Time(time)| Created::At(time.as_second()))
}

pub(crate) fn certificate_delegation(document: Value) -> Result<Reading, FieldError> {
    let (decoded, paths) = decode::decode_listing_unknown(document)?;
    let warnings = paths.into_iter().map(unknown::ignored).collect();
    let TlsCertificateDelegation {
        api_version: _,
        kind: _,
        metadata,
        spec: TlsCertificateDelegationSpec { delegations },
        status: _,
    } = decoded;
    let object = object::Object::TlsCertificateDelegation(object::TlsCertificateDelegation {
        name: decode::name(&metadata)?,
        delegations: delegations.into_iter().map(Into::into).collect(),
    });
    Ok(Reading { object, warnings })
}
