//! The fetch of a key set.

use crate::cache::Fetched;
use anyhow::{Context, Result as Anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use switchyard_core::{
    address::AddressRule,
    jwks::{self, JwksError, KeySet},
    object::FetchedKeys,
};
use tokio::{net::lookup_host, time::timeout};
use tower_service::Service;
use tracing::warn;

/// The timeout of a fetch, from the DNS lookup to the last byte.
const LONGEST: Duration = Duration::from_secs(5);

/// A fetcher of key sets.
pub(super) struct Fetcher {
    addresses: Arc<AddressRule>,
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>,
}

/// The system's resolver, without the addresses that the rule forbids.
#[derive(Clone, Debug)]
struct Resolver {
    addresses: Arc<AddressRule>,
}

/// The reason why a fetch failed. It is shown in the statuses of IngressRoutes, so it reveals nothing of an answer but
/// its status code, and the reason why it is not a key set.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("must be an http or https URI with a host, and without user and password")]
    Uri,
    #[error("the host cannot be resolved")]
    Resolve,
    #[error(
        "{0} is a loopback, link-local or otherwise restricted address; --jwks-allow-addresses permits it"
    )]
    Forbidden(IpAddr),
    #[error("cannot connect: {0}")]
    Connect(io::ErrorKind),
    #[error("the certificate is not trusted: {0}; --jwks-ca-file adds CAs")]
    Certificate(rustls::CertificateError),
    #[error("TLS handshake failed")]
    Tls,
    #[error("no complete response within {LONGEST:?}")]
    TimedOut,
    #[error("the connection was closed before the response was complete")]
    Broken,
    #[error("status {0}, a redirect, which is not followed: use its target as URI")]
    Redirect(u16),
    #[error("status {0}")]
    Status(u16),
    #[error("unsupported content-encoding")]
    Encoding,
    #[error(transparent)]
    Keys(#[from] JwksError),
}

// === impl Fetcher ===

impl Fetcher {
    /// Creates a fetcher that trusts the CAs of this system, and those in the file.
    pub(super) fn new(addresses: AddressRule, ca_file: Option<&Path>) -> Anyhow<Self> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in system.errors {
            warn!(%error, "Cannot load some CA certificates of this system");
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
        let addresses = Arc::new(addresses);
        let mut http = HttpConnector::new_with_resolver(Resolver {
            addresses: addresses.clone(),
        });
        http.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(https);
        Ok(Self { addresses, client })
    }

    pub(super) async fn fetch(&self, uri: &str) -> Result<Fetched<FetchedKeys>, FetchError> {
        let uri = target(uri)?;
        // An address literal is not resolved.
        if let Ok(address) = uri.host().unwrap_or_default().trim_matches(['[', ']']).parse() {
            self.addresses
                .check(address)
                .map_err(|_| FetchError::Forbidden(address))?;
        }
        timeout(LONGEST, self.get(uri))
            .await
            .map_err(|_| FetchError::TimedOut)?
    }

    async fn get(&self, uri: Uri) -> Result<Fetched<FetchedKeys>, FetchError> {
        let request = Request::get(uri)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("switchyard/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|_| FetchError::Uri)?;
        let response = self.client.request(request).await;
        read(response.map_err(|error| FetchError::from(&error))?).await
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

// === impl Resolver ===

impl Resolver {
    async fn resolve(self, name: Name) -> Result<std::vec::IntoIter<SocketAddr>, FetchError> {
        let found = lookup_host((name.as_str(), 0)).await;
        let found = found.map_err(|_| FetchError::Resolve)?;
        let (allowed, forbidden): (Vec<_>, Vec<_>) =
            found.partition(|address| self.addresses.check(address.ip()).is_ok());
        match (&allowed[..], &forbidden[..]) {
            ([], [forbidden, ..]) => Err(FetchError::Forbidden(forbidden.ip())),
            _ => Ok(allowed.into_iter()),
        }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, FetchError>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), FetchError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().resolve(name))
    }
}

// === impl FetchError ===

impl From<&legacy::Error> for FetchError {
    fn from(error: &legacy::Error) -> Self {
        if error.is_connect() {
            error.source().and_then(Self::of_cause).unwrap_or(Self::Tls)
        } else {
            Self::Broken
        }
    }
}

impl FetchError {
    /// The error of this kind, of TLS or of the socket that libraries have wrapped.
    fn of_cause(cause: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(Self::Forbidden(address)) = cause.downcast_ref() {
            return Some(Self::Forbidden(*address));
        }
        match (cause.downcast_ref(), cause.downcast_ref::<io::Error>()) {
            (Some(rustls::Error::InvalidCertificate(error)), _) => Some(Self::Certificate(error.clone())),
            (Some(_), _) => Some(Self::Tls),
            (None, Some(error)) => match error.get_ref() {
                Some(inner) => Self::of_cause(inner),
                None => Some(Self::Connect(error.kind())),
            },
            (None, None) if cause.is::<Self>() => Some(Self::Resolve),
            (None, None) => cause.source().and_then(Self::of_cause),
        }
    }
}

async fn read(response: Response<Incoming>) -> Result<Fetched<FetchedKeys>, FetchError> {
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
    let KeySet { keys, left_out } = jwks::parse(&body.to_bytes())?;
    let fetched = SystemTime::now().duration_since(UNIX_EPOCH);
    let value = FetchedKeys {
        keys,
        left_out,
        fetched: fetched.unwrap_or_default().as_secs(),
    };
    Ok(Fetched { value, max_age })
}

/// The `max-age` of an answer (RFC 9111, 5.2.2.1).
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

/// Parses a URI of http or https, without user and password.
fn target(uri: &str) -> Result<Uri, FetchError> {
    let uri: Uri = uri.parse().map_err(|_| FetchError::Uri)?;
    let authority = uri.authority().ok_or(FetchError::Uri)?;
    let is_http = matches!(uri.scheme_str(), Some("https" | "http"));
    if !is_http || authority.host().trim_matches(['[', ']']).is_empty() || authority.as_str().contains('@') {
        return Err(FetchError::Uri);
    }
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    // A request line has a path, even if the URI has only a query (RFC 9112, 3.2.1).
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path = format!("{slash}{path}");
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(path.parse().map_err(|_| FetchError::Uri)?);
    Uri::from_parts(parts).map_err(|_| FetchError::Uri)
}

#[cfg(test)]
mod tests;
