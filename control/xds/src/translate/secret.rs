//! Certificates to `Secret`.

use crate::pack;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{Secret, TlsCertificate, secret};
use switchyard_core::table::Certificate;

/// The certificate that is presented to who asks for `fqdn`: Envoy asks for secrets by SNI.
pub(super) fn secret(fqdn: &str, Certificate { chain, key }: &Certificate) -> Secret {
    let certificate = TlsCertificate {
        certificate_chain: Some(pack::inline_bytes(chain)),
        private_key: Some(pack::inline_bytes(key)),
        ..Default::default()
    };
    Secret {
        name: fqdn.to_owned(),
        r#type: Some(secret::Type::TlsCertificate(certificate)),
    }
}
