//! What is held for each part.

use std::{collections::BTreeMap, fmt};

/// Whose certificate it is. In the order in which they are written: what is to be trusted comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Authority,
    /// Control's.
    Server,
    /// Envoy's.
    Client,
}

/// A certificate and what belongs to it, as a Secret of type `kubernetes.io/tls` has it. All PEM; empty where there is
/// none.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Holding {
    /// Whom to trust: the newest CA, and those before it that have not ended.
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

pub(super) type Holdings = BTreeMap<Role, Holding>;

/// The names of the parts, of files and of a Secret's `data`.
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
    /// Without the key: nothing that is printed is to hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ca, certificate, key } = self;
        f.debug_struct("Holding")
            .field("ca", ca)
            .field("certificate", certificate)
            .field("key", &format_args!("{} bytes", key.len()))
            .finish()
    }
}
