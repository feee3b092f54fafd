//! Calls of the proxy-wasm ABI 0.2.1 that the SDK has not, or has with less than is needed.
//!
//! The SDK keeps what it called until an export of its own hears of the answer, and the filter has its own exports; it takes
//! headers that are UTF-8 alone; an answer of its own has a status of HTTP or one of gRPC, and whether a client speaks gRPC
//! is for the proxy to say; and it has no entropy.

#![expect(unsafe_code, reason = "what the host exports is declared here")]

use proxy_wasm::types::Status;
use std::ptr;

/// What the proxy answers where a call was not of gRPC.
const NO_GRPC_STATUS: u32 = u32::MAX;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: u32,
    ) -> u32;

    fn proxy_http_call(
        cluster: *const u8,
        cluster_len: usize,
        headers: *const u8,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
        trailers: *const u8,
        trailers_len: usize,
        timeout_ms: u32,
        token: *mut u32,
    ) -> u32;

    fn proxy_grpc_call(
        cluster: *const u8,
        cluster_len: usize,
        service: *const u8,
        service_len: usize,
        method: *const u8,
        method_len: usize,
        metadata: *const u8,
        metadata_len: usize,
        message: *const u8,
        message_len: usize,
        timeout_ms: u32,
        token: *mut u32,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, len: usize) -> u32;
}

/// Answers the request in the upstream's place. Says whether the host takes it.
pub(crate) fn respond(status: u32, headers: &[(&str, &[u8])], body: &[u8], grpc_status: Option<u32>) -> bool {
    let headers = serialized(headers);
    // SAFETY: the host reads as many bytes as each length says, before it returns.
    let result = unsafe {
        proxy_send_local_response(
            status,
            ptr::null(),
            0,
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status.unwrap_or(NO_GRPC_STATUS),
        )
    };
    is_ok(result)
}

/// Sends a request without a body to a cluster. Gives what its answer will be called.
pub(crate) fn call_http(cluster: &str, headers: &[(&str, &[u8])], timeout_ms: u32) -> Option<u32> {
    let headers = serialized(headers);
    let trailers = serialized(&[]);
    let mut token = 0;
    // SAFETY: the host reads as many bytes as each length says, and writes the token, before it returns.
    let result = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            ptr::null(),
            0,
            trailers.as_ptr(),
            trailers.len(),
            timeout_ms,
            &raw mut token,
        )
    };
    is_ok(result).then_some(token)
}

/// Sends a unary call to a cluster. Gives what its answer will be called.
pub(crate) fn call_grpc(
    cluster: &str,
    (service, method): (&str, &str),
    message: &[u8],
    timeout_ms: u32,
) -> Option<u32> {
    let metadata = serialized(&[]);
    let mut token = 0;
    // SAFETY: as for a call of HTTP.
    let result = unsafe {
        proxy_grpc_call(
            cluster.as_ptr(),
            cluster.len(),
            service.as_ptr(),
            service.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            message.as_ptr(),
            message.len(),
            timeout_ms,
            &raw mut token,
        )
    };
    is_ok(result).then_some(token)
}

/// Bits that nobody can foresee. None: the host has none.
pub(crate) fn random() -> Option<u64> {
    let mut bytes = [0; 8];
    // SAFETY: the host writes as many bytes as the length says, before it returns.
    let errno = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    (errno == 0).then(|| u64::from_le_bytes(bytes))
}

fn is_ok(result: u32) -> bool {
    result == Status::Ok as u32
}

/// Headers as the ABI has them: how many, the lengths of all names and values, then these, each with a zero after it.
fn serialized(headers: &[(&str, &[u8])]) -> Vec<u8> {
    let texts = || headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]);
    let len = |text: &[u8]| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    let mut bytes = count.to_le_bytes().to_vec();
    bytes.extend(texts().flat_map(len));
    for text in texts() {
        bytes.extend(text);
        bytes.push(0);
    }
    bytes
}
