//! What is asked of the host, and told to it.
//!
//! The first call of a kind in a request is dear, for the code of Envoy's that it runs is cold; further ones of the
//! same kind are not. So no kind is used that a request can do without.

use crate::abi::{self, BufferType, MapType, Status};
use std::time::Duration;
use switchyard_policy::{
    call::Reply,
    enforce::{edit::Edit, refusal::Response},
};

pub(crate) use abi::Headers;

/// The configuration of the plugin, `len` bytes of it.
pub(crate) fn plugin_configuration(len: usize) -> Vec<u8> {
    abi::buffer(BufferType::PluginConfiguration, len)
}

/// The `root_id` of the plugin that is being configured.
pub(crate) fn root_id() -> Vec<u8> {
    abi::property("plugin_root_id").unwrap_or_default()
}

/// Whether a stream has not ended, or a plugin. If so, the calls that follow are of that.
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

/// The name of the route that the request is on; empty where it is on none. (`route_name` is that of the route that the
/// router took, and empty until then.)
pub(crate) fn route_name() -> String {
    let name = abi::property("xds\0route_name").unwrap_or_default();
    String::from_utf8(name).unwrap_or_default()
}

/// The value of a header that is there once; empty where it is not there.
pub(crate) fn request_header(name: &str) -> Vec<u8> {
    abi::header(MapType::Request, name).unwrap_or_default()
}

pub(crate) fn request_headers() -> Headers {
    abi::headers(MapType::Request)
}

pub(crate) fn response_headers() -> Headers {
    abi::headers(MapType::Response)
}

/// Replaces the header, however often it was there; none takes it away.
pub(crate) fn set_request_header(name: &str, value: Option<&[u8]>) {
    set_header(MapType::Request, name, value);
}

/// Replaces the header, however often it was there; none takes it away.
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

/// Answers the request in the upstream's place. To a client that speaks gRPC the proxy gives a status of gRPC, with the body
/// for its message.
pub(crate) fn respond(response: &Response) {
    let Response {
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

/// Lets the request of the stream go on that was paused.
pub(crate) fn resume_request() {
    log_failure("request", abi::resume_http_request());
}

/// How often `on_tick` is to be called; 0: not any more. Of the plugin that the stream, or the call, is of.
pub(crate) fn set_tick_period(period: Duration) {
    let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    log_failure("tick", abi::set_tick_period(milliseconds));
}

/// The answer to a question that has just come, with a body of so many bytes.
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

/// The message that has just come, of so many bytes.
pub(crate) fn call_message(len: usize) -> Vec<u8> {
    abi::buffer(BufferType::GrpcReceiveBuffer, len)
}

pub(crate) fn log_error(message: &str) {
    // The host has nothing better to say of a log line that it does not take.
    abi::log_error(message).ok();
}

fn log_failure(what: &str, result: Result<(), Status>) {
    if let Err(Status(status)) = result {
        log_error(&format!("switchyard: {what}: the host answers {status}"));
    }
}
