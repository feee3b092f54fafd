//! Services that are asked while a request waits.

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
