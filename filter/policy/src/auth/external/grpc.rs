//! Envoy's external authorization (`envoy.service.auth.v3.Authorization/Check`).

use super::{Request, Response, Said};
use crate::{
    auth::fields,
    config::policy::{self, HeaderEdits},
    header,
    maps::Map,
    protobuf::{Malformed, Reader, Value, Writer},
};

/// `google.rpc.Code`.
const OK: u64 = 0;
/// What a client is answered where the service does not say it.
const FORBIDDEN: u16 = 403;

/// `CheckResponse`, as far as it is obeyed.
#[derive(Default)]
struct CheckResponse {
    /// The code.
    status: Option<u64>,
    denied: Option<Response>,
    allowed: Option<policy::Headers>,
    is_error: bool,
}

/// `HeaderValueOption`.
struct HeaderOption {
    header: policy::Header,
    action: Action,
}

/// What is done with a header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Set,
    Add,
    SetIfAbsent,
    SetIfThere,
}

// === CheckRequest ===

/// `CheckRequest`. Beside the named headers of the client's, its pseudo headers are told, as Envoy does.
pub(super) fn ask(named: &[String], request: Request<'_>) -> Vec<u8> {
    let Request { host, .. } = request;
    let mut source = Writer::default();
    if let Some(address) = host.client_ip() {
        let socket = Writer::default()
            .bytes(2, address.to_canonical().to_string())
            .varint(3, 0);
        source = source.message(1, Writer::default().message(1, socket));
    }
    let now = host.now();
    let time = Writer::default().varint(1, now.as_secs());
    let time = match now.subsec_nanos() {
        0 => time,
        nanos => time.varint(2, nanos.into()),
    };
    let request = Writer::default()
        .message(1, time)
        .message(2, http_request(named, request));
    let attributes = Writer::default().message(1, source).message(4, request);
    Writer::default().message(1, attributes).into_bytes()
}

/// `AttributeContext.HttpRequest`.
fn http_request(named: &[String], request: Request<'_>) -> Writer {
    let Request { headers, .. } = request;
    let first = |name| fields::values(headers, name).next().unwrap_or_default();
    let size = str::from_utf8(first("content-length"))
        .ok()
        .and_then(|size| size.parse().ok());
    let mut message = Writer::default()
        .bytes(1, text(first("x-request-id")))
        .bytes(2, text(first(":method")));
    for (name, value) in told(named, request).iter() {
        message = message.message(3, Writer::default().bytes(1, name).bytes(2, value));
    }
    message
        .bytes(4, text(headers.target()))
        .bytes(5, text(first(":authority")))
        .bytes(6, fields::scheme(headers))
        // -1: it is unknown.
        .varint(9, size.unwrap_or(u64::MAX))
}

/// By name, several values of one in one (RFC 9110, 5.3; RFC 6265, 5.4).
fn told<'a>(named: &[String], request: Request<'a>) -> Map<&'a str, String> {
    let mut told: Map<&str, String> = Map::new();
    for (name, value) in request.headers.all() {
        if !name.starts_with(':') && !named.contains(name) {
            continue;
        }
        let separator = if name == "cookie" { "; " } else { "," };
        match told.get_mut(name.as_str()) {
            Some(values) => *values = [values, separator, &text(value)].concat(),
            None => _ = told.insert(name, text(value)),
        }
    }
    told
}

/// A string of protobuf is UTF-8.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

// === CheckResponse ===

/// What a `CheckResponse` says. `named` are the headers of it that the upstream is told; if there are none, all are.
///
/// # Errors
/// It is no such message.
pub(super) fn read(body: &[u8], named: &[String], request: Request<'_>) -> Result<Said, Malformed> {
    let CheckResponse {
        status,
        denied,
        allowed,
        is_error,
    } = CheckResponse::read(body, named, request)?;
    Ok(match (status, denied, allowed) {
        _ if is_error => Said::Nothing,
        (_, Some(denied), _) => Said::No(denied),
        (Some(OK), None, allowed) => Said::Yes(allowed.unwrap_or_default()),
        (Some(_), None, _) => Said::No(Response::plain(FORBIDDEN)),
        (None, None, Some(allowed)) => Said::Yes(allowed),
        // An empty message is OK to Envoy, because 0 is. It is not a clear yes.
        (None, None, None) => Said::Nonsense,
    })
}

impl CheckResponse {
    fn read(body: &[u8], named: &[String], request: Request<'_>) -> Result<Self, Malformed> {
        let mut response = Self::default();
        for field in Reader::new(body) {
            match field? {
                (1, Value::Bytes(status)) => response.status = Some(read_code(status)?),
                (2, Value::Bytes(denied)) => response.denied = Some(read_denied(denied)?),
                (3, Value::Bytes(allowed)) => response.allowed = Some(read_allowed(allowed, named, request)?),
                (5, Value::Bytes(_)) => response.is_error = true,
                _ => {}
            }
        }
        Ok(response)
    }
}

