//! How xDS is secured.
//!
//! What is served holds the private keys of all hosts: both sides show a certificate, and nobody else gets in. Plain
//! text is for a proxy on the same machine, and for those who ask for it.

mod credentials;
mod incoming;

pub(super) use self::{credentials::Credentials, incoming::Incoming};

use crate::tls_files::TlsFiles;
use anyhow::{Result, bail};
use std::net::SocketAddr;
use tracing::warn;

/// How Envoys connect.
#[derive(Debug)]
pub(super) enum Transport {
    Plain,
    Tls(Credentials),
}

/// What the command line comes to.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// To this machine alone, or nobody said otherwise.
    Plain,
    /// To whoever asks.
    Exposed,
    Tls(TlsFiles),
}

// === impl Transport ===

impl Transport {
    /// As the command line says.
    ///
    /// # Errors
    ///
    /// If others could connect and nothing says how that is secured, or a file cannot be used.
    pub(super) fn new(address: SocketAddr, files: Option<TlsFiles>, insecure: bool) -> Result<Self> {
        match choose(address, files, insecure)? {
            Choice::Plain => Ok(Self::Plain),
            Choice::Exposed => {
                warn!(
                    %address,
                    "xDS is NOT SECURED (--insecure): whoever reaches this address can read every private key, \
                     and whoever is on the way can give Envoys another configuration"
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
            "--xds-address {address} can be reached by others, and xDS has private keys in it: secure it with \
             --xds-ca-file, --xds-cert-file and --xds-key-file (`switchyard certgen` makes the files), or serve it in \
             plain text to everybody with --insecure"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_leaves_the_machine_only_when_asked_for() {
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
    fn a_refusal_names_both_ways_out() {
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
