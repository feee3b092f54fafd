//! Forward authentication over HTTP, as nginx's `auth_request` with the headers that ingress-nginx sets, and as Traefik's
//! ForwardAuth.

use super::{Request, Response, Said};
use crate::{
    auth::fields,
    config::policy::{self, HeaderEdits},
    header,
};

/// What a client may be given of a service's words. What is longer is left out.
const MAX_BODY: usize = 64 * 1024;

type Headers = Vec<(String, Vec<u8>)>;

/// A GET of `path`, which is told what the client asked for, and the named headers of the client's.
pub(super) fn ask(path: &str, named: &[String], request: Request<'_>) -> Headers {
    let Request { headers, host, .. } = request;
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
    let told = headers.all().iter();
    let told = told
        .filter(|(name, _)| named.contains(name) && !is_own(name))
        .cloned();
    let own = own
        .iter()
        .filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_vec())));
    own.chain(told).collect()
}

/// What an answer says. `named` are the headers of it that the upstream is told.
pub(super) fn read(status: u16, headers: Headers, body: Vec<u8>, named: &[String]) -> Said {
    match status {
        200..300 => allowed(headers, named).map_or(Said::Nonsense, Said::Yes),
        300..500 => Said::No(Response {
            status,
            headers: headers
                .into_iter()
                .filter(|(name, _)| header::is_settable(name))
                .collect(),
            body: Some(body)
                .filter(|body| body.len() <= MAX_BODY)
                .unwrap_or_default(),
        }),
        _ => Said::Nothing,
    }
}

/// A session that the service has renewed is the client's: it is told by cookies.
fn allowed(headers: Headers, named: &[String]) -> Option<policy::Headers> {
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

/// The first of a name takes the place of all, and others go beside it.
fn set_or_add(edits: &mut HeaderEdits, header: policy::Header) {
    if edits.set.iter().any(|other| other.name == header.name) {
        edits.add.push(header);
    } else {
        edits.set.push(header);
    }
}
