//! What levels keep of a request to themselves: it is not sent on, no level below says it, and no service that one of them or a
//! level below asks is told it.

use crate::{auth::without_parameters, decide::Level, maps::Set};

/// Whether one of these levels withholds the header.
#[must_use]
pub fn withhold_header(levels: &[Level], name: &str) -> bool {
    levels
        .iter()
        .any(|level| level.policy.withheld.headers.contains(name))
}

/// The target without the parameters of the query that these levels withhold. None: it has none of them.
///
/// The target is asked for where a level withholds any.
#[must_use]
pub fn without_withheld<'t>(levels: &[Level], target: impl FnOnce() -> &'t [u8]) -> Option<Vec<u8>> {
    let parameters = levels
        .iter()
        .flat_map(|level| level.policy.withheld.parameters.iter());
    let parameters: Set<_> = parameters.cloned().collect();
    if parameters.is_empty() {
        return None;
    }
    without_parameters(target(), &parameters)
}
