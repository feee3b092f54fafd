//! The part of a request that a service is told: all but what its level, and those above, withhold.

use super::Request;
use crate::{
    decide::Headers,
    withheld::{withhold_header, without_withheld},
};

/// A request without withheld parts. Levels below do not count: they could hide from a service above what it has to
/// judge.
pub(super) struct Told {
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

// === impl Told ===

impl Told {
    pub(super) fn of(request: Request<'_>) -> Self {
        let Request { headers, levels, .. } = request;
        let target = headers.target();
        let target = without_withheld(levels, || target).unwrap_or_else(|| target.to_vec());
        let all = headers.all().iter();
        let told = all.filter(|(name, _)| !withhold_header(levels, name));
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
