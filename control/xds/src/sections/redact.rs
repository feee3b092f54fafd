//! What people are not shown of policies: password hashes can be guessed at, and whoever has the digest of a key can
//! recognise it.

use serde_json::{Map, Value};

const REDACTED: &str = "[redacted]";

/// Takes the secrets out of the JSON of a policy.
pub(super) fn policy(policy: &mut Value) {
    let requirements = elements(policy.get_mut("auth"));
    for check in requirements.flat_map(|requirement| elements(requirement.get_mut("anyOf"))) {
        if let Some(Value::Object(users)) = check.pointer_mut("/basic/users") {
            users.values_mut().for_each(|hash| *hash = REDACTED.into());
        }
        if let Some(Value::Object(keys)) = check.pointer_mut("/apiKey/keys") {
            *keys = without_digests(std::mem::take(keys));
        }
    }
}

/// The names of the clients stay.
fn without_digests(keys: Map<String, Value>) -> Map<String, Value> {
    let clients = keys.into_values().enumerate();
    clients
        .map(|(at, client)| (format!("{REDACTED} {}", at + 1), client))
        .collect()
}

fn elements(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}
