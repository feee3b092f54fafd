//! Services that are asked, and what they answer.
//!
//! Envoy asks them for the plugin, not for the stream: their answers come also when the stream has ended meanwhile.

use crate::{abi, filter, host};
use std::time::Duration;
use switchyard_policy::call::{self, Call, Message, Reply};

/// What the host calls the answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Token {
    Http(u32),
    Grpc(u32),
}

/// Asks. None: the service cannot be.
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

/// An answer of so many headers, and a body of so many bytes. It has no headers where there is none.
pub(crate) fn on_http_response(token: u32, headers: usize, body_len: usize) {
    let reply = if headers == 0 {
        Reply::Failed
    } else {
        host::call_response(body_len)
    };
    filter::on_reply(Token::Http(token), reply);
}

/// A message of so many bytes: the whole answer.
pub(crate) fn on_grpc_message(token: u32, len: usize) {
    let body = host::call_message(len);
    filter::on_reply(Token::Grpc(token), Reply::Grpc { body });
}

/// There is no answer. (This comes also of calls whose token the host never told: it could not make them.)
pub(crate) fn on_grpc_close(token: u32) {
    filter::on_reply(Token::Grpc(token), Reply::Failed);
}

/// 0 would be no limit, or none at all.
fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1)
}
