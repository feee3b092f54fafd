//! The query of `/debug/explain`.

use std::{net::IpAddr, str::FromStr};
use switchyard_xds::explain::{Canaries, Request, Unclear};

/// The parameters of a query. All but headers and canaries may occur only once.
#[derive(Debug, Default)]
struct Query<'q> {
    host: Option<&'q str>,
    path: Option<&'q str>,
    method: Option<&'q str>,
    headers: Vec<&'q str>,
    https: Option<&'q str>,
    client_ip: Option<&'q str>,
    canaries: Vec<&'q str>,
}

/// An error in a query.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("unknown parameter {0:?}; expected host, path, method, header, https, clientIP or canary")]
    Unknown(String),
    #[error("duplicate parameter {0}")]
    Twice(&'static str),
    #[error("host: missing, for example host=www.example.com&path=/cart")]
    NoHost,
    #[error("host: {0:?} contains a path: use the parameter path")]
    HostWithPath(String),
    #[error("path: {0:?} does not start with /")]
    Path(String),
    #[error("{0}: {1:?} is not true or false")]
    Truth(&'static str, String),
    #[error("clientIP: {0:?} is not an IP address")]
    Address(String),
    #[error(transparent)]
    Unclear(#[from] Unclear),
}

/// Parses the request to explain.
///
/// # Errors
///
/// If a parameter is missing, unknown, repeated or invalid.
pub fn request(pairs: &[(String, String)]) -> Result<Request, Fault> {
    let Query {
        host,
        path,
        method,
        headers,
        https,
        client_ip,
        canaries,
    } = Query::of(pairs)?;
    let host = host.ok_or(Fault::NoHost)?;
    if host.contains(['/', '?', '#']) {
        return Err(Fault::HostWithPath(host.to_owned()));
    }
    let path = path.unwrap_or("/");
    if !path.starts_with('/') {
        return Err(Fault::Path(path.to_owned()));
    }
    let scheme = if truth("https", https)? { "https" } else { "http" };
    let request = Request::get(&format!("{scheme}://{host}{path}"))?;
    let mut request = request.method(method.unwrap_or("GET"))?;
    for line in headers {
        request = request.header(line)?;
    }
    let client_ip = match client_ip.map(IpAddr::from_str) {
        None => request.client_ip,
        Some(Ok(address)) => address,
        Some(Err(_)) => return Err(Fault::Address(client_ip.unwrap_or_default().to_owned())),
    };
    Ok(Request {
        client_ip,
        canaries: Canaries::of(canaries)?,
        ..request
    })
}

fn truth(name: &'static str, value: Option<&str>) -> Result<bool, Fault> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Fault::Truth(name, other.to_owned())),
    }
}

// === impl Query ===

impl<'q> Query<'q> {
    fn of(pairs: &'q [(String, String)]) -> Result<Self, Fault> {
        let mut query = Self::default();
        for (name, value) in pairs {
            let (name, field) = match name.as_str() {
                "header" => {
                    query.headers.push(value);
                    continue;
                }
                "canary" => {
                    query.canaries.push(value);
                    continue;
                }
                "host" => ("host", &mut query.host),
                "path" => ("path", &mut query.path),
                "method" => ("method", &mut query.method),
                "https" => ("https", &mut query.https),
                "clientIP" => ("clientIP", &mut query.client_ip),
                other => return Err(Fault::Unknown(other.to_owned())),
            };
            if field.replace(value).is_some() {
                return Err(Fault::Twice(name));
            }
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_xds::explain::Scheme;

    fn asked(query: &str) -> Result<Request, String> {
        let pairs: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        request(&pairs).map_err(|fault| fault.to_string())
    }

    #[test]
    fn query_parses_to_a_request() {
        let request = asked("host=bar.com").unwrap();
        assert_eq!(request, Request::get("bar.com").unwrap());
        let all = "host=bar.com:80&path=/a?b&method=POST&header=x-a: b&header=x-a: c&https=true&clientIP=::1&canary=true";
        let request = asked(all).unwrap();
        assert_eq!(
            (
                request.scheme,
                &*request.authority,
                &*request.target,
                &*request.method
            ),
            (Scheme::Https, "bar.com:80", "/a?b", "POST")
        );
        assert_eq!(request.headers.len(), 2);
        assert!(request.canaries == Canaries::All && request.client_ip.is_ipv6());
    }

    #[test]
    fn query_accepts_canary_names() {
        for (query, want) in [
            ("host=a", &[][..]),
            ("host=a&canary=false", &[]),
            ("host=a&canary=b/c&canary=a/b&canary=b/c", &["a/b", "b/c"]),
            ("host=a&canary=b/c&canary=true&canary=a/b", &["true"]),
        ] {
            assert_eq!(asked(query).unwrap().canaries.texts(), want, "{query}");
        }
        for bad in ["b", "/b", "a/", "a/b/c", ""] {
            assert!(asked(&format!("host=a&canary={bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn invalid_query_is_rejected_with_reason() {
        for (query, want) in [
            (
                "path=/",
                "host: missing, for example host=www.example.com&path=/cart",
            ),
            (
                "host=a&hots=b",
                "unknown parameter \"hots\"; expected host, path, method, header, https, clientIP or canary",
            ),
            ("host=a&host=b", "duplicate parameter host"),
            (
                "host=a/b",
                "host: \"a/b\" contains a path: use the parameter path",
            ),
            ("host=a&path=b", "path: \"b\" does not start with /"),
            ("host=a&https=yes", "https: \"yes\" is not true or false"),
            (
                "host=a&canary=1",
                "canary: \"1\" is neither true nor false, nor an IngressRoute, NAMESPACE/NAME",
            ),
            (
                "host=a&clientIP=1.2.3",
                "clientIP: \"1.2.3\" is not an IP address",
            ),
            ("host=a&method=G T", "\"G T\" is no method, such as GET"),
            ("host=a b", "\"a b\" is no host name, nor an address"),
        ] {
            assert_eq!(asked(query).unwrap_err(), want, "{query}");
        }
    }
}
