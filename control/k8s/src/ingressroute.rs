//! `contour.heptio.com/v1beta1`: the kinds that are ours to define.

use crate::{FieldError, Reading, decode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchyard_core::{ingressroute::Spec, object};

/// IngressRoute, as it stands in a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressRoute {
    pub api_version: String,
    pub kind: String,
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Spec,
    /// Written by a controller, never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// TLSCertificateDelegation, as it stands in a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsCertificateDelegation {
    pub api_version: String,
    pub kind: String,
    pub metadata: ObjectMeta,
    pub spec: TlsCertificateDelegationSpec,
    /// Written by a controller, never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// `spec` of a TLSCertificateDelegation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TlsCertificateDelegationSpec {
    pub delegations: Vec<CertificateDelegation>,
}

/// One Secret, and who may use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateDelegation {
    pub secret_name: String,
    pub target_namespaces: Vec<String>,
}

pub(crate) fn ingress_route(document: Value) -> Result<Reading, FieldError> {
    let (decoded, warnings) = decode::decode_listing_unknown(document)?;
    let IngressRoute {
        api_version: _,
        kind: _,
        metadata,
        spec,
        status: _,
    } = decoded;
    let object = object::Object::IngressRoute(object::IngressRoute {
        name: decode::name(&metadata)?,
        generation: metadata.generation.unwrap_or_default(),
        spec,
    });
    Ok(Reading { object, warnings })
}

pub(crate) fn certificate_delegation(document: Value) -> Result<Reading, FieldError> {
    let (decoded, warnings) = decode::decode_listing_unknown(document)?;
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

// === impl CertificateDelegation ===

impl From<CertificateDelegation> for object::CertificateDelegation {
    fn from(delegation: CertificateDelegation) -> Self {
        let CertificateDelegation {
            secret_name,
            target_namespaces,
        } = delegation;
        Self {
            secret_name,
            target_namespaces,
        }
    }
}
