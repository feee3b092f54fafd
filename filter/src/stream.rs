//! One request and its answer.

use crate::{
    abi::Action,
    envoy::Envoy,
    filter, host,
    journey::{Course, Journey, ROUTE_STATE},
};
use std::cell::OnceCell;
use switchyard_policy::{
    decide::{Decision, Trail, decide},
    enforce::Enforcement,
    local_reply::LocalReply,
    names::BRANCH,
    path_mapping::PathMapping,
    request::{Request, RequestHeaderMap},
    sample::Sample,
};

/// The headers of the request, fetched when first needed.
#[derive(Default)]
pub(crate) struct RequestHeaders {
    target: OnceCell<Vec<u8>>,
    all: OnceCell<host::Headers>,
}

/// The edits of the response to a request.
pub(crate) struct Answer {
    /// The requested host; empty without a mapping.
    pub(crate) authority: String,
    pub(crate) mapping: Option<PathMapping>,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) branches: Option<String>,
    /// The policies that the request has met, if any.
    pub(crate) enforcement: Option<Enforcement>,
}

/// Decides the request of a stream.
pub(crate) fn on_request_headers(stream: u32) -> Action {
    let Some(store) = filter::store(stream) else {
        host::respond(&LocalReply::empty(503));
        return Action::Pause;
    };
    let mut route_name = host::route_name();
    let sample = Sample::take_from(&mut route_name);
    if sample != Sample::ALL {
        host::set_filter_state(ROUTE_STATE, &route_name);
    }
    let headers = RequestHeaders::default();
    let request = Request {
        route_name: &route_name,
        headers: &headers,
    };
    let decision = filter::with_rng(|rng| decide(&store, request, rng));
    let Decision {
        trail,
        scopes,
        outcome,
    } = decision;
    note(&trail);
    let course = Course {
        branches: store.expose_branch().then(|| trail.branches.clone()),
        outcome,
    };
    if scopes.is_empty() || course.is_fault() {
        return course.take(stream, request, None);
    }
    let journey = Journey {
        enforcement: Enforcement::new(scopes, course.overrides()).of(sample),
        envoy: Envoy::default(),
        course,
        route_name,
        branches: trail.branches,
        headers,
    };
    journey.go_on(stream)
}

/// Removes all request trailers: some upstreams take trailers for headers, but the edge checks only headers. None is
/// missed: HTTP/1.1 trailers do not get this far, and gRPC requests have none.
pub(crate) fn on_request_trailers() -> Action {
    host::remove_request_trailers();
    Action::Continue
}

/// Applies the stored edits to the response of a stream.
pub(crate) fn on_response_headers(stream: u32) -> Action {
    if let Some(answer) = filter::take_answer(stream) {
        answer.apply();
    }
    Action::Continue
}

/// Sets filter state for the access log.
fn note(Trail { root, branches, leaf }: &Trail) {
    if !root.is_empty() {
        host::set_filter_state("switchyard_root", root);
    }
    if !branches.is_empty() {
        host::set_filter_state("switchyard_branch", branches);
        host::set_filter_state("switchyard_leaf", leaf);
    }
}

// === impl RequestHeaders ===

impl RequestHeaderMap for RequestHeaders {
    fn target(&self) -> &[u8] {
        self.target.get_or_init(|| host::request_header(":path"))
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        self.all.get_or_init(host::request_headers)
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn says_something(&self) -> bool {
        let Self {
            authority: _,
            mapping,
            set_cookies,
            branches,
            enforcement,
        } = self;
        let has_edits = |enforcement: &Enforcement| !enforcement.response_edits().is_empty();
        mapping.is_some()
            || !set_cookies.is_empty()
            || branches.is_some()
            || enforcement.as_ref().is_some_and(has_edits)
    }

    fn apply(self) {
        let Self {
            authority,
            mapping,
            set_cookies,
            branches,
            enforcement,
        } = self;
        if let Some(mapping) = mapping {
            map_back(&mapping, &authority);
        }
        for cookie in set_cookies {
            host::add_response_header("set-cookie", cookie.as_bytes());
        }
        if let Some(branches) = branches {
            host::set_response_header(BRANCH, Some(branches.as_bytes()));
        }
        if let Some(enforcement) = enforcement {
            host::edit_response(&enforcement.response_edits());
        }
    }
}
/// Maps the paths in the response headers to those that the client sees.
fn map_back(mapping: &PathMapping, authority: &str) {
    let headers = host::response_headers();
    let is_place = |name: &str| name == "location" || name == "content-location";
    for (name, value) in headers.iter().filter(|(name, _)| is_place(name)) {
        if let Some(mapped) = mapping.location(value, authority) {
            host::set_response_header(name, Some(mapped.as_bytes()));
        }
    }
    map_cookies(mapping, headers);
}

/// Maps the paths of cookies. If one changes, all are set again: the host can replace only all headers of a name.
fn map_cookies(mapping: &PathMapping, headers: host::Headers) {
    let cookies = headers.into_iter().filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<_> = cookies
        .map(|(_, value)| (mapping.set_cookie(&value), value))
        .collect();
    if cookies.iter().all(|(mapped, _)| mapped.is_none()) {
        return;
    }
    host::set_response_header("set-cookie", None);
    for (mapped, value) in cookies {
        host::add_response_header("set-cookie", &mapped.unwrap_or(value));
    }
}
