//! The certificate of control, and the CA of its clients, from files that may change.
//!
//! The three small files are read again every second, which cannot miss a change, on any kind of volume. Files that
//! cannot be used are logged, and the last good ones stay in use.

use crate::{tls_files::TlsFiles, x509};
use anyhow::{Context, Result, anyhow};
use rustls::{
    Error, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use std::{path::Path, sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::{sync::watch, time::sleep};
use tracing::{error, info, warn};

/// The interval between two reads of the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The ALPN protocol of gRPC: HTTP/2.
const ALPN: &[u8] = b"h2";

/// The files, and their last usable contents.
#[derive(Debug)]
pub(crate) struct Credentials {
    files: TlsFiles,
    used: Contents,
    config: Arc<ServerConfig>,
    faults: Faults,
}

/// The contents of the files.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The errors in the files, each logged once. Not at the first read: files that are replaced one by one do not match
/// for a moment.
#[derive(Debug, Default)]
struct Faults {
    last: Option<String>,
    told: Option<String>,
}

/// An event to log.
#[derive(Debug, PartialEq, Eq)]
enum CredentialsEvent {
    Fault(String),
    /// The logged error is resolved.
    Mended,
}

// === impl Credentials ===

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If a file cannot be used; the error has its name and the reason.
    pub(super) fn load(files: TlsFiles) -> Result<Self> {
        let used = Contents::read(&files)?;
        let config = Arc::new(used.config(&files)?);
        used.announce("xDS uses mutual TLS; Envoys need a certificate of the CA");
        Ok(Self {
            files,
            used,
            config,
            faults: Faults::default(),
        })
    }

    /// Watches the files until the receiver is dropped. Returns the receiver of the configuration for new connections.
    pub(super) fn follow(mut self) -> watch::Receiver<Arc<ServerConfig>> {
        let (sender, receiver) = watch::channel(Arc::clone(&self.config));
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    () = sleep(LOOK_EVERY) => {}
                }
                if self.look() {
                    sender.send_replace(Arc::clone(&self.config));
                }
            }
        });
        receiver
    }

    /// Reads the files, and logs errors. Returns true if the configuration has changed.
    fn look(&mut self) -> bool {
        let news = self.renew();
        let fault = news.as_ref().err().map(|fault| format!("{fault:#}"));
        match self.faults.tell(fault) {
            Some(CredentialsEvent::Fault(fault)) => {
                error!("Cannot load the xDS certificates; the last valid ones stay in use: {fault}")
            }
            Some(CredentialsEvent::Mended) => info!("The xDS certificates are valid again"),
            None => {}
        }
        news.unwrap_or(false)
    }

    fn renew(&mut self) -> Result<bool> {
        let contents = Contents::read(&self.files)?;
        if contents == self.used {
            return Ok(false);
        }
        self.config = Arc::new(contents.config(&self.files)?);
        self.used = contents;
        self.used
            .announce("Reloaded the xDS certificates; new connections use them");
        Ok(true)
    }
}

// === impl Contents ===

impl Contents {
    fn read(TlsFiles { ca, certificate, key }: &TlsFiles) -> Result<Self> {
        Ok(Self {
            ca: read(ca)?,
            certificate: read(certificate)?,
            key: read(key)?,
        })
    }

    /// The TLS configuration: TLS 1.3 only, with client certificates. Sessions are not resumed, so that each connection
    /// is verified against the current CA.
    fn config(&self, files: &TlsFiles) -> Result<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Arc::new(in_file(&files.ca, roots(&self.ca))?);
        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let clients = in_file(&files.ca, clients.map_err(anyhow::Error::new))?;
        let chain = in_file(&files.certificate, chain(&self.certificate))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = in_file(&files.key, key.context("contains no private key in PEM"))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(|error| mismatch(error, files))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn announce(&self, what: &str) {
        // A certificate that rustls accepts and this parser does not is not an error.
        let Ok(x509::Facts { until, .. }) = x509::facts(&String::from_utf8_lossy(&self.certificate)) else {
            info!("{what}");
            return;
        };
        info!(%until, "{what}");
        if until <= OffsetDateTime::now_utc() {
            warn!(%until, "The certificate for xDS has expired: Envoys reject it");
        }
    }
}

impl std::fmt::Debug for Contents {
    /// Omits the contents, which include a private key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    in_file(path, std::fs::read(path).context("cannot be read"))
}

fn in_file<T>(path: &Path, result: Result<T>) -> Result<T> {
    result.with_context(|| path.display().to_string())
}

