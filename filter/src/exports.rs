//! The exports that Envoy calls, by version 0.2.1 of the proxy-wasm ABI.
//!
//! Envoy calls each callback that is exported, and entering the VM costs time even if the callback does nothing: so
//! only callbacks that have something to do are exported.

#![expect(
    unsafe_code,
    reason = "the name of an export is not checked for being there once; the linker checks these"
)]

use crate::{
    abi::{self, Action},
    calls, filter, stream,
};

/// Tells the host the version of the ABI, by its name alone.
#[unsafe(export_name = "proxy_abi_version_0_2_1")]
extern "C" fn abi_version() {}

/// Allocates memory for what the host returns.
#[unsafe(export_name = "malloc")]
extern "C" fn allocate(len: usize) -> *mut u8 {
    abi::allocate(len)
}

/// Handles a configuration of `len` bytes. False makes Envoy reject it and keep the current one; the reason is in the
/// log.
#[unsafe(export_name = "proxy_on_configure")]
extern "C" fn on_configure(root_context: u32, len: usize) -> bool {
    filter::configure(root_context, len)
}

/// Handles a new context: a stream's, with the root context of its plugin, or a plugin's, without one.
#[unsafe(export_name = "proxy_on_context_create")]
extern "C" fn on_context_create(context: u32, root_context: u32) {
    filter::begin(context, root_context);
}

#[unsafe(export_name = "proxy_on_request_headers")]
extern "C" fn on_request_headers(stream: u32, _count: usize, _end_of_stream: bool) -> Action {
    stream::on_request_headers(stream)
}

/// Removes the trailers. Envoy does not call this while the request waits.
#[unsafe(export_name = "proxy_on_request_trailers")]
extern "C" fn on_request_trailers(_stream: u32, _count: usize) -> Action {
    stream::on_request_trailers()
}

#[unsafe(export_name = "proxy_on_response_headers")]
extern "C" fn on_response_headers(stream: u32, _count: usize, _end_of_stream: bool) -> Action {
    stream::on_response_headers(stream)
}

#[unsafe(export_name = "proxy_on_http_call_response")]
extern "C" fn on_http_call_response(
    _root_context: u32,
    token: u32,
    headers: usize,
    body: usize,
    _trailers: usize,
) {
    calls::on_http_response(token, headers, body);
}

#[unsafe(export_name = "proxy_on_grpc_receive")]
extern "C" fn on_grpc_receive(_root_context: u32, token: u32, len: usize) {
    calls::on_grpc_message(token, len);
}

#[unsafe(export_name = "proxy_on_grpc_close")]
extern "C" fn on_grpc_close(_root_context: u32, token: u32, _status: u32) {
    calls::on_grpc_close(token);
}

/// Handles a tick: does a slice of the pending work.
#[unsafe(export_name = "proxy_on_tick")]
extern "C" fn on_tick(_root_context: u32) {
    filter::on_tick();
}

/// Handles the end of a context, a stream's or a plugin's.
#[unsafe(export_name = "proxy_on_delete")]
extern "C" fn on_delete(context: u32) {
    filter::end(context);
}
