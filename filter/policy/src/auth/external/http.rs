//! Forward authentication over HTTP, as nginx's `auth_request` with the headers that ingress-nginx sets, and as
//! Traefik's ForwardAuth.

use super::decision::ServiceDecision;
use crate::{
    auth::{check::AuthRequest, failure::ServiceResponse, fields},
    config::policy::{self, HeaderEdits},
    header,
};

/// The most bytes of a service's body that are passed to the client. A longer one is left out.
const MAX_BODY: usize = 64 * 1024;

type HeaderList = Vec<(String, Vec<u8>)>;

/// Builds a GET of `path` that describes the client's request, with the client's headers in `named`.
pub(super) fn request_headers(path: &str, named: &[String], request: AuthRequest<'_>) -> HeaderList {
    let AuthRequest { headers, host, .. } = request;
    let first = |name| fields::values(headers, name).next().unwrap_or_default();
    let (method, authority, target) = (first(":method"), first(":authority"), headers.target());
    let scheme = fields::scheme(headers).as_bytes();
    let url = [scheme, b"://", authority, target].concat();
    let address = host.client_ip().map(|address| address.to_canonical().to_string());
    let address = address.as_ref().map(String::as_bytes);

    let own = [
        (":method", Some(&b"GET"[..])),
        (":path", Some(path.as_bytes())),
        (":authority", Some(authority)),
        ("x-forwarded-method", Some(method)),
        ("x-forwarded-proto", Some(scheme)),
        ("x-forwarded-host", Some(authority)),
        ("x-forwarded-uri", Some(target)),
        ("x-forwarded-for", address),
        ("x-real-ip", address),
        ("x-original-method", Some(method)),
        ("x-original-uri", Some(target)),
        ("x-original-url", Some(url.as_slice())),
        ("x-auth-request-redirect", Some(target)),
    ];
    let is_own = |name: &str| own.iter().any(|(other, _)| *other == name);
    let sent = headers.all().iter();
    let sent = sent
        .filter(|(name, _)| named.contains(name) && !is_own(name))
        .cloned();
    let own = own
        .iter()
        .filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_vec())));
    own.chain(sent).collect()
}

/// Reads a response. `named` are the headers of it that are sent to the upstream.
pub(super) fn parse_response(
    status: u16,
    headers: HeaderList,
    body: Vec<u8>,
    named: &[String],
) -> ServiceDecision {
    match status {
        200..300 => allowed(headers, named).map_or(ServiceDecision::Invalid, ServiceDecision::Allowed),
        300..500 => ServiceDecision::Denied(ServiceResponse {
            status,
            headers: headers
                .into_iter()
                .filter(|(name, _)| header::is_settable(name))
                .collect(),
            body: Some(body)
                .filter(|body| body.len() <= MAX_BODY)
                .unwrap_or_default(),
        }),
        _ => ServiceDecision::NoResponse,
    }
}

/// The edits of a response that allows the request; `None` if a value is not valid. Cookies go to the client, since
/// they may renew its session.
fn allowed(headers: HeaderList, named: &[String]) -> Option<policy::Headers> {
    let mut allowed = policy::Headers::default();
    for (name, value) in headers {
        let is_cookie = name == "set-cookie";
        if !is_cookie && !named.contains(&name) {
            continue;
        }
        let value = String::from_utf8(value)
            .ok()
            .filter(|value| header::is_value(value))?;
        let header = policy::Header { name, value };
        if is_cookie {
            allowed.response.add.push(header);
        } else {
            set_or_add(&mut allowed.request, header);
        }
    }
    Some(allowed)
}

/// Adds an edit: the first header of a name replaces the client's, and others are added to it.
fn set_or_add(edits: &mut HeaderEdits, header: policy::Header) {
    if edits.set.iter().any(|other| other.name == header.name) {
        edits.add.push(header);
    } else {
        edits.set.push(header);
    }
}