fn roots(pem: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots
            .add(certificate)
            .context("contains a certificate that cannot be used")?;
    }
    Ok(roots)
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.context("not PEM")?;
    if certificates.is_empty() {
        return Err(anyhow!("contains no certificate in PEM"));
    }
    Ok(certificates)
}

/// Names the file that an error is about.
fn mismatch(error: Error, TlsFiles { certificate, key, .. }: &TlsFiles) -> anyhow::Error {
    let (file, reason) = match error {
        Error::InconsistentKeys(_) => {
            let reason = format!("is not the key of {}", certificate.display());
            (key, anyhow!(reason))
        }
        Error::General(_) => (key, anyhow::Error::new(error)),
        _ => (certificate, anyhow::Error::new(error)),
    };
    reason.context(file.display().to_string())
}

// === impl Faults ===

impl Faults {
    /// The event to log for the current error.
    fn tell(&mut self, fault: Option<String>) -> Option<CredentialsEvent> {
        let lasts = fault == self.last;
        self.last.clone_from(&fault);
        match fault {
            None => self.told.take().map(|_| CredentialsEvent::Mended),
            Some(fault) if lasts && self.told.as_ref() != Some(&fault) => {
                self.told = Some(fault.clone());
                Some(CredentialsEvent::Fault(fault))
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use std::fs;
    use tempfile::TempDir;

    struct Pair {
        certificate: String,
        key: String,
    }

    fn mk_pair() -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn mk_files(dir: &TempDir, Pair { certificate, key }: &Pair) -> TlsFiles {
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        TlsFiles {
            ca: write("ca.crt", certificate),
            certificate: write("tls.crt", certificate),
            key: write("tls.key", key),
        }
    }

    #[test]
    fn unusable_file_is_named_with_the_reason() {
        let (pair, other) = (mk_pair(), mk_pair());
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (name, text, reason) in [
            ("ca.crt", Some(""), "no certificate in PEM"),
            ("ca.crt", Some(damaged), "cannot be used"),
            ("ca.crt", None, "cannot be read"),
            ("tls.crt", Some(pair.key.as_str()), "no certificate in PEM"),
            ("tls.crt", Some(damaged), ""),
            ("tls.crt", None, "cannot be read"),
            (
                "tls.key",
                Some("-----BEGIN PRIVATE KEY-----\n"),
                "no private key in PEM",
            ),
            ("tls.key", Some(other.key.as_str()), "is not the key of"),
            ("tls.key", None, "cannot be read"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let files = mk_files(&dir, &pair);
            match text {
                Some(text) => fs::write(dir.path().join(name), text).unwrap(),
                None => fs::remove_file(dir.path().join(name)).unwrap(),
            }
            let error = format!("{:#}", Credentials::load(files).unwrap_err());
            let file = dir.path().join(name).display().to_string();
            assert!(
                error.starts_with(&file) && error.contains(reason),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn new_files_are_loaded_once_they_match() {
        let (old, new) = (mk_pair(), mk_pair());
        let dir = tempfile::tempdir().unwrap();
        let mut credentials = Credentials::load(mk_files(&dir, &old)).unwrap();
        let first = Arc::clone(&credentials.config);
        assert!(!credentials.look());
        fs::write(dir.path().join("tls.crt"), &new.certificate).unwrap();
        assert!(!credentials.look());
        assert!(Arc::ptr_eq(&first, &credentials.config));
        fs::write(dir.path().join("tls.key"), &new.key).unwrap();
        assert!(credentials.look());
        assert!(!Arc::ptr_eq(&first, &credentials.config));
        assert!(!credentials.look());
        // The CA alone.
        fs::write(dir.path().join("ca.crt"), &new.certificate).unwrap();
        assert!(credentials.look());
    }

    #[test]
    fn lasting_credentials_error_is_reported_once() {
        let mut faults = Faults::default();
        let told = |fault: &str| Some(CredentialsEvent::Fault(fault.to_owned()));
        let looks = [
            (None, None),
            (Some("a"), None),
            (Some("a"), told("a")),
            (Some("a"), None),
            (Some("b"), None),
            (Some("c"), None),
            (Some("c"), told("c")),
            (Some("a"), None),
            (Some("a"), told("a")),
            (None, Some(CredentialsEvent::Mended)),
            (None, None),
            (Some("a"), None),
            (None, None),
            (Some("a"), None),
            (Some("a"), told("a")),
            (Some("a"), None),
        ];
        for (at, (fault, want)) in looks.into_iter().enumerate() {
            assert_eq!(faults.tell(fault.map(str::to_owned)), want, "look {at}");
        }
    }
}
