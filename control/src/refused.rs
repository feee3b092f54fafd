//! Errors that the translator finds after the graph: resources that are not sent because Envoy would reject them.

use std::collections::{BTreeMap, BTreeSet};
use switchyard_core::{Graph, Name, Status, StatusError, status::State};
use switchyard_xds::translate::{Origin, Translator};

/// Errors by the IngressRoute that they come from.
pub type Errors = BTreeMap<Name, BTreeSet<StatusError>>;

/// The errors of all resources that are not sent. Those of a host belong to its root, those of a cluster to every
/// IngressRoute that references it.
#[must_use]
pub fn errors(graph: &Graph, translator: &Translator) -> Errors {
    let mut errors = Errors::new();
    for (origin, refusal) in translator.refused() {
        let owners: Vec<_> = match origin {
            Origin::Host(fqdn) => {
                let host = graph.table().hosts.get(fqdn);
                host.map(|host| host.root.clone()).into_iter().collect()
            }
            Origin::Cluster(name) => graph.users_of_cluster(name).cloned().collect(),
            Origin::Settings => vec![],
        };
        for owner in owners {
            errors.entry(owner).or_default().insert(StatusError {
                field: String::new(),
                message: refusal.to_string(),
            });
        }
    }
    errors
}

/// Adds errors to a status of the graph.
pub fn add(status: &mut Status, errors: &BTreeSet<StatusError>) {
    status.errors.extend(errors.iter().cloned());
    if status.state == State::Valid {
        status.state = State::Invalid;
    }
}
