//! The TLS files of xDS, which are the same three on both sides.

use clap::Args;
use std::path::PathBuf;

/// The TLS files: all three, or none.
#[derive(Clone, Debug, Default, Args)]
pub struct TlsArgs {
    /// PEM file of the CA that issues the other side's certificate. With the next two flags, it enables mutual TLS for
    /// xDS.
    #[arg(long, value_name = "FILE", requires_all = ["xds_cert_file", "xds_key_file"])]
    xds_ca_file: Option<PathBuf>,
    /// PEM file of this side's certificate.
    #[arg(long, value_name = "FILE", requires = "xds_ca_file")]
    xds_cert_file: Option<PathBuf>,
    /// PEM file of the private key of that certificate.
    #[arg(long, value_name = "FILE", requires = "xds_ca_file")]
    xds_key_file: Option<PathBuf>,
}

/// The files of one side of a mutual TLS connection, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CA of the other side's certificate.
    pub ca: PathBuf,
    /// The certificate of this side.
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
