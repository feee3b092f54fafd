//! Services that are asked while a request waits.

use crate::protobuf::Writer;
use std::time::Duration;

/// A question to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub cluster: String,
    pub timeout: Duration,
    pub message: Message,
}

/// What it is asked.
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

/// What comes back. The proxy itself answers 503 and 504 where the service does not, so only a clear yes is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Http {
        status: u16,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    },
    /// Of a call that ended in OK.
    Grpc { body: Vec<u8> },
    /// There is no answer.
    Failed,
}

/// The server that is asked by gRPC in a cluster, as the proxy has it (`envoy.config.core.v3.GrpcService`).
///
/// If nothing is said, the proxy takes the cluster's name for the host that it asks for. Control's have slashes in them, which no
/// host has, and some servers refuse to hear of it (RFC 3986, 3.2.2).
#[must_use]
pub fn grpc_service(cluster: &str) -> Vec<u8> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let host = cluster.replace(|c| !is_fit(c), "-");
    let envoy_grpc = Writer::default().bytes(1, cluster).bytes(2, host);
    Writer::default().message(1, envoy_grpc).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn a_server_is_asked_by_a_name_that_hosts_can_have() {
        let message = grpc_service("a/b_c:80");
        assert_eq!(message, b"\x0a\x14\x0a\x08a/b_c:80\x12\x08a-b_c-80");
    }
}
