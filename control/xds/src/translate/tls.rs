//! TLS at the edge.
//!
//! Certificates are asked for by the name that the client asks for (SNI), when it first does. So a listener need not
//! list them: hosts come and go, and it stays as it is.

use crate::pack;
use envoy_types::pb::envoy::{
    config::core::v3::{TransportSocket, TypedExtensionConfig},
    extensions::transport_sockets::tls::{
        cert_mappers::sni::v3::Sni,
        cert_selectors::on_demand_secret::v3 as on_demand_secret,
        v3::{
            CommonTlsContext, DownstreamTlsContext, TlsParameters,
            downstream_tls_context::SessionTicketKeysType, tls_parameters::TlsProtocol,
        },
    },
};
use std::time::Duration;
use switchyard_core::table::TlsVersion;

/// A handshake that needs a certificate waits for it no longer; then it fails.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const SECRET_TIMEOUT: Duration = Duration::from_secs(5);
/// What a client that names no host is taken to ask for. No host has this name, so its handshake fails.
const NO_NAME: &str = "-";
/// Envoy's own, all with forward secrecy and authenticated encryption.
const MODERN_CIPHERS: [&str; 4] = [
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];
/// TLS 1.1 knows none of those.
const LEGACY_CIPHERS: [&str; 4] = [
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
];

/// Decrypts, with the certificate of the host that the client names.
pub(super) fn terminate(minimum: TlsVersion, alpn: &[&str]) -> TransportSocket {
    let context = DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(parameters(minimum)),
            custom_tls_certificate_selector: Some(by_sni()),
            alpn_protocols: alpn.iter().map(ToString::to_string).collect(),
            ..Default::default()
        }),
        // Envoy refuses certificates on demand with either kind of session resumption.
        disable_stateful_session_resumption: true,
        session_ticket_keys_type: Some(SessionTicketKeysType::DisableStatelessSessionResumption(true)),
        ..Default::default()
    };
    pack::transport_socket("envoy.transport_sockets.tls", &context)
}

fn parameters(minimum: TlsVersion) -> TlsParameters {
    let (protocol, legacy) = match minimum {
        TlsVersion::V1_1 => (TlsProtocol::TlSv11, &LEGACY_CIPHERS[..]),
        TlsVersion::V1_2 => (TlsProtocol::TlSv12, &[][..]),
        TlsVersion::V1_3 => (TlsProtocol::TlSv13, &[][..]),
    };
    TlsParameters {
        tls_minimum_protocol_version: protocol.into(),
        tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
        cipher_suites: MODERN_CIPHERS
            .iter()
            .chain(legacy)
            .map(ToString::to_string)
            .collect(),
        ..Default::default()
    }
}

fn by_sni() -> TypedExtensionConfig {
    let sni = Sni {
        default_value: NO_NAME.to_owned(),
    };
    let selector = on_demand_secret::Config {
        config_source: Some(pack::from_ads(SECRET_TIMEOUT)),
        certificate_mapper: Some(pack::extension("envoy.tls.certificate_mappers.sni", &sni)),
        ..Default::default()
    };
    pack::extension("envoy.tls.certificate_selectors.on_demand_secret", &selector)
}
