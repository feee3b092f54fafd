//! Calls of the proxy-wasm ABI 0.2.1, which the host exports.
//!
//! The proxy-wasm SDK is not used: it exports every callback with all the code behind it, 50 KB that cannot be left out
//! of the filter; it panics on an unexpected answer of the host, which ends the VM; it keeps the state of a callout
//! until one of its own exports gets the response; it accepts only UTF-8 headers; and it offers no entropy.

#![expect(unsafe_code, reason = "what the host exports is declared here")]

use std::ptr;

/// The `grpc_status` of `proxy_send_local_response` that stands for none.
const NO_GRPC_STATUS: u32 = u32::MAX;

/// `proxy_status_t`.
const OK: u32 = 0;

/// `WasmStreamType` of the request.
const HTTP_REQUEST: u32 = 0;
/// `MetricType`.
const COUNTER: u32 = 0;
/// `LogLevel`.
const ERROR: u32 = 4;

/// The result of a callback, which tells the host how to proceed with the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Action {
    Continue = 0,
    Pause = 1,
}

/// The header map that a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum MapType {
    Request = 0,
    RequestTrailers = 1,
    Response = 2,
    CallResponse = 6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum BufferType {
    HttpCallResponseBody = 4,
    GrpcReceiveBuffer = 5,
    PluginConfiguration = 7,
}

/// The `proxy_status_t` of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

/// Headers in the order received, names in lower case.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// Bytes that the host wrote to memory from [`allocate`].
struct Returned {
    data: *mut u8,
    len: usize,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    safe fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    safe fn proxy_continue_stream(stream_type: u32) -> u32;
    safe fn proxy_set_effective_context(context: u32) -> u32;
    safe fn proxy_increment_metric(id: u32, offset: i64) -> u32;

    fn proxy_log(level: u32, message: *const u8, message_len: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_define_metric(metric_type: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: BufferType,
        start: usize,
        max_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize) -> u32;
    fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: MapType,
        name: *const u8,
        name_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: MapType,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: MapType,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: MapType, name: *const u8, name_len: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        version: u32,
    ) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        arguments: *const u8,
        arguments_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;

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

/// Allocates memory for the host to write to.
pub(crate) fn allocate(len: usize) -> *mut u8 {
    Box::into_raw(Box::<[u8]>::new_uninit_slice(len)).cast()
}

pub(crate) fn log_error(message: &str) -> Result<(), Status> {
    // SAFETY: the host reads as many bytes as the length says, before it returns.
    done(unsafe { proxy_log(ERROR, message.as_ptr(), message.len()) })
}

/// Nanoseconds since 1970.
pub(crate) fn current_time() -> u64 {
    let mut time = 0;
    // SAFETY: the host writes the time before it returns, and the call cannot fail.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
    time
}

/// Sets the period of `on_tick` in milliseconds; 0 stops it.
pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), Status> {
    done(proxy_set_tick_period_milliseconds(milliseconds))
}

/// Continues the paused request of the current stream.
pub(crate) fn resume_http_request() -> Result<(), Status> {
    done(proxy_continue_stream(HTTP_REQUEST))
}

/// Makes the calls that follow apply to this context, a stream or a plugin.
pub(crate) fn set_effective_context(context: u32) -> Result<(), Status> {
    done(proxy_set_effective_context(context))
}

/// Defines a counter, and returns its metric ID.
pub(crate) fn define_counter(name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the host reads as many bytes as the length says, and writes the number, before it returns.
    let result = unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) };
    (result == OK).then_some(id)
}

pub(crate) fn increment_metric(id: u32) -> Result<(), Status> {
    done(proxy_increment_metric(id, 1))
}

/// Returns at most `len` bytes of a buffer; empty if there is no such buffer.
pub(crate) fn buffer(buffer: BufferType, len: usize) -> Vec<u8> {
    let mut returned = Returned::nothing();
    // SAFETY: the host writes where the bytes are that it returns.
    let result =
        unsafe { proxy_get_buffer_bytes(buffer, 0, len, &raw mut returned.data, &raw mut returned.len) };
    returned.bytes(result).unwrap_or_default()
}

/// Returns the host's property at a path, whose segments are separated by NUL.
pub(crate) fn property(path: &str) -> Option<Vec<u8>> {
    let mut returned = Returned::nothing();
    // SAFETY: the host reads as many bytes as the length says, and writes where those are that it returns.
    let result = unsafe {
        proxy_get_property(
            path.as_ptr(),
            path.len(),
            &raw mut returned.data,
            &raw mut returned.len,
        )
    };
    returned.bytes(result)
}

