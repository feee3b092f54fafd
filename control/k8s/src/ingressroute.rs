//! The kinds of `contour.heptio.com/v1beta1`, which are our own.

pub(crate) mod decode;

use crate::status::{IngressRouteStatus, TlsCertificateDelegationStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchyard_core::{ingressroute::Spec, object};

/// Routes of a host, or routes that other IngressRoutes delegate to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressRoute {
    #[schemars(skip)]
    pub api_version: String,
    #[schemars(skip)]
    pub kind: String,
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// The host and routes to serve, and the delegation of routes to other IngressRoutes.
    #[serde(default)]
    pub spec: Spec,
    /// The observed state, written by Switchyard. It has no effect on routing.
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
    /// The permitted uses of Secrets.
    pub spec: TlsCertificateDelegationSpec,
    /// The observed state, written by Switchyard. It has no effect on routing.
    #[schemars(with = "TlsCertificateDelegationStatus")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// The Secrets that other namespaces may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsCertificateDelegationSpec {
    /// The Secrets, each with the namespaces that may use it.
    pub delegations: Vec<CertificateDelegation>,
}

/// One Secret, with the namespaces that may use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateDelegation {
    /// A Secret in the namespace of this object.
    pub secret_name: String,
    /// The namespaces whose roots may use it; * means all namespaces.
    pub target_namespaces: Vec<String>,
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
