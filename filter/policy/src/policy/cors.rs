//! CORS by the Fetch standard (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use crate::{config::policy as config, edit::Edit, local_reply::LocalReply, request::Request};

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const EXPOSE_HEADERS: &str = "access-control-expose-headers";

/// A [`config::Cors`] in the form that requests use.
#[derive(Clone, Debug)]
pub struct CorsPolicy {
    origins: Vec<Origins>,
    allow_credentials: bool,
    /// The names, joined.
    expose_headers: String,
    /// The headers of a preflight response, without those that depend on the origin.
    preflight: Vec<(&'static str, String)>,
}

/// A set of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origins {
    All,
    One(String),
    /// The origins of the hosts below a name.
    Below {
        /// The scheme with `://`.
        scheme: String,
        /// The domain from its dot on, with the port.
        domain: String,
    },
}

/// Returns true if the request is a CORS preflight. By the standard it has no credentials.
#[must_use]
pub fn is_preflight(request: Request<'_>) -> bool {
    request.method() == b"OPTIONS"
        && request.values("origin").next().is_some()
        && request.values("access-control-request-method").next().is_some()
}

/// The origin of the page that sends the request; `None` if there is none, or two, which no browser sends.
#[must_use]
pub fn origin(request: Request<'_>) -> Option<&[u8]> {
    let mut origins = request.values("origin");
    origins.next().filter(|_| origins.next().is_none())
}

// === impl CorsPolicy ===

impl From<config::Cors> for CorsPolicy {
    fn from(cors: config::Cors) -> Self {
        let config::Cors {
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age_seconds,
            allow_credentials,
        } = cors;
        let max_age = max_age_seconds.map(|seconds| seconds.to_string());
        let mut preflight = vec![
            ("access-control-allow-methods", allow_methods.join(", ")),
            ("access-control-allow-headers", allow_headers.join(", ")),
            ("access-control-max-age", max_age.unwrap_or_default()),
        ];
        preflight.retain(|(_, value)| !value.is_empty());
        Self {
            origins: allow_origins.into_iter().map(Origins::from).collect(),
            allow_credentials,
            expose_headers: expose_headers.join(", "),
            preflight,
        }
    }
}

impl CorsPolicy {
    /// Adds the CORS headers of a response to a page of that origin, which replace an upstream's.
    pub(crate) fn edit_response<'a>(&'a self, origin: Option<&'a [u8]>, edits: &mut Vec<Edit<'a>>) {
        let allowed = self.allowed_origin(origin);
        let if_allowed = |text: &'a str| allowed.filter(|_| !text.is_empty()).map(|_| text.as_bytes());
        edits.push(Edit::put(ALLOW_ORIGIN, allowed));
        edits.push(Edit::put(ALLOW_CREDENTIALS, if_allowed(self.credentials())));
        edits.push(Edit::put(EXPOSE_HEADERS, if_allowed(&self.expose_headers)));
        if !self.allows_all() {
            edits.push(Edit::Add("vary", b"origin"));
        }
    }

    /// The reply to a preflight of an origin, without the headers of all responses; `None` if it is not allowed.
    pub(crate) fn preflight_reply(&self, origin: Option<&[u8]>) -> Option<LocalReply> {
        self.allowed_origin(origin)?;
        let headers = self.preflight.iter();
        let reply = headers.fold(LocalReply::empty(200), |reply, (name, value)| {
            reply.with(name, value.as_bytes())
        });
        Some(reply)
    }

    /// The value of `access-control-allow-origin` for an origin; `None` if it is not allowed.
    fn allowed_origin<'a>(&self, origin: Option<&'a [u8]>) -> Option<&'a [u8]> {
        if self.allows_all() {
            return Some(b"*");
        }
        origin.filter(|origin| self.origins.iter().any(|origins| origins.contain(origin)))
    }

    /// Returns true if responses are the same for all origins. `*` means all origins only without credentials.
    fn allows_all(&self) -> bool {
        !self.allow_credentials && self.origins.contains(&Origins::All)
    }

    fn credentials(&self) -> &'static str {
        if self.allow_credentials { "true" } else { "" }
    }
}

// === impl Origins ===

impl From<String> for Origins {
    fn from(text: String) -> Self {
        if text == "*" {
            return Self::All;
        }
        match text.split_once("://*.") {
            Some((scheme, domain)) => Self::Below {
                scheme: format!("{scheme}://"),
                domain: format!(".{domain}"),
            },
            None => Self::One(text),
        }
    }
}

impl Origins {
    /// Returns true if the set names the origin. Browsers write origins in one way: lower case, and without the port of
    /// the scheme.
    fn contain(&self, origin: &[u8]) -> bool {
        match self {
            Self::All => false,
            Self::One(one) => origin == one.as_bytes(),
            Self::Below { scheme, domain } => {
                let host = origin
                    .strip_prefix(scheme.as_bytes())
                    .and_then(|rest| rest.strip_suffix(domain.as_bytes()));
                host.is_some_and(is_subdomain)
            }
        }
    }
}

fn is_subdomain(host: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    !host.is_empty() && host.iter().all(is_part)
}

#[cfg(test)]
mod tests;
