//! Envoy's external authorization (`envoy.service.auth.v3.Authorization/Check`).

use super::decision::ServiceDecision;
use crate::{
    auth::{check::AuthRequest, failure::ServiceResponse, fields},
    call::encode,
    config::policy::{self, HeaderEdits},
    header::{self, HeaderValue, Use},
};
use prost::{DecodeError, Message};
use std::collections::BTreeMap;

/// `google.rpc.Code`.
const OK: i64 = 0;
/// The status for the client if the service gives none.
const FORBIDDEN: u16 = 403;

// === Request messages ===

/// `envoy.service.auth.v3.CheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

/// `envoy.service.auth.v3.AttributeContext`.
#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<RequestAttributes>,
}

/// `envoy.service.auth.v3.AttributeContext.Peer`.
#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(message, optional, tag = "1")]
    address: Option<Address>,
}

/// `envoy.config.core.v3.Address`.
#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(message, optional, tag = "1")]
    socket_address: Option<SocketAddress>,
}

/// `envoy.config.core.v3.SocketAddress`.
#[derive(Clone, PartialEq, Message)]
struct SocketAddress {
    #[prost(string, tag = "2")]
    address: String,
    #[prost(uint32, optional, tag = "3")]
    port_value: Option<u32>,
}

/// `envoy.service.auth.v3.AttributeContext.Request`.
#[derive(Clone, PartialEq, Message)]
struct RequestAttributes {
    #[prost(message, optional, tag = "1")]
    time: Option<Timestamp>,
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(uint64, tag = "1")]
    seconds: u64,
    #[prost(uint32, tag = "2")]
    nanos: u32,
}

/// `envoy.service.auth.v3.AttributeContext.HttpRequest`.
#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    method: String,
    #[prost(btree_map = "string, string", tag = "3")]
    headers: BTreeMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "6")]
    scheme: String,
    #[prost(int64, tag = "9")]
    size: i64,
}

// === Response messages ===
//
// Strings are read as bytes: invalid UTF-8 loses its header, not the response. Enums and codes are read as 64 bits, so
// that none is truncated: the rest could be OK.

/// The used part of `envoy.service.auth.v3.CheckResponse`. It makes no difference which of the three responses came
/// last.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<StatusCode>,
    #[prost(message, optional, tag = "2")]
    pub(super) denied_response: Option<DeniedHttpResponse>,
    #[prost(message, optional, tag = "3")]
    pub(super) ok_response: Option<OkHttpResponse>,
    /// A `DeniedHttpResponse`, too, whose content is not used.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) error_response: Option<Vec<u8>>,
}

/// `google.rpc.Status`, and `envoy.type.v3.HttpStatus`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusCode {
    #[prost(int64, tag = "1")]
    code: i64,
}

/// `envoy.service.auth.v3.DeniedHttpResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DeniedHttpResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<StatusCode>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(bytes = "vec", tag = "3")]
    body: Vec<u8>,
}

/// `envoy.service.auth.v3.OkHttpResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OkHttpResponse {
    #[prost(message, repeated, tag = "2")]
    pub(super) headers: Vec<HeaderValueOption>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(super) headers_to_remove: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "6")]
    pub(super) response_headers_to_add: Vec<HeaderValueOption>,
}

/// `envoy.config.core.v3.HeaderValueOption`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<HeaderValue>,
    #[prost(message, optional, tag = "2")]
    pub(super) append: Option<BoolValue>,
    #[prost(int64, tag = "3")]
    pub(super) append_action: i64,
}

/// `google.protobuf.BoolValue`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BoolValue {
    #[prost(bool, tag = "1")]
    value: bool,
}

/// A header that a service may set.
struct HeaderEdit {
    header: policy::Header,
    action: HeaderAppendAction,
}

/// The action on a header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HeaderAppendAction {
    Set,
    Add,
    SetIfAbsent,
    SetIfPresent,
}

// === CheckRequest ===

/// Encodes a `CheckRequest`. As Envoy does, it sends the client's pseudo-headers beside the headers in `named`.
pub(super) fn check_request(named: &[String], request: AuthRequest<'_>) -> Vec<u8> {
    let AuthRequest { host, .. } = request;
    let address = host.client_ip().map(|address| Address {
        socket_address: Some(SocketAddress {
            address: address.to_canonical().to_string(),
            port_value: Some(0),
        }),
    });
    let now = host.now();
    let time = Timestamp {
        seconds: now.as_secs(),
        nanos: now.subsec_nanos(),
    };
    encode(&CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer { address }),
            request: Some(RequestAttributes {
                time: Some(time),
                http: Some(http_request(named, request)),
            }),
        }),
    })
}

fn http_request(named: &[String], request: AuthRequest<'_>) -> HttpRequest {
    let AuthRequest { headers, .. } = request;
    let first = |name| fields::values(headers, name).next().unwrap_or_default();
    let size = str::from_utf8(first("content-length"))
        .ok()
        .and_then(|size| size.parse().ok());
    HttpRequest {
        id: text(first("x-request-id")),
        method: text(first(":method")),
        headers: headers_by_name(named, request),
        path: text(headers.target()),
        host: text(first(":authority")),
        scheme: fields::scheme(headers).to_owned(),
        // -1: it is unknown.
        size: size.unwrap_or(-1),
    }
}

