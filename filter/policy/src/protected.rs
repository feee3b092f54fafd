//! Headers and query parameters of clients that policies protect: they are not sent to the upstream, no level below can
//! set them, and they are not sent to services of the same level or a level below.

use crate::query::without_parameters;
use std::collections::BTreeSet;

/// Headers and parameters of the client that are never sent on, whichever check passes: only checks set headers that
/// identify the client to the upstream, and keys stay private. They are not sent to services of the same level, or
/// below, either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectedFields {
    /// Names of headers, in lower case.
    pub headers: BTreeSet<String>,
    /// Names of query parameters.
    pub parameters: BTreeSet<String>,
}

/// Returns true if one of these protects the header.
pub(crate) fn protects_header<'p>(
    protected: impl IntoIterator<Item = &'p ProtectedFields>,
    name: &str,
) -> bool {
    protected.into_iter().any(|fields| fields.headers.contains(name))
}

/// The target without the query parameters that these protect; `None` if it has none of them.
///
/// `target` is called only if any parameters are protected.
pub(crate) fn without_protected_parameters<'p, 't>(
    protected: impl IntoIterator<Item = &'p ProtectedFields>,
    target: impl FnOnce() -> &'t [u8],
) -> Option<Vec<u8>> {
    let parameters = protected.into_iter().flat_map(|fields| &fields.parameters);
    let parameters: BTreeSet<_> = parameters.cloned().collect();
    if parameters.is_empty() {
        return None;
    }
    without_parameters(target(), &parameters)
}
