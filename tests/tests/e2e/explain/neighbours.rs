//! Services other than upstreams: mirrors, authorization services and rate limit services. They record their requests.

use super::manifests::{GUARD, METER, NAMESPACES, SHADOW};
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use switchyard_tests::{
    gatekeeper::{Gatekeeper, Told},
    manifests::service,
};

/// The services of all namespaces.
pub(super) struct Neighbours {
    shadows: Vec<Neighbour>,
    /// The authorization and rate limit services.
    guards: Vec<Neighbour>,
    heard: Mutex<Heard>,
}

/// A service with its name: `namespace/name`.
struct Neighbour {
    service: String,
    keeper: Gatekeeper,
}

/// The requests that services received so far, by request ID, with the name of the service.
#[derive(Default)]
struct Heard {
    copies: BTreeMap<String, Vec<(String, Told)>>,
    questions: BTreeMap<String, Vec<(String, Told)>>,
}

// === impl Neighbours ===

impl Neighbours {
    pub(super) async fn start() -> Result<Self> {
        let mut started = Self {
            shadows: Vec::new(),
            guards: Vec::new(),
            heard: Mutex::default(),
        };
        for namespace in NAMESPACES {
            started.shadows.push(Neighbour::start(namespace, SHADOW).await?);
            for name in [GUARD, METER] {
                started.guards.push(Neighbour::start(namespace, name).await?);
            }
        }
        Ok(started)
    }

    pub(super) fn manifests(&self) -> String {
        let all = self.shadows.iter().chain(&self.guards);
        all.map(Neighbour::manifest).collect()
    }

    /// The mirrored copies of a request received so far, with the names of the services.
    pub(super) fn copies(&self, id: &str) -> Result<Vec<(String, Told)>> {
        self.look(|heard| heard.copies.get(id).cloned().unwrap_or_default())
    }

    /// The authorization and rate limit requests for a request, with the names of the services.
    pub(super) fn questions(&self, id: &str) -> Result<Vec<(String, Told)>> {
        self.look(|heard| heard.questions.get(id).cloned().unwrap_or_default())
    }

    fn look<T>(&self, look: impl FnOnce(&Heard) -> T) -> Result<T> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let Heard { copies, questions } = &mut *heard;
        for (neighbours, kept) in [(&self.shadows, copies), (&self.guards, questions)] {
            for Neighbour { service, keeper } in neighbours {
                for told in keeper.take_told() {
                    let entry = kept.entry(id_of(&told)?).or_default();
                    entry.push((service.clone(), told));
                }
            }
        }
        Ok(look(&heard))
    }
}

/// The request ID in a message to a service.
fn id_of(told: &Told) -> Result<String> {
    let id = match (&told.check, &told.count) {
        (Some(check), _) => {
            let attributes = check.attributes.as_ref();
            let request = attributes.and_then(|attributes| attributes.request.as_ref()?.http.as_ref());
            request.map(|http| &http.id)
        }
        (None, Some(count)) => {
            let mut entries = count.descriptors.iter().flat_map(|one| &one.entries);
            let named = entries.find(|entry| entry.key == "x-request-id");
            named.map(|entry| &entry.value)
        }
        (None, None) => told.headers.get("x-request-id"),
    };
    let id = id.filter(|id| !id.is_empty());
    id.cloned().with_context(|| format!("no id: {told:?}"))
}

// === impl Neighbour ===

impl Neighbour {
    async fn start(namespace: &str, name: &str) -> Result<Self> {
        Ok(Self {
            service: format!("{namespace}/{name}"),
            keeper: Gatekeeper::start().await?,
        })
    }

    fn manifest(&self) -> String {
        let (namespace, name) = self.service.split_once('/').unwrap_or_default();
        service(namespace, name, &[self.keeper.address])
    }
}