/// The first field of `google.rpc.Status`, and of `HttpStatus`. One that is no number is not left out, as protobuf would have it:
/// that would be 0, which is OK.
fn read_code(message: &[u8]) -> Result<u64, Malformed> {
    let mut code = 0;
    for field in Reader::new(message) {
        match field? {
            (1, Value::Varint(value)) => code = value,
            (1, Value::Bytes(_) | Value::Fixed) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(code)
}

/// `DeniedHttpResponse`.
fn read_denied(message: &[u8]) -> Result<Response, Malformed> {
    let mut response = Response::plain(FORBIDDEN);
    for field in Reader::new(message) {
        match field? {
            (1, Value::Bytes(status)) => {
                let status = u16::try_from(read_code(status)?).ok();
                let status = status.filter(|status| (200..600).contains(status));
                response.status = status.unwrap_or(FORBIDDEN);
            }
            (2, Value::Bytes(option)) => {
                let option = HeaderOption::read(option)?;
                let header = option.map(|option| (option.header.name, option.header.value.into_bytes()));
                response.headers.extend(header);
            }
            (3, Value::Bytes(body)) => response.body = body.to_vec(),
            _ => {}
        }
    }
    Ok(response)
}

/// `OkHttpResponse`.
fn read_allowed(
    message: &[u8],
    named: &[String],
    request: Request<'_>,
) -> Result<policy::Headers, Malformed> {
    let is_named = |name: &String| named.is_empty() || named.contains(name);
    // What a client sends by a name that is the service's is gone by then.
    let is_there = |name: &str| {
        !named.iter().any(|own| own == name) && fields::values(request.headers, name).next().is_some()
    };
    let mut headers = policy::Headers::default();
    for field in Reader::new(message) {
        match field? {
            (2, Value::Bytes(option)) => {
                let option = HeaderOption::read(option)?;
                let option = option.filter(|option| is_named(&option.header.name));
                option
                    .into_iter()
                    .for_each(|option| option.apply(&mut headers.request, is_there));
            }
            (5, Value::Bytes(name)) => {
                let name = text(name).to_ascii_lowercase();
                headers
                    .request
                    .remove
                    .extend(Some(name).filter(|name| header::is_settable(name)));
            }
            (6, Value::Bytes(option)) => {
                let option = HeaderOption::read(option)?.map(HeaderOption::beside_other_cookies);
                option
                    .into_iter()
                    .for_each(|option| option.apply(&mut headers.response, |_| false));
            }
            _ => {}
        }
    }
    Ok(headers)
}

// === impl HeaderOption ===

impl HeaderOption {
    /// None where a service may not say that.
    fn read(message: &[u8]) -> Result<Option<Self>, Malformed> {
        let (mut header, mut append, mut action) = (None, None, 0);
        for field in Reader::new(message) {
            match field? {
                (1, Value::Bytes(value)) => header = header::read_header_value(value)?,
                (2, Value::Bytes(value)) => append = Some(read_code(value)? != 0),
                (3, Value::Varint(value)) => action = value,
                _ => {}
            }
        }
        let action = match (append, action) {
            (Some(true), _) => Action::Add,
            (None, 1) => Action::SetIfAbsent,
            (None, 3) => Action::SetIfThere,
            // Also where nothing is said, which is `APPEND_IF_EXISTS_OR_ADD` by its number. The protocol's description has
            // it that a header is then replaced; added to what a client says, it would let the client say it.
            _ => Action::Set,
        };
        Ok(header.map(|(name, value)| Self {
            header: policy::Header { name, value },
            action,
        }))
    }

    /// A cookie takes no other's place, neither the upstream's nor the service's, whatever the service says of that: most say
    /// nothing.
    fn beside_other_cookies(self) -> Self {
        let action = match self.action {
            Action::Set if self.header.name == "set-cookie" => Action::Add,
            action => action,
        };
        Self { action, ..self }
    }

    fn apply(self, edits: &mut HeaderEdits, is_there: impl Fn(&str) -> bool) {
        let Self { header, action } = self;
        let is_done = match action {
            Action::Add | Action::Set => true,
            Action::SetIfAbsent => !is_there(&header.name),
            Action::SetIfThere => is_there(&header.name),
        };
        if !is_done {
            return;
        }
        if action == Action::Add {
            edits.add.push(header);
        } else {
            edits.set.push(header);
        }
    }
}