pub(crate) fn set_property(path: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: the host reads as many bytes as each length says, before it returns.
    done(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// All headers.
pub(crate) fn headers(map: MapType) -> Headers {
    let mut returned = Returned::nothing();
    // SAFETY: the host writes where the bytes are that it returns.
    let result = unsafe { proxy_get_header_map_pairs(map, &raw mut returned.data, &raw mut returned.len) };
    let bytes = returned.bytes(result).unwrap_or_default();
    deserialized(&bytes).unwrap_or_default()
}

/// The value of a header; several values are joined with commas.
pub(crate) fn header(map: MapType, name: &str) -> Option<Vec<u8>> {
    let mut returned = Returned::nothing();
    // SAFETY: the host reads as many bytes as the length says, and writes where those are that it returns.
    let result = unsafe {
        proxy_get_header_map_value(
            map,
            name.as_ptr(),
            name.len(),
            &raw mut returned.data,
            &raw mut returned.len,
        )
    };
    returned.bytes(result)
}

pub(crate) fn add_header(map: MapType, name: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: the host reads as many bytes as each length says, before it returns.
    done(unsafe { proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Replaces all headers of that name; `None` removes them.
pub(crate) fn set_header(map: MapType, name: &str, value: Option<&[u8]>) -> Result<(), Status> {
    // SAFETY: the host reads as many bytes as each length says, before it returns.
    done(unsafe {
        match value {
            Some(value) => {
                proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
            }
            None => proxy_remove_header_map_value(map, name.as_ptr(), name.len()),
        }
    })
}

/// A value that all workers share, and its version.
pub(crate) fn shared_data(key: &str) -> Option<(Vec<u8>, u32)> {
    let mut returned = Returned::nothing();
    let mut version = 0;
    // SAFETY: the host reads as many bytes as the length says, and writes where those are that it returns.
    let result = unsafe {
        proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            &raw mut returned.data,
            &raw mut returned.len,
            &raw mut version,
        )
    };
    let value = returned.bytes(result)?;
    (version != 0).then_some((value, version))
}

/// Sets a shared value if it still has `version`; `None` sets it whatever its version. Returns true if it was set.
pub(crate) fn set_shared_data(key: &str, value: &[u8], version: Option<u32>) -> bool {
    // SAFETY: the host reads as many bytes as each length says, before it returns.
    let result = unsafe {
        proxy_set_shared_data(
            key.as_ptr(),
            key.len(),
            value.as_ptr(),
            value.len(),
            version.unwrap_or_default(),
        )
    };
    result == OK
}

pub(crate) fn call_foreign_function(name: &str, arguments: &[u8]) -> Option<Vec<u8>> {
    let mut returned = Returned::nothing();
    // SAFETY: the host reads as many bytes as each length says, and writes where those are that it returns.
    let result = unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            &raw mut returned.data,
            &raw mut returned.len,
        )
    };
    returned.bytes(result)
}

/// Sends a local response. Returns true if the host accepts it.
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
    result == OK
}

/// Sends a request without a body to a cluster, and returns the token of its response.
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
    (result == OK).then_some(token)
}

/// Sends a unary call to `server`, an encoded Envoy `GrpcService`, and returns the token of its response.
pub(crate) fn call_grpc(
    server: &[u8],
    (service, method): (&str, &str),
    message: &[u8],
    timeout_ms: u32,
) -> Option<u32> {
    let metadata = serialized(&[]);
    let mut token = 0;
    // SAFETY: as for an HTTP call.
    let result = unsafe {
        proxy_grpc_call(
            server.as_ptr(),
            server.len(),
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
    (result == OK).then_some(token)
}

/// Unpredictable random bits; `None` if the host has none.
pub(crate) fn random() -> Option<u64> {
    let mut bytes = [0; 8];
    // SAFETY: the host writes as many bytes as the length says, before it returns.
    let errno = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    (errno == 0).then(|| u64::from_le_bytes(bytes))
}

fn done(result: u32) -> Result<(), Status> {
    if result == OK { Ok(()) } else { Err(Status(result)) }
}

/// Serializes headers for the ABI: their count, the lengths of all names and values, then the names and values, each
/// followed by a NUL.
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

/// Reads headers in the format of [`serialized`]; `None` if they are malformed.
fn deserialized(bytes: &[u8]) -> Option<Headers> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let (lens, mut texts) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut next = |len: &[u8; 4]| {
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (text, rest) = texts.split_at_checked(len)?;
        texts = rest.get(1..)?;
        Some(text)
    };
    let mut headers = Vec::with_capacity(count);
    let (lens, _) = lens.as_chunks::<4>();
    for pair in lens.chunks_exact(2) {
        let [name, value] = pair else {
            return None;
        };
        let name = String::from_utf8_lossy(next(name)?).into_owned();
        headers.push((name, next(value)?.to_vec()));
    }
    Some(headers)
}

// === impl Returned ===

impl Returned {
    fn nothing() -> Self {
        Self {
            data: ptr::null_mut(),
            len: 0,
        }
    }

    /// Returns the bytes; `None` if the call failed, such as for an unknown name.
    fn bytes(self, result: u32) -> Option<Vec<u8>> {
        if result != OK {
            return None;
        }
        if self.data.is_null() {
            return Some(Vec::new());
        }
        // SAFETY: the host got this memory from `allocate`, with this length, and returned the only pointer to it.
        Some(unsafe { Vec::from_raw_parts(self.data, self.len, self.len) })
    }
}
