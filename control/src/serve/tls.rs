//! The security of xDS.
//!
//! The configuration contains the private keys of all hosts, so both sides have to present a certificate. Plain text is
//! for a proxy on the same machine, and for those who ask for it.

mod credentials;
mod incoming;

pub(super) use self::{credentials::Credentials, incoming::Incoming};

use crate::tls_files::TlsFiles;
use anyhow::{Result, bail};
use std::net::SocketAddr;
use tracing::warn;

/// The transport of xDS connections.
#[derive(Debug)]
pub(super) enum Transport {
    Plain,
    Tls(Credentials),
}

/// The transport chosen by the command line.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// Plain text on loopback only.
    Plain,
    /// Plain text for anyone.
    Exposed,
    Tls(TlsFiles),
}

// === impl Transport ===

impl Transport {
    /// Creates the transport that the command line asks for.
    ///
    /// # Errors
    ///
    /// If others could connect and no security was chosen, or a file cannot be used.
    pub(super) fn new(address: SocketAddr, files: Option<TlsFiles>, insecure: bool) -> Result<Self> {
        match choose(address, files, insecure)? {
            Choice::Plain => Ok(Self::Plain),
            Choice::Exposed => {
                warn!(
                    %address,
                    "xDS is NOT ENCRYPTED (--insecure): anyone who can reach this address can read all private keys, \
                     and anyone on the network path can change the configuration of Envoys"
                );
                Ok(Self::Plain)
            }
            Choice::Tls(files) => Ok(Self::Tls(Credentials::load(files)?)),
        }
    }
}

fn choose(address: SocketAddr, files: Option<TlsFiles>, insecure: bool) -> Result<Choice> {
    match files {
        Some(files) => Ok(Choice::Tls(files)),
        None if insecure => Ok(Choice::Exposed),
        None if address.ip().to_canonical().is_loopback() => Ok(Choice::Plain),
        None => bail!(
            "--xds-address {address} is not loopback, and xDS contains private keys: enable TLS with --xds-ca-file, \
             --xds-cert-file and --xds-key-file (`switchyard certgen` creates them), or pass --insecure"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_beyond_loopback_requires_insecure_flag() {
        let files = || TlsFiles {
            ca: "ca".into(),
            certificate: "crt".into(),
            key: "key".into(),
        };
        for (address, secured, insecure, want) in [
            ("127.0.0.1:1", false, false, Some(Choice::Plain)),
            ("127.8.8.8:1", false, false, Some(Choice::Plain)),
            ("[::1]:1", false, false, Some(Choice::Plain)),
            ("[::ffff:127.0.0.1]:1", false, false, Some(Choice::Plain)),
            ("0.0.0.0:1", false, false, None),
            ("[::]:1", false, false, None),
            ("10.0.0.1:1", false, false, None),
            ("0.0.0.0:1", false, true, Some(Choice::Exposed)),
            ("127.0.0.1:1", false, true, Some(Choice::Exposed)),
            ("0.0.0.0:1", true, false, Some(Choice::Tls(files()))),
            ("127.0.0.1:1", true, false, Some(Choice::Tls(files()))),
        ] {
            let choice = choose(address.parse().unwrap(), secured.then(files), insecure);
            assert_eq!(choice.ok(), want, "{address} {secured} {insecure}");
        }
    }

    #[test]
    fn plaintext_error_names_both_remedies() {
        let error = choose("0.0.0.0:18000".parse().unwrap(), None, false).unwrap_err();
        let text = error.to_string();
        for way in [
            "--xds-ca-file",
            "--xds-cert-file",
            "--xds-key-file",
            "certgen",
            "--insecure",
        ] {
            assert!(text.contains(way), "{text}");
        }
    }
}
