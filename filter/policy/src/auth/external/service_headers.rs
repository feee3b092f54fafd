//! The part of a request that a service gets: all but the protected fields of its level and those above.

use crate::{
    auth::check::AuthRequest,
    protected::{protects_header, without_protected_parameters},
    request::RequestHeaderMap,
};

/// A request without protected fields. Levels below do not count: they could hide from a service above what it has to
/// judge.
pub(super) struct ServiceHeaders {
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

// === impl ServiceHeaders ===

impl ServiceHeaders {
    pub(super) fn of(request: AuthRequest<'_>) -> Self {
        let AuthRequest {
            headers, protected, ..
        } = request;
        let protected = || protected.iter().copied();
        let target = headers.target();
        let target = without_protected_parameters(protected(), || target).unwrap_or_else(|| target.to_vec());
        let all = headers.all().iter();
        let sent = all.filter(|(name, _)| !protects_header(protected(), name));
        let sent = sent.map(|(name, value)| {
            let value = if name == ":path" { &target } else { value };
            (name.clone(), value.clone())
        });
        Self {
            headers: sent.collect(),
            target,
        }
    }
}

impl RequestHeaderMap for ServiceHeaders {
    fn target(&self) -> &[u8] {
        &self.target
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }
}
