//! Envoy, by the calls of the proxy-wasm SDK.
//!
//! The first call of a kind in a request is expensive, because the Envoy code that it runs is cold; further ones of the
//! same kind are cheap. So every kind of call that a request can do without is avoided.

use prost::Message as _;
use proxy_wasm::{
    hostcalls,
    types::{BufferType, GrpcStatusCode, LogLevel, MapType, MetricType, Status},
};
use std::{
    borrow::Cow,
    cell::OnceCell,
    net::{IpAddr, SocketAddr},
    time::{Duration, UNIX_EPOCH},
};
use switchyard_policy::{
    call::{self, Call, Message, Reply, encode},
    config::policy::Algorithm,
    edit::Edit,
    host::{Host, SharedValue},
    local_reply::LocalReply,
    proxy::{Proxy, Token},
    request::RequestHeaderMap,
};

/// `envoy.source.extensions.common.wasm.VerifySignatureArguments`.
#[derive(Clone, PartialEq, prost::Message)]
struct VerifySignatureArguments {
    #[prost(string, tag = "1")]
    hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    text: Vec<u8>,
}

/// `envoy.source.extensions.common.wasm.VerifySignatureResult`.
#[derive(Clone, PartialEq, prost::Message)]
struct VerifySignatureResult {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(string, tag = "2")]
    error: String,
}

/// Envoy for one request.
#[derive(Debug, Default)]
pub(crate) struct Envoy {
    client_ip: OnceCell<Option<IpAddr>>,
    target: OnceCell<Vec<u8>>,
    request_headers: OnceCell<Headers>,
}

/// Headers in the order received, names in lower case.
type Headers = Vec<(String, Vec<u8>)>;

/// The HTTP response to a callout that has just arrived, with a body of `len` bytes.
pub(crate) fn http_reply(len: usize) -> Reply {
    let headers = headers(MapType::HttpCallResponseHeaders);
    let status = headers.iter().find(|(name, _)| name == ":status");
    let status = status.and_then(|(_, status)| str::from_utf8(status).ok()?.parse().ok());
    let body = buffer(BufferType::HttpCallResponseBody, len);
    status.map_or(Reply::Failed, |status| Reply::Http {
        status,
        headers,
        body,
    })
}

/// Returns at most `len` bytes of a buffer; empty if there is no such buffer.
pub(crate) fn buffer(buffer: BufferType, len: usize) -> Vec<u8> {
    let bytes = hostcalls::get_buffer(buffer, 0, len);
    bytes.ok().flatten().unwrap_or_default()
}

pub(crate) fn property(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}

pub(crate) fn remove_all(map: MapType) {
    for (name, _) in headers(map) {
        edit(map, Edit::Remove(&name));
    }
}

fn headers(map: MapType) -> Headers {
    hostcalls::get_map_bytes(map).unwrap_or_default()
}

fn edit(map: MapType, edit: Edit<'_>) {
    let result = match edit {
        Edit::Set(name, value) => hostcalls::set_map_value_bytes(map, name, Some(value)),
        Edit::Add(name, value) => hostcalls::add_map_value_bytes(map, name, value),
        Edit::Remove(name) => hostcalls::remove_map_value(map, name),
    };
    log_failure(edit.name(), result);
}

pub(crate) fn log_error(message: &str) {
    // A log line that the host rejects cannot be reported elsewhere.
    hostcalls::log(LogLevel::Error, message).ok();
}

fn log_failure(what: &str, result: Result<(), Status>) {
    if let Err(status) = result {
        log_error(&format!("switchyard: {what}: the host answers {status:?}"));
    }
}

/// The headers as text, which is all that the SDK takes here: other bytes than UTF-8 become U+FFFD.
fn text(headers: &[(String, Vec<u8>)]) -> Vec<(&str, Cow<'_, str>)> {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value)))
        .collect()
}

fn borrowed<'a>(headers: &'a [(&'a str, Cow<'_, str>)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, &**value)).collect()
}

/// Sends a unary call to `server`, an encoded `GrpcService`.
#[expect(unsafe_code, reason = "the SDK takes bytes as text")]
fn dispatch_grpc_call(
    server: &[u8],
    service: &str,
    method: &str,
    message: &[u8],
    timeout: Duration,
) -> Result<u32, Status> {
    // SAFETY: the SDK passes the text to the host by its address and length alone.
    let server = unsafe { str::from_utf8_unchecked(server) };
    hostcalls::dispatch_grpc_call(server, service, method, Vec::new(), Some(message), timeout)
}

/// Unpredictable random bits, which the SDK does not offer; `None` if the host has none.
#[expect(unsafe_code, reason = "a call of the host")]
fn random() -> Option<u64> {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn random_get(buffer: *mut u8, len: usize) -> u32;
    }
    let mut bytes = [0; 8];
    // SAFETY: the host writes as many bytes as the length says, before it returns.
    let errno = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    (errno == 0).then(|| u64::from_le_bytes(bytes))
}

/// The address of the client, as Envoy trusts it.
fn client_ip() -> Option<IpAddr> {
    let address = property(&["source", "address"])?;
    let address = str::from_utf8(&address).ok()?;
    let with_port = address.parse().map(|address: SocketAddr| address.ip());
    with_port.or_else(|_| address.parse()).ok()
}

/// The host's name for the hash of a signature; `None` if the host does not verify that algorithm.
fn hash_of(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::RS256 | Algorithm::ES256 => Some("sha256"),
        Algorithm::RS384 | Algorithm::ES384 => Some("sha384"),
        Algorithm::RS512 | Algorithm::ES512 => Some("sha512"),
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 | Algorithm::EdDSA => None,
    }
}

