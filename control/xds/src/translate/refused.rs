//! Resources, and parts of them, that Envoy would refuse, or has refused. They are not sent: a resource that Envoy refuses
//! takes along all that comes in the same response.

use crate::constraints::{self, Violation};
use std::{collections::BTreeMap, fmt, sync::Arc};
use switchyard_core::table::ClusterName;

/// The source of a refused resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A host, by its fqdn: it answers 503 instead.
    Host(Arc<str>),
    /// A cluster: routes to it answer 503.
    Cluster(ClusterName),
    /// The settings of the proxies.
    Settings,
}

/// A message that Envoy would refuse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The kind and the name of the message.
    message: String,
    cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// It breaks a constraint of Envoy's that is known here.
    Violation(Violation),
    /// A proxy said so, in these words.
    Told(Arc<str>),
}

/// Those of a part of the translator, by origin and message.
#[derive(Debug, Default)]
pub(super) struct Refused {
    refusals: BTreeMap<(Origin, String), Refusal>,
}

// === impl Refused ===

impl Refused {
    /// Checks a message, and remembers the outcome. Answers whether it may be sent.
    pub(super) fn admits(&mut self, origin: Origin, (type_url, name): (&str, &str), bytes: &[u8]) -> bool {
        let message = described(type_url, name);
        let Err(violation) = constraints::check(type_url, bytes) else {
            self.refusals.remove(&(origin, message));
            return true;
        };
        tracing::error!(%message, %violation, "Not sending what Envoy would refuse");
        self.remember(origin, message, Cause::Violation(violation));
        false
    }

    /// Remembers a message that a proxy has refused.
    pub(super) fn hears(&mut self, origin: Origin, (type_url, name): (&str, &str), reason: Arc<str>) {
        let message = described(type_url, name);
        tracing::error!(%message, %reason, "No longer sending what a proxy refuses");
        self.remember(origin, message, Cause::Told(reason));
    }

    fn remember(&mut self, origin: Origin, message: String, cause: Cause) {
        let refusal = Refusal {
            message: message.clone(),
            cause,
        };
        self.refusals.insert((origin, message), refusal);
    }

    /// Forgets a message, which is not to be sent any longer.
    pub(super) fn forget(&mut self, origin: Origin, (type_url, name): (&str, &str)) {
        self.refusals.remove(&(origin, described(type_url, name)));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Origin, &Refusal)> {
        self.refusals
            .iter()
            .map(|((origin, _), refusal)| (origin, refusal))
    }
}

fn described(type_url: &str, name: &str) -> String {
    let kind = type_url.rsplit('.').next().unwrap_or_default();
    format!("{kind} {name}")
}

// === impl Refusal ===

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, cause } = self;
        match cause {
            Cause::Violation(violation) => write!(f, "Envoy would refuse {message}: {violation}"),
            Cause::Told(reason) => write!(f, "Envoy refuses {message}: {reason}"),
        }
    }
}
