//! Kubernetes objects, and their conversion to those of switchyard-core.
//!
//! ```text
//! document (JSON) -> [ Header ] -> the type of apiVersion and kind -> [ Reading ] -> core's Object
//! ```
//!
//! A document may come from anywhere: nothing here assumes that an API server admitted it.

mod annotations;
pub mod crd;
mod decode;
mod endpoints;
mod error;
mod header;
mod ingressroute;
pub mod lease;
mod reading;
pub mod replicas;
mod secret;
mod service;
pub mod status;
mod unknown;
pub mod watch;

pub use self::{
    error::FieldError,
    header::Header,
    ingressroute::{
        CertificateDelegation, IngressRoute, TlsCertificateDelegation, TlsCertificateDelegationSpec,
    },
    reading::Reading,
};

use serde_json::Value;
use switchyard_core::object::Kind;

/// Reads a document. Returns `None` for a kind that routing does not depend on.
///
/// # Errors
/// The document is not a Kubernetes object, its group is known but not its version, or a field is missing or of the
/// wrong type.
pub fn object(document: Value) -> Result<Option<Reading>, FieldError> {
    let Some(kind) = Header::read(&document)?.known_kind()? else {
        return Ok(None);
    };
    let reading = match kind {
        Kind::IngressRoute => ingressroute::decode::ingress_route(document),
        Kind::TlsCertificateDelegation => ingressroute::decode::certificate_delegation(document),
        Kind::Service => service::service(document),
        Kind::EndpointSlice => endpoints::endpoint_slice(document),
        Kind::Endpoints => endpoints::endpoints(document),
        Kind::Secret => secret::secret(document),
        // These kinds are internal: Kubernetes has no such objects.
        Kind::Jwks | Kind::DnsName => return Ok(None),
    };
    reading.map(Some)
}

#[cfg(test)]
mod tests;
