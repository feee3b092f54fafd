//! The key sets (JWKS) that IngressRoutes reference by URI: fetched, and refreshed before they are too old.
//!
//! ```text
//! source -- Batch --> [ Cache ] -- Batch, with the sets --> engine
//!                      |    ^
//!               URIs   v    | keys
//!                     [ Fetcher ] -- GET --> issuers
//! ```
//!
//! A key set stays in use when it cannot be fetched again; the filter decides for how long it is trusted. An
//! IngressRoute that references a new key set waits for it, a few seconds at most, while its last version stays in
//! force: otherwise its routes would fail until then.
//!
//! # Restrictions
//!
//! Anyone who may write an IngressRoute chooses the target of a GET request. So control does not connect to addresses
//! that are special to its machine: neither loopback, nor link-local addresses, where clouds serve secrets
//! (169.254.169.254); `--jwks-allow-addresses` permits exceptions. The address that is connected to is checked,
//! whatever a name resolves to at another time. Redirects are not followed, no credentials are sent, and the only parts
//! of an answer that are reported are its status code and the reason why it is not a key set. Addresses inside the
//! cluster are permitted, because issuers run there; a NetworkPolicy can forbid them.

pub(crate) mod fetch;

pub use self::fetch::FetchError;

use self::fetch::Fetcher;
use crate::{
    args::parse_duration,
    cache::{self, Cache, Lookup, Stats, Uses},
};
use anyhow::Result;
use clap::Args;
use ipnet::IpNet;
use std::{path::PathBuf, sync::Arc, time::Duration};
use switchyard_core::{
    ObjectId,
    address::AddressRule,
    ingressroute::policy::Auth,
    object::{Batch, FetchedKeys, IngressRoute, Jwks, Object},
};
use tokio::sync::mpsc;

/// The refresh interval where an issuer sets none.
const REFRESH: Duration = Duration::from_secs(300);
/// The maximum refresh interval, whatever an issuer sets: keys that it has withdrawn are not trusted for longer.
const LATEST: Duration = Duration::from_secs(3600);

/// The settings for fetching key sets.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Keys of JWT issuers (JWKS)")]
pub struct JwksArgs {
    /// PEM file of CAs that are trusted for issuers, besides those of this system.
    #[arg(long, value_name = "FILE")]
    jwks_ca_file: Option<PathBuf>,
    /// Special addresses that JWKS may be fetched from, such as 169.254.0.0/16. Loopback addresses are special, too, if
    /// objects come from an API server.
    #[arg(long, value_name = "CIDR,...", value_delimiter = ',')]
    jwks_allow_addresses: Vec<IpNet>,
    /// Minimum refresh interval of JWKS, even if an issuer sets a shorter one.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    jwks_min_refresh: Duration,
}

/// A fetcher of key sets, ready to run.
#[derive(Debug)]
pub struct JwksFetching {
    fetcher: Fetcher,
    stats: Arc<Stats>,
    /// The minimum refresh interval.
    soonest: Duration,
}

/// The lookup of key sets by URI.
#[derive(Debug)]
pub(crate) struct JwksLookup {
    /// The minimum refresh interval, whatever an issuer sets.
    pub(crate) soonest: Duration,
}

// === impl JwksLookup ===

impl Lookup for JwksLookup {
    /// The time that a set is trusted for when it cannot be fetched again, if the IngressRoute limits it.
    type Use = Option<Duration>;
    type Value = FetchedKeys;
    type Error = FetchError;
    const SUBJECT: &'static str = "the JWKS of an issuer";
    const LONGEST_RETRY: Duration = REFRESH;

    fn uses(object: &Object) -> Uses<Self::Use> {
        match object {
            Object::IngressRoute(route) => uses(route),
            _ => Uses::new(),
        }
    }

    fn id(uri: Arc<str>) -> ObjectId {
        ObjectId::jwks(uri)
    }

