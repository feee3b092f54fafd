//! Kubernetes objects, and how they become those of switchyard-core.
//!
//! ```text
//! document (JSON) -> [ Header ] -> the type that apiVersion and kind name -> [ Reading ] -> core's Object
//! ```
//!
//! A document may come from anywhere: nothing here relies on an API server having admitted it.

mod annotations;
pub mod crd;
mod decode;
mod endpoints;
mod error;
mod header;
mod ingressroute;
pub mod lease;
pub mod replicas;
mod secret;
mod service;
pub mod status;
pub mod watch;

pub use self::{
    error::FieldError,
    header::Header,
    ingressroute::{
        CertificateDelegation, IngressRoute, TlsCertificateDelegation, TlsCertificateDelegationSpec,
    },
};

use serde_json::Value;
use switchyard_core::object::{Kind, Object};

/// An object, and what in its document goes without effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub object: Object,
    pub warnings: Vec<FieldError>,
}

/// Reads a document. None: it is of a kind that routing does not depend on.
///
/// # Errors
/// The document is no Kubernetes object, its apiVersion is not one that is read here though its group is, or one of
/// its fields is of the wrong type or missing.
pub fn object(document: Value) -> Result<Option<Reading>, FieldError> {
    let Some(kind) = Header::read(&document)?.known_kind()? else {
        return Ok(None);
    };
    let reading = match kind {
        Kind::IngressRoute => ingressroute::ingress_route(document),
        Kind::TlsCertificateDelegation => ingressroute::certificate_delegation(document),
        Kind::Service => service::service(document),
        Kind::EndpointSlice => endpoints::endpoint_slice(document),
        Kind::Endpoints => endpoints::endpoints(document),
        Kind::Secret => secret::secret(document),
        // No document is of this kind: it is none of Kubernetes'.
        Kind::Jwks => return Ok(None),
    };
    reading.map(Some)
}

// === impl Reading ===

impl Reading {
    fn whole(object: Object) -> Self {
        Self {
            object,
            warnings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
