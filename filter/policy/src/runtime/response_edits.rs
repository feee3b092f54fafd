//! Edits of the response to a request.

use crate::{edit::Edit, enforce::Enforcement, names::BRANCH, path_mapping::PathMapping, proxy::Proxy};

/// The edits of the response to a request.
pub(super) struct ResponseEdits {
    /// The requested host; empty without a mapping.
    pub(super) authority: String,
    pub(super) mapping: Option<PathMapping>,
    pub(super) set_cookies: Vec<String>,
    /// The branches to expose to the client.
    pub(super) branches: Option<String>,
    /// The policies that the request has met.
    pub(super) enforcement: Enforcement,
}

// === impl ResponseEdits ===

impl ResponseEdits {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            authority: _,
            mapping,
            set_cookies,
            branches,
            enforcement,
        } = self;
        mapping.is_none()
            && set_cookies.is_empty()
            && branches.is_none()
            && enforcement.response_edits().is_empty()
    }

    pub(super) fn apply(&self, proxy: &impl Proxy) {
        if let Some(mapping) = &self.mapping {
            map_back(mapping, &self.authority, proxy);
        }
        let cookies = self.set_cookies.iter();
        let cookies = cookies.map(|cookie| Edit::Add("set-cookie", cookie.as_bytes()));
        let branches = self.branches.iter();
        let branches = branches.map(|branches| Edit::Set(BRANCH, branches.as_bytes()));
        let edits: Vec<_> = cookies
            .chain(branches)
            .chain(self.enforcement.response_edits())
            .collect();
        proxy.edit_response(&edits);
    }
}

/// Maps the paths in the response headers to those that the client sees.
fn map_back(mapping: &PathMapping, authority: &str, proxy: &impl Proxy) {
    let headers = proxy.response_headers();
    let has_location = |name: &str| name == "location" || name == "content-location";
    for (name, value) in headers.iter().filter(|(name, _)| has_location(name)) {
        if let Some(mapped) = mapping.location(value, authority) {
            proxy.edit_response(&[Edit::Set(name, mapped.as_bytes())]);
        }
    }
    map_cookies(mapping, headers, proxy);
}

/// Maps the paths of cookies. If one changes, all are set again: the proxy can replace only all headers of a name.
fn map_cookies(mapping: &PathMapping, headers: Vec<(String, Vec<u8>)>, proxy: &impl Proxy) {
    let cookies = headers.into_iter().filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<_> = cookies
        .map(|(_, value)| (mapping.set_cookie(&value), value))
        .collect();
    if cookies.iter().all(|(mapped, _)| mapped.is_none()) {
        return;
    }
    proxy.edit_response(&[Edit::Remove("set-cookie")]);
    for (mapped, value) in cookies {
        let value = mapped.unwrap_or(value);
        proxy.edit_response(&[Edit::Add("set-cookie", &value)]);
    }
}
