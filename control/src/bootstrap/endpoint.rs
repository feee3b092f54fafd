//! Addresses by name.

use serde_json::{Value, json};
use std::net::SocketAddr;

/// A host and a port. The host may be a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

// === impl Endpoint ===

impl Endpoint {
    /// The `envoy.config.core.v3.Address`.
    pub(super) fn address(&self) -> Value {
        let Self { host, port } = self;
        json!({"socket_address": {"address": host, "port_value": port}})
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or("must be HOST:PORT")?;
        let port = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("must be HOST:PORT; HOST is missing".to_owned());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}
