//! The roles, and the certificate and key of each.

use std::{collections::BTreeMap, fmt};

/// The role of a certificate. The order is that of writing: the CA, which has to be trusted, comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Authority,
    /// Control.
    Server,
    /// Envoy.
    Client,
}

/// A certificate with its key and CAs, as in a Secret of type `kubernetes.io/tls`. All in PEM; empty if missing.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Holding {
    /// The trusted CAs: the newest, and earlier ones that have not expired.
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

pub(super) type Holdings = BTreeMap<Role, Holding>;

/// The names of the parts, as files and in a Secret's `data`.
pub(super) const CA: &str = "ca.crt";
pub(super) const CERTIFICATE: &str = "tls.crt";
pub(super) const KEY: &str = "tls.key";

// === impl Role ===

impl Role {
    pub(super) const ALL: [Self; 3] = [Self::Authority, Self::Server, Self::Client];
    pub(super) const LEAVES: [Self; 2] = [Self::Server, Self::Client];

    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Authority => "ca",
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    pub(super) fn secret(self) -> &'static str {
        match self {
            Self::Authority => "switchyard-xds-ca",
            Self::Server => "switchyard-xds-server",
            Self::Client => "switchyard-xds-client",
        }
    }
}

// === impl Holding ===

impl Holding {
    pub(super) fn parts(&self) -> [(&'static str, &str); 3] {
        let Self { ca, certificate, key } = self;
        [(CA, ca), (CERTIFICATE, certificate), (KEY, key)]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts().iter().all(|(_, part)| part.is_empty())
    }
}

impl fmt::Debug for Holding {
    /// Omits the private key, which must not be printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ca, certificate, key } = self;
        f.debug_struct("Holding")
            .field("ca", ca)
            .field("certificate", certificate)
            .field("key", &format_args!("{} bytes", key.len()))
            .finish()
    }
}
