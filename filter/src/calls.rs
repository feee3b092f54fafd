//! HTTP and gRPC callouts to services, and their responses.
//!
//! Envoy makes a callout for the plugin, not for the stream: the response also arrives if the stream has ended
//! meanwhile.

use crate::{abi, filter, host};
use std::time::Duration;
use switchyard_policy::call::{self, Call, Message, Reply};

/// The host's token for the response to a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Token {
    Http(u32),
    Grpc(u32),
}

/// Sends a callout; `None` if the host does not accept it.
pub(crate) fn ask(call: &Call) -> Option<Token> {
    let Call {
        cluster,
        timeout,
        message,
    } = call;
    match message {
        Message::Http { headers } => {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_slice()))
                .collect();
            abi::call_http(cluster, &headers, milliseconds(*timeout)).map(Token::Http)
        }
        Message::Grpc {
            service,
            method,
            body,
        } => {
            let server = call::grpc_service(cluster);
            abi::call_grpc(&server, (service, method), body, milliseconds(*timeout)).map(Token::Grpc)
        }
    }
}

/// Handles an HTTP response with `headers` headers and a body of `body_len` bytes. Without headers there is no
/// response.
pub(crate) fn on_http_response(token: u32, headers: usize, body_len: usize) {
    let reply = if headers == 0 {
        Reply::Failed
    } else {
        host::call_response(body_len)
    };
    filter::on_reply(Token::Http(token), reply);
}

/// Handles a gRPC message of `len` bytes, which is the whole response.
pub(crate) fn on_grpc_message(token: u32, len: usize) {
    let body = host::call_message(len);
    filter::on_reply(Token::Grpc(token), Reply::Grpc { body });
}

/// Handles a gRPC call without a response. (The host also reports calls that it could not make, whose token it never
/// returned.)
pub(crate) fn on_grpc_close(token: u32) {
    filter::on_reply(Token::Grpc(token), Reply::Failed);
}

/// Converts a timeout to milliseconds, at least 1: 0 would mean no timeout, or an immediate one.
fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1)
}
