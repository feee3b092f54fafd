//! A request, as somebody writes it who wants to know what becomes of it.

use super::proxy::Headers;
use std::{collections::BTreeSet, fmt, net::IpAddr};
use switchyard_policy::header::is_token;

/// The form of a URL, for whoever is told that one is wrong.
const FORM: &str = "HOST/PATH or https://HOST/PATH, such as www.example.com/cart";
/// Of characters that a host name, or an address in its place, has (RFC 3986, 3.2.2).
const HOST_MARKS: &[u8] = b"-._~";

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub scheme: Scheme,
    /// The host, with the port if one was written.
    pub authority: String,
    /// The path, with the query.
    pub target: String,
    pub method: String,
    /// As a client sends them, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The address of the client, as the proxy trusts it.
    pub client_ip: IpAddr,
    /// The canaries that it is one of the share of.
    pub canaries: Canaries,
}

/// How a client speaks to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// Canaries that chance sends a request to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Canaries {
    #[default]
    None,
    All,
    /// Those, `namespace/name`.
    Of(BTreeSet<String>),
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    #[error("{0:?}: there is no host: write {FORM}")]
    NoHost(String),
    #[error("{0:?}: the scheme must be http or https: write {FORM}")]
    Scheme(String),
    #[error("{0:?}: user names and passwords are headers of their own: write {FORM}")]
    UserInfo(String),
    #[error("{0:?} is no host name, nor an address")]
    Host(String),
    #[error("{0:?}: the port must be a number up to 65535")]
    Port(String),
    #[error("{0:?}: what comes after a # is never sent: leave it out")]
    Fragment(String),
    #[error("{0:?}: {1:?} must be percent-encoded")]
    Path(String, char),
    #[error("{0:?} is no method, such as GET")]
    Method(String),
    #[error("CONNECT asks for a tunnel, of which the proxy opens none")]
    Connect,
    /// What was written may be a secret.
    #[error("a header is written as 'Name: value', and one of these has no colon")]
    Header,
    #[error("{0:?} is no name of a header")]
    HeaderName(String),
    #[error("{0}: its value has a character that no header can say")]
    HeaderValue(String),
    #[error("host: the host is that of HOST/PATH")]
    HostHeader,
    #[error("canary: {0:?} is neither true nor false, nor an IngressRoute, NAMESPACE/NAME")]
    Canary(String),
}

// === impl Request ===

impl Request {
    /// A GET of `[http://|https://]HOST[:PORT][/PATH]`, from this machine.
    ///
    /// # Errors
    /// It is none that a client can send.
    pub fn get(url: &str) -> Result<Self, Unclear> {
        let (scheme, rest) = match url.split_once("://") {
            None => (Scheme::Http, url),
            Some((scheme, rest)) => (
                scheme.parse().map_err(|()| Unclear::Scheme(url.to_owned()))?,
                rest,
            ),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        check_authority(url, authority)?;
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        check_target(&target)?;
        Ok(Self {
            scheme,
            authority: authority.to_owned(),
            target,
            method: "GET".to_owned(),
            headers: Vec::new(),
            client_ip: IpAddr::from([127, 0, 0, 1]),
            canaries: Canaries::None,
        })
    }

    /// The same, with another method.
    ///
    /// # Errors
    /// It is no method.
    pub fn method(mut self, method: &str) -> Result<Self, Unclear> {
        if !is_token(method) {
            return Err(Unclear::Method(method.to_owned()));
        }
        if method == "CONNECT" {
            return Err(Unclear::Connect);
        }
        method.clone_into(&mut self.method);
        Ok(self)
    }

    /// The same, with a header, `Name: value`.
    ///
    /// # Errors
    /// It is no header.
    pub fn header(mut self, line: &str) -> Result<Self, Unclear> {
        let (name, value) = line.split_once(':').ok_or(Unclear::Header)?;
        if !is_token(name) {
            return Err(Unclear::HeaderName(name.to_owned()));
        }
        let name = name.to_ascii_lowercase();
        if name == "host" {
            return Err(Unclear::HostHeader);
        }
        let value = value.trim_matches([' ', '\t']);
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Unclear::HeaderValue(name));
        }
        self.headers.push((name, value.to_owned()));
        Ok(self)
    }

    /// The host name alone, in lower case.
    #[must_use]
    pub fn host(&self) -> String {
        super::proxy::host_of(&self.authority)
    }

    /// All headers, as they come to the proxy.
    pub(super) fn to_headers(&self) -> Headers {
        let Self {
            scheme,
            authority,
            target,
            method,
            headers,
            client_ip: _,
            canaries: _,
        } = self;
        let pseudo = [
            (":authority", authority.as_str()),
            (":path", target),
            (":method", method),
            (":scheme", scheme.as_str()),
        ];
        let own = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Headers::new(pseudo.into_iter().chain(own))
    }
}

// === impl Canaries ===

impl Canaries {
    /// Of what is said of them, each `true` for all, `false` for none, or the `namespace/name` of one.
    ///
    /// # Errors
    /// One says something else.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, Unclear> {
        texts.into_iter().try_fold(Self::None, Self::and)
    }

    fn and(self, text: &str) -> Result<Self, Unclear> {
        let is_name = |(namespace, name): (&str, &str)| {
            !namespace.is_empty() && !name.is_empty() && !name.contains('/')
        };
        let mut names = match (self, text) {
            (all, "false") => return Ok(all),
            (_, "true") | (Self::All, _) => return Ok(Self::All),
            (Self::None, _) => BTreeSet::new(),
            (Self::Of(names), _) => names,
        };
        if !text.split_once('/').is_some_and(is_name) {
            return Err(Unclear::Canary(text.to_owned()));
        }
        names.insert(text.to_owned());
        Ok(Self::Of(names))
    }

    /// What [`Canaries::of`] is said of them by.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::None => Vec::new(),
            Self::All => vec!["true"],
            Self::Of(names) => names.iter().map(String::as_str).collect(),
        }
    }

    pub(super) fn have(&self, branch: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Of(names) => names.contains(branch),
        }
    }
}

fn check_authority(url: &str, authority: &str) -> Result<(), Unclear> {
    if authority.contains('@') {
        return Err(Unclear::UserInfo(url.to_owned()));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if host.is_empty() {
        return Err(Unclear::NoHost(url.to_owned()));
    }
    if !is_host(host) {
        return Err(Unclear::Host(host.to_owned()));
    }
    match port.map(str::parse::<u16>) {
        Some(Err(_)) => Err(Unclear::Port(authority.to_owned())),
        Some(Ok(_)) | None => Ok(()),
    }
}

fn is_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || HOST_MARKS.contains(&byte)),
    }
}

fn check_target(target: &str) -> Result<(), Unclear> {
    if target.contains('#') {
        return Err(Unclear::Fragment(target.to_owned()));
    }
    match target.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(Unclear::Path(target.to_owned(), c)),
        None => Ok(()),
    }
}

// === impl Scheme ===

impl Scheme {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl std::str::FromStr for Scheme {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
