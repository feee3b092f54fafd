//! The Secrets that routes reference; no others are read.

use super::retry::backoff;
use k8s_openapi::api::core::v1;
use kube::{Api, Client};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use switchyard_core::Name;
use tracing::warn;

/// The delay before a Secret that may not be read is fetched again.
const REFUSED: std::time::Duration = std::time::Duration::from_secs(10);

/// The references from IngressRoutes to Secrets.
#[derive(Debug, Default)]
pub(crate) struct SecretReferences {
    by_route: BTreeMap<Name, BTreeSet<Name>>,
    /// The number of IngressRoutes that reference each Secret.
    counts: BTreeMap<Name, usize>,
}

/// Secrets that are newly referenced, and those that are no longer referenced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) new: Vec<Name>,
    pub(crate) over: Vec<Name>,
}

/// The result of fetching a Secret.
#[derive(Debug)]
pub(crate) enum Fetched {
    Found(Value),
    Missing,
    /// Control may not read the Secret (401 or 403).
    Refused,
}

/// A Secret to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ToFetch {
    pub(crate) name: Name,
    /// If true, the fetch waits first.
    pub(crate) refused_before: bool,
}

/// Pending fetches, with at most one at a time for each Secret: answers could arrive out of order.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    /// Fetches in progress; true if the Secret has changed since and is to be fetched again.
    under_way: BTreeMap<Name, bool>,
    due: BTreeSet<Name>,
    /// Secrets whose fetch has completed at least once.
    answered: BTreeSet<Name>,
}

// === impl SecretReferences ===

impl SecretReferences {
    pub(crate) fn is_wanted(&self, secret: &Name) -> bool {
        self.counts.contains_key(secret)
    }

    pub(crate) fn set(&mut self, route: &Name, secrets: BTreeSet<Name>) -> Wants {
        let mut wants = Wants::default();
        for name in &secrets {
            let count = self.counts.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                wants.new.push(name.clone());
            }
        }
        let before = if secrets.is_empty() {
            self.by_route.remove(route)
        } else {
            self.by_route.insert(route.clone(), secrets)
        };
        for name in before.into_iter().flatten() {
            if self.drop_one(&name) {
                wants.new.retain(|new| *new != name);
                wants.over.push(name);
            }
        }
        wants
    }

    /// Removes one reference, and returns true if it was the last.
    fn drop_one(&mut self, secret: &Name) -> bool {
        let Entry::Occupied(mut count) = self.counts.entry(secret.clone()) else {
            return false;
        };
        *count.get_mut() -= 1;
        let is_over = *count.get() == 0;
        if is_over {
            count.remove();
        }
        is_over
    }
}

// === impl Fetches ===

impl Fetches {
    /// Requests a fetch, after the current one if one is in progress.
    pub(crate) fn request(&mut self, name: Name) {
        match self.under_way.entry(name) {
            Entry::Occupied(mut again) => drop(again.insert(true)),
            Entry::Vacant(free) => drop(self.due.insert(free.into_key())),
        }
    }

    /// Starts the fetches that are due, and returns their names.
    pub(crate) fn start(&mut self) -> BTreeSet<Name> {
        let due = std::mem::take(&mut self.due);
        self.under_way
            .extend(due.iter().cloned().map(|name| (name, false)));
        due
    }

    /// Ends a fetch, and makes the Secret due again if it has changed since.
    pub(crate) fn end(&mut self, name: &Name) {
        self.answered.insert(name.clone());
        if self.under_way.remove(name) == Some(true) {
            self.due.insert(name.clone());
        }
    }

    pub(crate) fn forget(&mut self, name: &Name) {
        self.due.remove(name);
        self.answered.remove(name);
    }

    /// Returns true if every requested fetch has completed at least once.
    pub(crate) fn are_answered(&self) -> bool {
        let mut open = self.due.iter().chain(self.under_way.keys());
        open.all(|name| self.answered.contains(name))
    }
}

/// Fetches a Secret, and retries while the API server is unavailable.
pub(crate) async fn fetch(client: Client, to_fetch: ToFetch) -> (Name, Fetched) {
    let ToFetch { name, refused_before } = to_fetch;
    if refused_before {
        tokio::time::sleep(REFUSED).await;
    }
    let api: Api<v1::Secret> = Api::namespaced(client, &name.namespace);
    for wait in backoff() {
        match api.get_opt(&name.name).await {
            Ok(None) => return (name, Fetched::Missing),
            Ok(Some(secret)) => return (name, found(&secret)),
            Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
                warn!(
                    secret = %name, error = %status.message,
                    "Not allowed to read a Secret that an IngressRoute references"
                );
                return (name, Fetched::Refused);
            }
            Err(error) => {
                warn!(secret = %name, %error, "Cannot get a Secret; retrying");
                tokio::time::sleep(wait).await;
            }
        }
    }
    (name, Fetched::Missing)
}

/// Converts a Secret to a document with apiVersion and kind.
fn found(secret: &v1::Secret) -> Fetched {
    match serde_json::to_value(secret) {
        Ok(document) => Fetched::Found(document),
        Err(_) => Fetched::Missing,
    }
}

#[cfg(test)]
mod tests;
