//! Calls to the host, with the types of the filter.
//!
//! The first call of a kind in a request is expensive, because the Envoy code that it runs is cold; further ones of the
//! same kind are cheap. So the filter avoids every kind of call that a request can do without.

use crate::abi::{self, BufferType, MapType, Status};
use std::time::Duration;
use switchyard_policy::{call::Reply, edit::Edit, local_reply::LocalReply};

pub(crate) use abi::Headers;

/// The configuration of the plugin, `len` bytes of it.
pub(crate) fn plugin_configuration(len: usize) -> Vec<u8> {
    abi::buffer(BufferType::PluginConfiguration, len)
}

/// The `root_id` of the plugin that is being configured.
pub(crate) fn root_id() -> Vec<u8> {
    abi::property("plugin_root_id").unwrap_or_default()
}

/// Returns true if the context, a stream or a plugin, still exists. If so, the calls that follow apply to it.
pub(crate) fn is_live(context: u32) -> bool {
    abi::set_effective_context(context).is_ok()
}

/// The time since 1970.
pub(crate) fn now() -> Duration {
    Duration::from_nanos(clock())
}

/// Nanoseconds since 1970.
pub(crate) fn clock() -> u64 {
    abi::current_time()
}

/// The name of the request's route; empty if it has none. (The property `route_name` is empty until the router filter
/// has run.)
pub(crate) fn route_name() -> String {
    let name = abi::property("xds\0route_name").unwrap_or_default();
    String::from_utf8(name).unwrap_or_default()
}

/// The value of a header that occurs once; empty if it is absent.
pub(crate) fn request_header(name: &str) -> Vec<u8> {
    abi::header(MapType::Request, name).unwrap_or_default()
}

pub(crate) fn request_headers() -> Headers {
    abi::headers(MapType::Request)
}

pub(crate) fn response_headers() -> Headers {
    abi::headers(MapType::Response)
}

/// Replaces all values of the header; `None` removes it.
pub(crate) fn set_request_header(name: &str, value: Option<&[u8]>) {
    set_header(MapType::Request, name, value);
}

/// Replaces all values of the header; `None` removes it.
pub(crate) fn set_response_header(name: &str, value: Option<&[u8]>) {
    set_header(MapType::Response, name, value);
}

/// Adds a header beside those of the same name.
pub(crate) fn add_response_header(name: &str, value: &[u8]) {
    add_header(MapType::Response, name, value);
}

pub(crate) fn edit_request(edits: &[Edit<'_>]) {
    edit(MapType::Request, edits);
}

pub(crate) fn edit_response(edits: &[Edit<'_>]) {
    edit(MapType::Response, edits);
}

fn edit(map: MapType, edits: &[Edit<'_>]) {
    for edit in edits {
        match *edit {
            Edit::Set(name, value) => set_header(map, name, Some(value)),
            Edit::Add(name, value) => add_header(map, name, value),
            Edit::Remove(name) => set_header(map, name, None),
        }
    }
}

fn set_header(map: MapType, name: &str, value: Option<&[u8]>) {
    log_failure(name, abi::set_header(map, name, value));
}

fn add_header(map: MapType, name: &str, value: &[u8]) {
    log_failure(name, abi::add_header(map, name, value));
}

pub(crate) fn remove_request_trailers() {
    for (name, _) in abi::headers(MapType::RequestTrailers) {
        set_header(MapType::RequestTrailers, &name, None);
    }
}

/// Sets filter state: `%FILTER_STATE(wasm.<name>:PLAIN)%` to the rest of Envoy.
pub(crate) fn set_filter_state(name: &str, value: &str) {
    log_failure(name, abi::set_property(name, value.as_bytes()));
}

/// Sends a local response. To a gRPC client the proxy sends a gRPC status, with the body as its message.
pub(crate) fn respond(response: &LocalReply) {
    let LocalReply {
        status,
        headers,
        body,
        grpc_status,
    } = response;
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    if !abi::respond((*status).into(), &headers, body, *grpc_status) {
        log_error("switchyard: response: the host does not take it");
    }
}

/// Continues the paused request of the current stream.
pub(crate) fn resume_request() {
    log_failure("request", abi::resume_http_request());
}

/// Sets the period of `on_tick` for the plugin of the current context; 0 stops it.
pub(crate) fn set_tick_period(period: Duration) {
    let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    log_failure("tick", abi::set_tick_period(milliseconds));
}

/// The HTTP response to a callout that has just arrived, with a body of `body_len` bytes.
pub(crate) fn call_response(body_len: usize) -> Reply {
    let headers = abi::headers(MapType::CallResponse);
    let status = headers.iter().find(|(name, _)| name == ":status");
    let status = status.and_then(|(_, status)| str::from_utf8(status).ok()?.parse().ok());
    let body = abi::buffer(BufferType::HttpCallResponseBody, body_len);
    status.map_or(Reply::Failed, |status| Reply::Http {
        status,
        headers,
        body,
    })
}

/// The gRPC message that has just arrived, of `len` bytes.
pub(crate) fn call_message(len: usize) -> Vec<u8> {
    abi::buffer(BufferType::GrpcReceiveBuffer, len)
}

pub(crate) fn log_error(message: &str) {
    // A log line that the host rejects cannot be reported elsewhere.
    abi::log_error(message).ok();
}

fn log_failure(what: &str, result: Result<(), Status>) {
    if let Err(Status(status)) = result {
        log_error(&format!("switchyard: {what}: the host answers {status}"));
    }
}
