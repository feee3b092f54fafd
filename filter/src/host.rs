//! What is asked of the host, and told to it.
//!
//! The first call of a kind in a request is dear, for the code of Envoy's that it runs is cold; further ones of the
//! same kind are not. So no kind is used that a request can do without.

use proxy_wasm::{
    hostcalls,
    types::{BufferType, LogLevel, MapType, Status},
};
use std::time::UNIX_EPOCH;

/// Names in lower case, in the order in which they came.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// The configuration of the plugin, `len` bytes of it.
pub(crate) fn plugin_configuration(len: usize) -> Vec<u8> {
    let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, len);
    bytes.ok().flatten().unwrap_or_default()
}

/// The `root_id` of the plugin that is being configured, or that the running stream goes through.
pub(crate) fn root_id() -> Vec<u8> {
    let id = hostcalls::get_property(vec!["plugin_root_id"]).ok().flatten();
    id.unwrap_or_default()
}

/// Whether a stream has not ended. The calls that follow are of that stream: see [`return_to`].
pub(crate) fn is_live(stream: u32) -> bool {
    hostcalls::set_effective_context(stream).is_ok()
}

/// Makes the calls that follow those of the running stream again.
pub(crate) fn return_to(stream: u32) {
    log_failure("stream", hostcalls::set_effective_context(stream));
}

/// Nanoseconds since 1970, cut to what differs from one start to the next.
pub(crate) fn clock() -> u64 {
    let now = hostcalls::get_current_time().unwrap_or(UNIX_EPOCH);
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    since
        .as_secs()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(since.subsec_nanos().into())
}

/// The name of the route that the request is on; empty where it is on none. (`route_name` is that of the route that the
/// router took, and empty until then.)
pub(crate) fn route_name() -> String {
    let name = hostcalls::get_property(vec!["xds", "route_name"]).ok().flatten();
    name.and_then(|name| String::from_utf8(name).ok())
        .unwrap_or_default()
}

/// The value of a header that is there once; empty where it is not there.
pub(crate) fn request_header(name: &str) -> Vec<u8> {
    let value = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, name);
    value.ok().flatten().unwrap_or_default()
}

pub(crate) fn request_headers() -> Headers {
    hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default()
}

pub(crate) fn response_headers() -> Headers {
    hostcalls::get_map_bytes(MapType::HttpResponseHeaders).unwrap_or_default()
}

/// Replaces the header, however often it was there; none takes it away.
pub(crate) fn set_request_header(name: &str, value: Option<&str>) {
    log_failure(
        name,
        hostcalls::set_map_value(MapType::HttpRequestHeaders, name, value),
    );
}

/// Replaces the header, however often it was there; none takes it away.
pub(crate) fn set_response_header(name: &str, value: Option<&[u8]>) {
    log_failure(
        name,
        hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, name, value),
    );
}

/// Adds a header beside those of the same name.
pub(crate) fn add_response_header(name: &str, value: &[u8]) {
    log_failure(
        name,
        hostcalls::add_map_value_bytes(MapType::HttpResponseHeaders, name, value),
    );
}

/// Sets filter state: `%FILTER_STATE(wasm.<name>:PLAIN)%` to the rest of Envoy.
pub(crate) fn set_filter_state(name: &str, value: &str) {
    log_failure(name, hostcalls::set_property(vec![name], Some(value.as_bytes())));
}

/// Answers the request in the upstream's place, without a body.
pub(crate) fn respond(status: u32, headers: Vec<(&str, &str)>) {
    log_failure("response", hostcalls::send_http_response(status, headers, None));
}

pub(crate) fn log_error(message: &str) {
    // The host has nothing better to say of a log line that it does not take.
    hostcalls::log(LogLevel::Error, message).ok();
}

fn log_failure(what: &str, result: Result<(), Status>) {
    if let Err(status) = result {
        log_error(&format!("switchyard: {what}: the host answers {status:?}"));
    }
}