/// The headers to send by name, with several values of one joined (RFC 9110, 5.3; RFC 6265, 5.4).
fn headers_by_name(named: &[String], request: AuthRequest<'_>) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in request.headers.all() {
        if !name.starts_with(':') && !named.contains(name) {
            continue;
        }
        let separator = if name == "cookie" { "; " } else { "," };
        match joined.get_mut(name.as_str()) {
            Some(values) => *values = [values, separator, &text(value)].concat(),
            None => _ = joined.insert(name.clone(), text(value)),
        }
    }
    joined
}

/// Converts a value to a protobuf string, which is UTF-8.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

// === CheckResponse ===

/// Reads a `CheckResponse`. `named` are the headers of it that are sent to the upstream; if empty, all are.
///
/// # Errors
/// The message is malformed.
pub(super) fn parse_response(
    body: &[u8],
    named: &[String],
    request: AuthRequest<'_>,
) -> Result<ServiceDecision, DecodeError> {
    let CheckResponse {
        status,
        denied_response,
        ok_response,
        error_response,
    } = CheckResponse::decode(body)?;
    let allowed = ok_response.map(|response| response.into_headers(named, request));
    Ok(match (status, denied_response, allowed) {
        _ if error_response.is_some() => ServiceDecision::NoResponse,
        (_, Some(denied), _) => ServiceDecision::Denied(denied.into_response()),
        (Some(StatusCode { code: OK }), None, allowed) => {
            ServiceDecision::Allowed(allowed.unwrap_or_default())
        }
        (Some(_), None, _) => ServiceDecision::Denied(ServiceResponse::plain(FORBIDDEN)),
        (None, None, Some(allowed)) => ServiceDecision::Allowed(allowed),
        // Envoy takes an empty message for OK, because 0 is. It is not an explicit yes.
        (None, None, None) => ServiceDecision::Invalid,
    })
}

// === impl DeniedHttpResponse ===

impl DeniedHttpResponse {
    fn into_response(self) -> ServiceResponse {
        let Self {
            status,
            headers,
            body,
        } = self;
        let status = status.and_then(|status| u16::try_from(status.code).ok());
        let headers = headers.into_iter().filter_map(HeaderEdit::new);
        ServiceResponse {
            status: status
                .filter(|status| (200..600).contains(status))
                .unwrap_or(FORBIDDEN),
            headers: headers
                .map(|HeaderEdit { header, .. }| (header.name, header.value.into_bytes()))
                .collect(),
            body,
        }
    }
}

// === impl OkHttpResponse ===

impl OkHttpResponse {
    fn into_headers(self, named: &[String], request: AuthRequest<'_>) -> policy::Headers {
        let Self {
            headers: options,
            headers_to_remove,
            response_headers_to_add,
        } = self;
        let is_named = |name: &String| named.is_empty() || named.contains(name);
        // The client's headers of the service's names are removed by then.
        let is_present = |name: &str| {
            !named.iter().any(|own| own == name) && fields::values(request.headers, name).next().is_some()
        };
        let mut headers = policy::Headers::default();
        for edit in options.into_iter().filter_map(HeaderEdit::new) {
            if is_named(&edit.header.name) {
                edit.apply(&mut headers.request, is_present);
            }
        }
        let removed = headers_to_remove
            .iter()
            .map(|name| text(name).to_ascii_lowercase());
        headers
            .request
            .remove
            .extend(removed.filter(|name| header::permits(name, Use::Remove)));
        for edit in response_headers_to_add.into_iter().filter_map(HeaderEdit::new) {
            edit.beside_other_cookies()
                .apply(&mut headers.response, |_| false);
        }
        headers
    }
}

// === impl HeaderEdit ===

impl HeaderEdit {
    /// Reads an edit; `None` if a service may not set that header.
    fn new(option: HeaderValueOption) -> Option<Self> {
        let HeaderValueOption {
            header,
            append,
            append_action,
        } = option;
        let header = header?.into_header()?;
        let action = match (append, append_action) {
            (Some(BoolValue { value: true }), _) => HeaderAppendAction::Add,
            (None, 1) => HeaderAppendAction::SetIfAbsent,
            (None, 3) => HeaderAppendAction::SetIfPresent,
            // The default as well, although its number is `APPEND_IF_EXISTS_OR_ADD`. By the protocol's description the
            // header is then replaced; if it were appended, the client could supply a value.
            _ => HeaderAppendAction::Set,
        };
        Some(Self { header, action })
    }

    /// Makes cookies an addition, whatever the service says of that, which is mostly nothing: a cookie replaces no
    /// other one, of the upstream or of the service.
    fn beside_other_cookies(self) -> Self {
        let action = match self.action {
            HeaderAppendAction::Set if self.header.name == "set-cookie" => HeaderAppendAction::Add,
            action => action,
        };
        Self { action, ..self }
    }

    fn apply(self, edits: &mut HeaderEdits, is_present: impl Fn(&str) -> bool) {
        let Self { header, action } = self;
        let is_done = match action {
            HeaderAppendAction::Add | HeaderAppendAction::Set => true,
            HeaderAppendAction::SetIfAbsent => !is_present(&header.name),
            HeaderAppendAction::SetIfPresent => is_present(&header.name),
        };
        if !is_done {
            return;
        }
        if action == HeaderAppendAction::Add {
            edits.add.push(header);
        } else {
            edits.set.push(header);
        }
    }
}
