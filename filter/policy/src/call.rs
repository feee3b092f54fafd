//! Callouts to services while a request waits.

use std::time::Duration;

/// A callout to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub cluster: String,
    pub timeout: Duration,
    pub message: Message,
}

/// The message of a callout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request without a body. Its headers have `:method`, `:path` and `:authority` among them.
    Http { headers: Vec<(String, Vec<u8>)> },
    /// A unary call.
    Grpc {
        service: &'static str,
        method: &'static str,
        /// Protobuf.
        body: Vec<u8>,
    },
}

/// The result of a callout. The proxy itself answers 503 or 504 if the service does not, so only an explicit yes counts
/// as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Http {
        status: u16,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    },
    /// The response of a call that ended with OK.
    Grpc { body: Vec<u8> },
    /// No response.
    Failed,
}

/// `envoy.config.core.v3.GrpcService`.
#[derive(Clone, PartialEq, prost::Message)]
struct GrpcService {
    #[prost(message, optional, tag = "1")]
    envoy_grpc: Option<EnvoyGrpc>,
}

/// `envoy.config.core.v3.GrpcService.EnvoyGrpc`.
#[derive(Clone, PartialEq, prost::Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
    #[prost(string, tag = "2")]
    authority: String,
}

/// Encodes the `envoy.config.core.v3.GrpcService` of a cluster.
///
/// By default the proxy sends the cluster's name as the host. Control's cluster names contain slashes, which are not
/// valid in a host, and some servers reject such calls (RFC 3986, 3.2.2).
#[must_use]
pub fn grpc_service(cluster: &str) -> Vec<u8> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let host = cluster.replace(|c| !is_fit(c), "-");
    encode(&GrpcService {
        envoy_grpc: Some(EnvoyGrpc {
            cluster_name: cluster.to_owned(),
            authority: host,
        }),
    })
}

/// Encodes a message, which must not contain an unordered map.
pub fn encode(message: &impl prost::Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.encoded_len());
    message.encode_raw(&mut bytes);
    bytes
}

#[cfg(test)]
pub(crate) mod vectors;

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn grpc_authority_is_a_valid_host() {
        let message = grpc_service("a/b_c:80");
        assert_eq!(message, b"\x0a\x14\x0a\x08a/b_c:80\x12\x08a-b_c-80");
    }
}