/// The statuses that refusals have.
fn grpc_status_code(status: u32) -> Option<GrpcStatusCode> {
    [
        GrpcStatusCode::InvalidArgument,
        GrpcStatusCode::PermissionDenied,
        GrpcStatusCode::ResourceExhausted,
        GrpcStatusCode::Unavailable,
        GrpcStatusCode::Unauthenticated,
    ]
    .into_iter()
    .find(|code| *code as u32 == status)
}

// === impl Envoy ===

impl Host for Envoy {
    fn now(&self) -> Duration {
        let now = hostcalls::get_current_time().unwrap_or(UNIX_EPOCH);
        now.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn client_ip(&self) -> Option<IpAddr> {
        *self.client_ip.get_or_init(client_ip)
    }

    fn shared(&self, key: &str) -> Option<SharedValue> {
        let (value, version) = hostcalls::get_shared_data(key).ok()?;
        let value = value.unwrap_or_default();
        version.map(|version| SharedValue { value, version })
    }

    fn random(&self) -> u64 {
        random().unwrap_or_else(|| u64::try_from(self.now().as_nanos()).unwrap_or_default())
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        hostcalls::set_shared_data(key, Some(value), version).is_ok()
    }

    fn verifies(&self, algorithm: Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool {
        let Some(hash) = hash_of(algorithm) else {
            return false;
        };
        let arguments = encode(&VerifySignatureArguments {
            hash_function: hash.to_owned(),
            public_key: spki.to_vec(),
            signature: signature.to_vec(),
            text: text.to_vec(),
        });
        let result = hostcalls::call_foreign_function("verify_signature", Some(&arguments));
        result.is_ok_and(|result| {
            VerifySignatureResult::decode(result.unwrap_or_default().as_slice())
                .is_ok_and(|VerifySignatureResult { result, error }| result && error.is_empty())
        })
    }
}

impl RequestHeaderMap for Envoy {
    fn target(&self) -> &[u8] {
        self.target.get_or_init(|| {
            let target = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, ":path");
            target.ok().flatten().unwrap_or_default()
        })
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        let all = || headers(MapType::HttpRequestHeaders);
        self.request_headers.get_or_init(all)
    }
}

impl Proxy for Envoy {
    fn select(&self, context: u32) -> bool {
        hostcalls::set_effective_context(context).is_ok()
    }

    /// Reads `xds.route_name`: the property `route_name` is empty until the router filter has run.
    fn route_name(&self) -> String {
        let name = property(&["xds", "route_name"]).unwrap_or_default();
        String::from_utf8(name).unwrap_or_default()
    }

    fn response_headers(&self) -> Headers {
        headers(MapType::HttpResponseHeaders)
    }

    fn edit_request(&self, edits: &[Edit<'_>]) {
        edits
            .iter()
            .for_each(|each| edit(MapType::HttpRequestHeaders, *each));
    }

    fn edit_response(&self, edits: &[Edit<'_>]) {
        edits
            .iter()
            .for_each(|each| edit(MapType::HttpResponseHeaders, *each));
    }

    /// Sets `%FILTER_STATE(wasm.<name>:PLAIN)%`.
    fn set_filter_state(&self, name: &str, value: &str) {
        log_failure(name, hostcalls::set_property(vec![name], Some(value.as_bytes())));
    }

    fn respond(&self, reply: &LocalReply) {
        let LocalReply {
            status,
            headers,
            body,
            grpc_status,
        } = reply;
        let result = if let Some(status) = grpc_status.and_then(grpc_status_code) {
            let message = String::from_utf8_lossy(body);
            let headers = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_slice()));
            hostcalls::send_grpc_response(status, Some(&message), headers.collect())
        } else {
            let headers = text(headers);
            hostcalls::send_http_response((*status).into(), borrowed(&headers), Some(body))
        };
        log_failure("response", result);
    }

    fn resume_request(&self) {
        log_failure("request", hostcalls::resume_http_request());
    }

    fn set_tick_period(&self, period: Duration) {
        log_failure("tick", hostcalls::set_tick_period(period));
    }

    /// Envoy makes a callout for the plugin, not for the stream: the response also arrives if the stream has ended
    /// meanwhile.
    fn call(&self, call: &Call) -> Option<Token> {
        let Call {
            cluster,
            timeout,
            message,
        } = call;
        // 0 would mean no timeout, or an immediate one.
        let timeout = (*timeout).max(Duration::from_millis(1));
        match message {
            Message::Http { headers } => {
                let headers = text(headers);
                let headers = borrowed(&headers);
                let token = hostcalls::dispatch_http_call(cluster, headers, None, Vec::new(), timeout);
                token.ok().map(Token::Http)
            }
            Message::Grpc {
                service,
                method,
                body,
            } => {
                let server = call::grpc_service(cluster);
                let token = dispatch_grpc_call(&server, service, method, body, timeout);
                token.ok().map(Token::Grpc)
            }
        }
    }

    fn define_counter(&self, name: &str) -> Option<u32> {
        hostcalls::define_metric(MetricType::Counter, name).ok()
    }

    fn increment_counter(&self, id: u32) {
        // A counter that the host has defined can be incremented without errors.
        hostcalls::increment_metric(id, 1).ok();
    }

    fn log_error(&self, message: &str) {
        log_error(message);
    }
}
