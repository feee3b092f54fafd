//! One fetch of one set of keys.

use super::addresses::Addresses;
use anyhow::{Context, Result as Anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use switchyard_core::jwks::{self, JwksError};
use switchyard_policy::config::policy::Key;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tracing::warn;

/// From looking the name up to the last byte.
const LONGEST: Duration = Duration::from_secs(5);

/// Fetches sets of keys.
pub(super) struct Fetcher {
    addresses: Addresses,
    tls: TlsConnector,
}

/// What an issuer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) keys: Vec<Key>,
    /// For how long it says that they are good.
    pub(super) max_age: Option<Duration>,
}

/// Why there are no keys. It is shown in the statuses of IngressRoutes, and tells nothing of an answer but its status code,
/// and what it lacks to be a set of keys.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("this is not a URI of http or https with a host, and without user and password")]
    Uri,
    #[error("the host cannot be resolved")]
    Resolve,
    #[error(
        "{0} is not an address that control fetches from: it is special to its machine; --jwks-allow-addresses allows it"
    )]
    Forbidden(IpAddr),
    #[error("cannot connect: {0}")]
    Connect(io::ErrorKind),
    #[error("the certificate is not trusted: {0}; --jwks-ca-file adds CAs")]
    Certificate(rustls::CertificateError),
    #[error("TLS fails")]
    Tls,
    #[error("no whole answer within {LONGEST:?}")]
    TimedOut,
    #[error("the connection ends before the answer does")]
    Broken,
    #[error("answers {0}, a redirect, which is not followed: name where the keys are")]
    Redirect(u16),
    #[error("answers {0}")]
    Status(u16),
    #[error("answers in an encoding that was not asked for")]
    Encoding,
    #[error(transparent)]
    Keys(#[from] JwksError),
}

/// Where a URI leads.
struct Target {
    host: String,
    port: u16,
    secure: bool,
    /// The value of `Host`.
    authority: String,
    /// The path, with the query.
    path: String,
}

// === impl Fetcher ===

impl Fetcher {
    /// Trusts the CAs that this system trusts, and those in the file.
    pub(super) fn new(addresses: Addresses, ca_file: Option<&Path>) -> Anyhow<Self> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in system.errors {
            warn!(%error, "Some CAs of this system cannot be read");
        }
        roots.add_parsable_certificates(system.certs);
        if let Some(file) = ca_file {
            let unusable = || format!("--jwks-ca-file: cannot use {}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).with_context(unusable)? {
                let certificate = certificate.with_context(unusable)?;
                roots.add(certificate).with_context(unusable)?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            addresses,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(super) async fn fetch(&self, uri: &str) -> Result<Fetched, FetchError> {
        let target = Target::new(uri)?;
        timeout(LONGEST, self.get(&target))
            .await
            .map_err(|_| FetchError::TimedOut)?
    }

    async fn get(&self, target: &Target) -> Result<Fetched, FetchError> {
        let stream = self.connect(target).await?;
        if !target.secure {
            return ask(stream, target).await;
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|_| FetchError::Uri)?;
        let stream = self
            .tls
            .connect(name, stream)
            .await
            .map_err(|error| refusal(&error))?;
        ask(stream, target).await
    }

    /// To the first address that answers, of those that may be connected to.
    async fn connect(&self, Target { host, port, .. }: &Target) -> Result<TcpStream, FetchError> {
        let addresses = lookup_host((host.as_str(), *port))
            .await
            .map_err(|_| FetchError::Resolve)?;
        let (allowed, forbidden): (Vec<_>, Vec<_>) =
            addresses.partition(|address| self.addresses.allow(address.ip()));
        if let ([], [forbidden, ..]) = (&allowed[..], &forbidden[..]) {
            return Err(FetchError::Forbidden(forbidden.ip()));
        }
        connect(&allowed).await
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
    let mut last = FetchError::Resolve;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = FetchError::Connect(error.kind()),
        }
    }
    Err(last)
}

/// rustls tells in its own errors what is wrong with a certificate.
fn refusal(error: &io::Error) -> FetchError {
    let inner = error.get_ref().and_then(|error| error.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => FetchError::Certificate(error.clone()),
        _ => FetchError::Tls,
    }
}

async fn ask<S>(stream: S, target: &Target) -> Result<Fetched, FetchError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| FetchError::Broken)?;
    // What goes wrong in it, who waits for the answer is told; it ends with the answer, or when nobody waits.
    tokio::spawn(async move { connection.await.unwrap_or_default() });
    let request = Request::get(&target.path)
        .header(HOST, &target.authority)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, concat!("switchyard/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Uri)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|_| FetchError::Broken)?;
    read(response).await
}

async fn read(response: Response<Incoming>) -> Result<Fetched, FetchError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect(status.as_u16()));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status.as_u16()));
    }
    let headers = response.headers();
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(FetchError::Encoding);
    }
    let max_age = max_age(headers);
    let body = Limited::new(response.into_body(), jwks::MAX_SIZE).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            JwksError::TooLarge.into()
        } else {
            FetchError::Broken
        }
    })?;
    let keys = jwks::parse(&body.to_bytes())?;
    Ok(Fetched { keys, max_age })
}

/// RFC 9111, 5.2.2.1.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).into_iter();
    let directives = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut ages = directives.filter_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        let seconds = value.trim_matches('"').parse().ok()?;
        name.eq_ignore_ascii_case("max-age")
            .then(|| Duration::from_secs(seconds))
    });
    ages.next()
}

// === impl Target ===

impl Target {
    fn new(uri: &str) -> Result<Self, FetchError> {
        let uri: Uri = uri.parse().map_err(|_| FetchError::Uri)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(FetchError::Uri),
        };
        let authority = uri.authority().ok_or(FetchError::Uri)?;
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(FetchError::Uri);
        }
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        // A request line has a path, also where the URI begins with its query (RFC 9112, 3.2.1).
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            secure,
            authority: authority.to_string(),
            path: format!("{slash}{path}"),
        })
    }
}

#[cfg(test)]
mod tests;
