//! What Envoy calls, by version 0.2.1 of the proxy-wasm ABI.
//!
//! The SDK has exports that keep a context for each stream, which Envoy has to make and to take away: two more calls into
//! the VM for each request, and as dear as all that the filter does itself. These have no contexts; `wasm-build.sh`
//! puts each in the place of the SDK's, by its name: `switchyard_on_x` for `proxy_on_x`.

#![expect(
    unsafe_code,
    reason = "the name of an export is not checked for being there once; the linker checks these"
)]

use crate::{filter, stream};
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
