//! Headers and query parameters that levels withhold: they are not sent to the upstream, no level below can set them,
//! and no service of the same level or a level below is told them.

use crate::{auth::without_parameters, decide::Level};
use std::collections::BTreeSet;

/// Returns true if one of these levels withholds the header.
#[must_use]
pub fn withhold_header(levels: &[Level], name: &str) -> bool {
    levels
        .iter()
        .any(|level| level.policy.withheld.headers.contains(name))
}

/// The target without the query parameters that these levels withhold; `None` if it has none of them.
///
/// `target` is called only if a level withholds any.
#[must_use]
pub fn without_withheld<'t>(levels: &[Level], target: impl FnOnce() -> &'t [u8]) -> Option<Vec<u8>> {
    let parameters = levels
        .iter()
        .flat_map(|level| level.policy.withheld.parameters.iter());
    let parameters: BTreeSet<_> = parameters.cloned().collect();
    if parameters.is_empty() {
        return None;
    }
    without_parameters(target(), &parameters)
}
