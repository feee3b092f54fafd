//! The files that secure xDS: the same three on both sides of it.

use clap::Args;
use std::path::PathBuf;

/// Which files secure xDS: all three, or none.
#[derive(Clone, Debug, Default, Args)]
pub struct TlsArgs {
    /// Secure xDS, together with the next two flags: the CA that the other side's certificate has to come from, PEM.
    #[arg(long, value_name = "FILE", requires_all = ["xds_cert_file", "xds_key_file"])]
    xds_ca_file: Option<PathBuf>,
    /// The certificate that this side shows, PEM.
    #[arg(long, value_name = "FILE", requires = "xds_ca_file")]
    xds_cert_file: Option<PathBuf>,
    /// The private key of that certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "xds_ca_file")]
    xds_key_file: Option<PathBuf>,
}

/// What one side of a mutual TLS connection needs; all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whom the other side's certificate has to come from.
    pub ca: PathBuf,
    /// What this side shows.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

// === impl TlsArgs ===

impl TlsArgs {
    /// The files, if they were given.
    #[must_use]
    pub fn files(self) -> Option<TlsFiles> {
        let Self {
            xds_ca_file,
            xds_cert_file,
            xds_key_file,
        } = self;
        Some(TlsFiles {
            ca: xds_ca_file?,
            certificate: xds_cert_file?,
            key: xds_key_file?,
        })
    }
}
