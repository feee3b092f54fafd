//! The sets of keys (JWKS) that IngressRoutes name by URI: fetched, and fetched again before they are old.
//!
//! ```text
//! source -- Batch --> [ Gate ] -- Batch, with the sets --> engine
//!                      |    ^
//!               URIs   v    | keys
//!                     [ Fetcher ] -- GET --> issuers
//! ```
//!
//! What was once got stays when it cannot be got again; how long it is trusted then is the filter's to know. An
//! IngressRoute that names a set which nobody has asked for yet waits for the answer, a few seconds at most, and what it
//! said before goes on: else its routes would be out of order for as long.
//!
//! # What a tenant may have fetched
//!
//! Whoever may write an IngressRoute chooses where control sends a GET to. So it is sent to no address that is special to
//! the machine that control runs on: not to itself (loopback), and not to its link, where clouds tell secrets to whoever
//! asks (169.254.169.254); `--jwks-allow-addresses` allows what has to be. What counts is the address that is connected to,
//! whatever a name resolves to at another time. No redirect is followed, no credentials are sent, and nothing of an answer
//! is told but its status code, and what it lacks to be a set of keys. Addresses inside of the cluster are allowed, as
//! issuers live there: who does not want that lets a NetworkPolicy say so.

mod addresses;
mod fetch;
mod gate;
mod keeper;
mod named;
mod stats;

pub use self::{fetch::FetchError, stats::Stats};

use self::{addresses::Addresses, fetch::Fetcher, gate::Gate};
use crate::cli::parse_duration;
use anyhow::Result;
use clap::Args;
use futures_util::{StreamExt, stream::FuturesUnordered};
use ipnet::IpNet;
use std::{
    future,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use switchyard_core::object::{Batch, FetchedKeys, IngressRoute, Jwks, Object};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Fetches that may be under way at once.
const AT_ONCE: usize = 64;

/// How sets of keys are fetched.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Keys of JWT issuers (JWKS)")]
pub struct JwksArgs {
    /// CAs, PEM, that issuers' certificates may come from beside those that this system trusts.
    #[arg(long, value_name = "FILE")]
    jwks_ca_file: Option<PathBuf>,
    /// Addresses that JWKS may be fetched from although they are special, such as 169.254.0.0/16. Loopback is one of them
    /// if objects come from an API server.
    #[arg(long, value_name = "CIDR,...", value_delimiter = ',')]
    jwks_allow_addresses: Vec<IpNet>,
    /// How long JWKS are kept at least before they are fetched again, however short their issuers say.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    jwks_min_refresh: Duration,
}

/// What fetches.
#[derive(Debug)]
pub struct JwksFetching {
    fetcher: Fetcher,
    stats: Arc<Stats>,
    /// A set is fetched again, after it was got.
    soonest: Duration,
}

// === impl JwksArgs ===

impl JwksArgs {
    /// Gets ready. `local`: objects come from this machine, and who writes them may reach what is on it.
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
        let addresses = Addresses::new(jwks_allow_addresses, local);
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

    /// Passes batches on, with the sets that they name, until the source ends or nobody takes them.
    pub async fn run(self, mut batches: mpsc::Receiver<Batch>, engine: mpsc::Sender<Batch>) {
        let Self {
            fetcher,
            stats,
            soonest,
        } = self;
        let mut gate = Gate::new(stats, soonest);
        let mut fetches = FuturesUnordered::new();
        loop {
            for uri in gate.start(Instant::now(), AT_ONCE - fetches.len()) {
                fetches.push(fetch(&fetcher, uri));
            }
            tokio::select! {
                batch = batches.recv(), if gate.is_open() => match batch {
                    Some(batch) => gate.take(batch, Instant::now()),
                    None => return,
                },
                Some((uri, fetched)) = fetches.next() => {
                    gate.fetched(&uri, fetched, Instant::now(), SystemTime::now());
                }
                () = until(gate.next()) => {}
            }
            if let Some(batch) = gate.batch(Instant::now())
                && engine.send(batch).await.is_err()
            {
                return;
            }
        }
    }
}

/// For commands that look and go: what is at a URI is for `serve` to know, from where it runs. There is a set, without
/// keys.
pub fn assume<'r>(routes: impl IntoIterator<Item = &'r IngressRoute>) -> Vec<Object> {
    let uris = routes.into_iter().flat_map(IngressRoute::jwks_uris);
    let set = |uri: &str| {
        Object::Jwks(Jwks {
            uri: uri.into(),
            keys: Ok(FetchedKeys {
                keys: Vec::new(),
                fetched: 0,
            }),
        })
    };
    uris.map(set).collect()
}

async fn fetch(fetcher: &Fetcher, uri: Arc<str>) -> (Arc<str>, Result<fetch::Fetched, FetchError>) {
    let fetched = fetcher.fetch(&uri).await;
    (uri, fetched)
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod issuer;
#[cfg(test)]
mod tests;
