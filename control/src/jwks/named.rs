//! Which sets IngressRoutes name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use switchyard_core::{Name, ingressroute::policy::Auth, object::IngressRoute};

/// The sets that an IngressRoute names, and for how long it trusts what cannot be got again, if it says so.
pub(super) type Uses = BTreeMap<Arc<str>, Option<Duration>>;

/// By IngressRoute; one that names none is not in it.
#[derive(Debug, Default)]
pub(super) struct Named(BTreeMap<Name, Uses>);

pub(super) fn uses(IngressRoute { spec, .. }: &IngressRoute) -> Uses {
    let of_host = spec.virtualhost.iter().flat_map(|host| &host.auth);
    let of_routes = spec.routes.iter().flat_map(|route| &route.auth);
    let ways = of_host.chain(of_routes).flat_map(Auth::all_ways);
    let mut uses = Uses::new();
    for jwks in ways
        .filter_map(|ways| Some(&ways.jwt?.jwks))
        .filter(|jwks| !jwks.uri.is_empty())
    {
        let stale = jwks
            .max_stale_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let shortest = uses.entry(jwks.uri.as_str().into()).or_default();
        *shortest = shorter(*shortest, stale.map(Duration::from_secs));
    }
    uses
}

pub(super) fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

// === impl Named ===

impl Named {
    /// Answers whether that is another than before.
    pub(super) fn set(&mut self, name: &Name, uses: Uses) -> bool {
        if uses.is_empty() {
            return self.0.remove(name).is_some();
        }
        let before = self.0.insert(name.clone(), uses);
        before.as_ref() != self.0.get(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Uses> {
        self.0.values()
    }

    pub(super) fn uris(&self) -> BTreeSet<Arc<str>> {
        self.all().flat_map(BTreeMap::keys).cloned().collect()
    }
}
