//! What of a request a service is told: all but what its level, and those above, keep to themselves.

use super::Request;
use crate::{
    auth::{Withheld, without_parameters},
    decide::Headers,
    maps::Set,
};

/// A level below has no say in it: it would hide from a service above what that is to judge.
pub(super) struct Told {
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

// === impl Told ===

impl Told {
    pub(super) fn of(request: Request<'_>) -> Self {
        let Request { headers, levels, .. } = request;
        let withheld = || levels.iter().map(|level| &level.policy.withheld);
        let is_withheld = |name: &String| withheld().any(|Withheld { headers, .. }| headers.contains(name));
        let parameters: Set<_> = withheld()
            .flat_map(|Withheld { parameters, .. }| parameters.iter().cloned())
            .collect();
        let target = headers.target();
        let target = without_parameters(target, &parameters).unwrap_or_else(|| target.to_vec());
        let told = headers.all().iter().filter(|(name, _)| !is_withheld(name));
        let told = told.map(|(name, value)| {
            let value = if name == ":path" { &target } else { value };
            (name.clone(), value.clone())
        });
        Self {
            headers: told.collect(),
            target,
        }
    }
}

impl Headers for Told {
    fn target(&self) -> &[u8] {
        &self.target
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }
}
