//! What Envoy calls, by version 0.2.1 of the proxy-wasm ABI.
//!
//! The SDK has exports that keep a context for each stream, which Envoy has to make and to take away: two more calls into
//! the VM for each request, and as dear as all that the filter does itself. These have no contexts; `wasm-build.sh`
//! puts each in the place of the SDK's, by its name: `switchyard_on_x` for `proxy_on_x`.

#![expect(
    unsafe_code,
    reason = "the name of an export is not checked for being there once; the linker checks these"
)]

use crate::{calls, filter, stream};
use proxy_wasm::types::Action;

/// A configuration of `len` bytes has come. False makes Envoy refuse it, and keep the one it has. It says no reason: that
/// is in the log.
#[unsafe(export_name = "switchyard_on_configure")]
extern "C" fn on_configure(root_context: u32, len: usize) -> bool {
    filter::configure(root_context, len)
}

#[unsafe(export_name = "switchyard_on_request_headers")]
extern "C" fn on_request_headers(stream: u32, _count: usize, _end_of_stream: bool) -> Action {
    stream::on_request_headers(stream)
}

#[unsafe(export_name = "switchyard_on_response_headers")]
extern "C" fn on_response_headers(stream: u32, _count: usize, _end_of_stream: bool) -> Action {
    stream::on_response_headers(stream)
}

#[unsafe(export_name = "switchyard_on_http_call_response")]
extern "C" fn on_http_call_response(
    _root_context: u32,
    token: u32,
    headers: usize,
    body: usize,
    _trailers: usize,
) {
    calls::on_http_response(token, headers, body);
}

#[unsafe(export_name = "switchyard_on_grpc_receive")]
extern "C" fn on_grpc_receive(_root_context: u32, token: u32, len: usize) {
    calls::on_grpc_message(token, len);
}

#[unsafe(export_name = "switchyard_on_grpc_close")]
extern "C" fn on_grpc_close(_root_context: u32, token: u32, _status: u32) {
    calls::on_grpc_close(token);
}

/// It is time for what is done bit by bit.
#[unsafe(export_name = "switchyard_on_tick")]
extern "C" fn on_tick(_root_context: u32) {
    filter::on_tick();
}

/// A context is no more: a stream's, or a plugin's.
#[unsafe(export_name = "switchyard_on_delete")]
extern "C" fn on_delete(context: u32) {
    filter::end(context);
}
