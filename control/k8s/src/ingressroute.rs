//! `contour.heptio.com/v1beta1`: the kinds that are ours to define.

use crate::{
    FieldError, Reading, decode,
    status::{IngressRouteStatus, TlsCertificateDelegationStatus},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchyard_core::{ingressroute::Spec, object};

/// Routes of a host, or routes that others delegate to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressRoute {
    #[schemars(skip)]
    pub api_version: String,
    #[schemars(skip)]
    pub kind: String,
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// What it serves, and what it leaves to others.
    #[serde(default)]
    pub spec: Spec,
    /// What has become of it. Written by Switchyard, which never reads it.
    #[schemars(with = "IngressRouteStatus")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// Permits roots of other namespaces to use Secrets of this namespace for their hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsCertificateDelegation {
    #[schemars(skip)]
    pub api_version: String,
    #[schemars(skip)]
    pub kind: String,
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// What it permits.
    pub spec: TlsCertificateDelegationSpec,
    /// What has become of it. Written by Switchyard, which never reads it.
    #[schemars(with = "TlsCertificateDelegationStatus")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// Which Secrets may be used, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsCertificateDelegationSpec {
    /// The Secrets, each with the namespaces that may use it.
    pub delegations: Vec<CertificateDelegation>,
}

/// One Secret, and who may use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateDelegation {
    /// A Secret in the namespace of this object.
    pub secret_name: String,
    /// The namespaces whose roots may use it; * stands for all of them.
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