    fn object(uri: Arc<str>, keys: Result<Self::Value, String>) -> Object {
        Object::Jwks(Jwks { uri, keys })
    }

    fn describe(FetchedKeys { keys, left_out, .. }: &Self::Value) -> String {
        let names = keys.iter().map(|key| key.kid.as_deref().unwrap_or("without kid"));
        let names = names.collect::<Vec<_>>().join(", ");
        match left_out {
            Some(left_out) => format!("{} ({names}); ignored: {left_out}", keys.len()),
            None => format!("{} ({names})", keys.len()),
        }
    }

    fn refresh(&self, max_age: Option<Duration>, uses: &[Self::Use]) -> Duration {
        let wanted = max_age.map_or(REFRESH, |age| age.max(self.soonest).min(LATEST));
        let stale = uses.iter().copied().flatten().min();
        // So that a failed fetch can be retried in time.
        let most = stale.map_or(LATEST, |stale| stale / 2);
        wanted.min(most)
    }
}

fn uses(IngressRoute { spec, .. }: &IngressRoute) -> Uses<Option<Duration>> {
    let of_host = spec.virtualhost.iter().flat_map(|host| &host.auth);
    let of_routes = spec.routes.iter().flat_map(|route| &route.auth);
    let ways = of_host.chain(of_routes).flat_map(Auth::all_ways);
    let mut uses = Uses::<Option<Duration>>::new();
    for jwks in ways
        .filter_map(|ways| Some(&ways.jwt?.jwks))
        .filter(|jwks| !jwks.uri.is_empty())
    {
        let stale = jwks
            .max_stale_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs);
        let shortest = uses.entry(jwks.uri.as_str().into()).or_default();
        *shortest = [*shortest, stale].into_iter().flatten().min();
    }
    uses
}

// === impl JwksArgs ===

impl JwksArgs {
    /// Creates the fetcher. `local` is true if objects come from this machine: their authors may reach its loopback
    /// addresses.
    ///
    /// # Errors
    ///
    /// If the file of CAs cannot be used.
    pub fn fetching(self, local: bool) -> Result<JwksFetching> {
        let Self {
            jwks_ca_file,
            jwks_allow_addresses,
            jwks_min_refresh,
        } = self;
        let addresses = AddressRule::new(jwks_allow_addresses, local);
        Ok(JwksFetching {
            fetcher: Fetcher::new(addresses, jwks_ca_file.as_deref())?,
            stats: Arc::default(),
            soonest: jwks_min_refresh,
        })
    }
}

// === impl JwksFetching ===

impl JwksFetching {
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Forwards batches, with the key sets that they reference, until the source ends or the receiver is dropped.
    pub async fn run(self, batches: mpsc::Receiver<Batch>, engine: mpsc::Sender<Batch>) {
        let Self {
            fetcher,
            stats,
            soonest,
        } = self;
        let cache = Cache::new(stats, JwksLookup { soonest });
        let fetcher = Arc::new(fetcher);
        let fetch = move |uri: Arc<str>| {
            let fetcher = fetcher.clone();
            async move { fetcher.fetch(&uri).await }
        };
        cache::run(cache, fetch, batches, engine).await;
    }
}

/// Assumes an empty key set for every URI. Commands that read objects once do not fetch, because only `serve` runs
/// where the URIs have to be reachable.
pub fn assume<'r>(routes: impl IntoIterator<Item = &'r IngressRoute>) -> Vec<Object> {
    let uris = routes.into_iter().flat_map(IngressRoute::jwks_uris);
    let set = |uri: &str| {
        Object::Jwks(Jwks {
            uri: uri.into(),
            keys: Ok(FetchedKeys {
                keys: Vec::new(),
                left_out: None,
                fetched: 0,
            }),
        })
    };
    uris.map(set).collect()
}

#[cfg(test)]
mod issuer;
#[cfg(test)]
mod tests;
