//! Certificates for tests, and TLS clients and servers.

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// A certificate authority with a new key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key.
pub struct Certificate {
    /// PEM.
    pub chain: String,
    /// PEM.
    pub key: String,
    chain_der: CertificateDer<'static>,
    key_der: PrivateKeyDer<'static>,
}

/// A TLS client's credentials and trust, in PEM files.
#[derive(Clone, Copy, Debug)]
pub struct Client<'f> {
    /// The CA of the server's certificate.
    pub ca: &'f Path,
    /// A folder with `tls.crt` and `tls.key`. None for a client without a certificate.
    pub identity: Option<&'f Path>,
    pub version: &'static SupportedProtocolVersion,
}

// === impl Client ===

impl Client<'_> {
    /// Connects with HTTP/2 as the protocol. In TLS 1.3, a server reports a rejected client certificate only after this
    /// has returned.
    pub async fn connect(&self, server: SocketAddr, host: &str) -> Result<TlsStream<TcpStream>> {
        let mut config = self.config()?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        connect(server, host, config).await
    }

    fn config(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.ca)? {
            roots.add(certificate?)?;
        }
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(&[self.version])?
            .with_root_certificates(roots);
        let Some(folder) = self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(folder.join("tls.crt"))?.collect();
        let key = PrivateKeyDer::from_pem_file(folder.join("tls.key"))?;
        builder
            .with_client_auth_cert(chain?, key)
            .context("a client's certificate")
    }
}

// === impl Authority ===

impl Authority {
    pub fn new() -> Result<Self> {
        Self::of(CertificateParams::new([])?)
    }

    /// An authority whose certificate expires after this period.
    pub fn good_for(period: Duration) -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.not_after = OffsetDateTime::now_utc() + period;
        Self::of(params)
    }

    fn of(mut params: CertificateParams) -> Result<Self> {
        let key = KeyPair::generate()?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A certificate whose issuer and subject names are equal counts as self-signed, and rcgen uses the same name
        // for all.
        params.distinguished_name.push(DnType::CommonName, "authority");
        Ok(Self {
            certificate: params.self_signed(&key)?,
            issuer: Issuer::new(params, key),
        })
    }

    /// The certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key, in PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate for a host name.
    pub fn issue(&self, host: &str) -> Result<Certificate> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([host.to_owned()])?.signed_by(&key, &self.issuer)?;
        Ok(Certificate {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            chain_der: certificate.der().clone(),
            key_der: PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?,
        })
    }

    /// Connects to a host that has a certificate of this authority, in any TLS version.
    pub async fn connect(&self, server: SocketAddr, host: &str) -> Result<TlsStream<TcpStream>> {
        self.connect_with(server, host, rustls::ALL_VERSIONS).await
    }

    /// The same with one of these versions.
    pub async fn connect_with(
        &self,
        server: SocketAddr,
        host: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<TlsStream<TcpStream>> {
        connect(server, host, self.client(versions)?).await
    }

    /// The same with ALPN: the server has to agree to one of these protocols.
    pub async fn connect_for(
        &self,
        server: SocketAddr,
        host: &str,
        alpn: &[&str],
    ) -> Result<TlsStream<TcpStream>> {
        let mut config = self.client(rustls::ALL_VERSIONS)?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        connect(server, host, config).await
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone())?;
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into());
        Ok(builder
            .with_protocol_versions(versions)?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}

async fn connect(server: SocketAddr, host: &str, config: ClientConfig) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server).await?;
    // The end of the handshake and the data after it are separate segments.
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

// === impl Certificate ===

impl Certificate {
    /// A TLS acceptor that presents this certificate.
    pub fn acceptor(&self) -> Result<TlsAcceptor> {
        self.acceptor_for(&[])
    }

    /// The same with ALPN protocols in order of preference; without any, ALPN is not used.
    pub fn acceptor_for(&self, alpn: &[&str]) -> Result<TlsAcceptor> {
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.chain_der.clone()], self.key_der.clone_key())?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Returns true if the server of this connection presented this certificate.
    #[must_use]
    pub fn was_presented(&self, stream: &TlsStream<TcpStream>) -> bool {
        let (_, connection) = stream.get_ref();
        connection.peer_certificates().and_then(<[_]>::first) == Some(&self.chain_der)
    }
}
