//! What is changed of headers, by their names: no value is told.

use super::{Changed, proxy::Headers};
use std::collections::{BTreeMap, BTreeSet};
use switchyard_policy::edit::Edit;

/// What names of headers begin with that no upstream is to see; and of those that are no headers.
const STEERING: [&str; 3] = [":", "x-envoy-", "x-switchyard-mirror-"];

/// What the upstream sees otherwise. What steers the proxy is gone by then.
pub(super) fn of_request(before: &Headers, after: &Headers) -> Changed {
    let names = |headers: &Headers| -> BTreeSet<String> {
        let names = headers.0.iter().map(|(name, _)| name);
        let visible = |name: &&String| !STEERING.iter().any(|prefix| name.starts_with(prefix));
        names.filter(visible).cloned().collect()
    };
    let (were, are) = (names(before), names(after));
    let said = |headers: &Headers, name: &str| -> Vec<Vec<u8>> {
        let of_name = headers.0.iter().filter(|(other, _)| other == name);
        of_name.map(|(_, value)| value.clone()).collect()
    };
    let differs = |name: &&String| said(before, name) != said(after, name);
    Changed {
        set: are.iter().filter(differs).cloned().collect(),
        removed: were.difference(&are).cloned().collect(),
    }
}

/// What the client sees otherwise than the upstream says it. Where nobody but the filter says anything, it is what `own` says,
/// as it is edited.
pub(super) fn of_answer(own: Option<&[(String, Vec<u8>)]>, cookies: usize, edits: &[Edit<'_>]) -> Changed {
    let said = own.unwrap_or_default().iter().map(|(name, _)| name.as_str());
    // That a refusal says in words why it is one is no change.
    let said = said.filter(|name| *name != "content-type");
    let cookie = (cookies > 0).then_some("set-cookie");
    let mut is_there: BTreeMap<&str, bool> = said.chain(cookie).map(|name| (name, true)).collect();
    for edit in edits {
        is_there.insert(edit.name(), !matches!(edit, Edit::Remove(_)));
    }
    let names = |there: bool| {
        let names = is_there.iter().filter(|(_, is_there)| **is_there == there);
        names.map(|(name, _)| (*name).to_owned()).collect()
    };
    Changed {
        set: names(true),
        // What nobody has said cannot be taken away.
        removed: if own.is_some() { Vec::new() } else { names(false) },
    }
}
